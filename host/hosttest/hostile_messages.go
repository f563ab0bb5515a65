package hosttest

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// describeMessages has one write and three messages, and one order of all events.
const describeMessages = `{"name":"hosttest","ordering":"global","version":1,
"tables":[{"name":"things","key":["id"],"columns":[{"name":"id","type":"text"},{"name":"total","type":"i64"}]}],
"writes":[{"name":"count","action":"upsert","table":"things","columns":[{"name":"total","action":"add"}]}],
"messages":[{"name":"order_paid","subject":"shop.{customer}.orders.{order}.{customer}"},
{"name":"note","subject":"shop.notes","type":"com.example.note","content_type":"text/plain; charset=utf-8","key":"all"},
{"name":"picture","subject":"shop.pictures.{order}","content_type":"image/png","key":"none"}]}`

// Indexes of the messages of describeMessages.
const (
	messagePaid    = 1 // customer, order, json
	messageNote    = 2 // text
	messagePicture = 3 // order, bytes
)

// message is a mutation with values that were appended before.
func message(index uint16, event uint32, values ...[]byte) []byte {
	return append(abi.AppendMutation(nil, index, uint16(len(values)), event), bytes.Join(values, nil)...)
}

func textValue(text string) []byte { return abi.AppendBytes(nil, abi.KindText, text) }

func jsonValue(text string) []byte { return abi.AppendBytes(nil, abi.KindJSON, text) }

// hostileMessages are messages that no receiver must get.
func hostileMessages() []HostileGuest {
	of := func(name string, mutation []byte, want ...string) HostileGuest {
		g := &Guest{Describe: describeMessages, Reply: Reply(Count(0, "a", 1), mutation)}
		return refused(StageApply, "message_"+name, g.Wasm(), want...)
	}
	paid := func(name string, customer, order, data []byte, want ...string) HostileGuest {
		return of(name, message(messagePaid, 1, customer, order, data), want...)
	}
	id, object, null := textValue("1"), jsonValue("{}"), abi.AppendNull(nil)
	large := strings.Repeat("x", 400<<10)
	var flood [][]byte
	for range 3 { // more than a reply, and no message more than it may be
		flood = append(flood, message(messageNote, 1, textValue(large)))
	}
	return []HostileGuest{
		refused(StageApply, "message_of_a_guest_without_any",
			(&Guest{Reply: Reply(message(WriteRemove+1, 0, id, id, object))}).Wasm(), "catalogue", "write"),
		of("not_in_the_catalogue", message(messagePicture+1, 0, id, object), "catalogue", "write"),
		of("index_max", message(math.MaxUint16, 0, id, object), "catalogue", "write"),
		of("event_beyond_the_batch", message(messageNote, Events, textValue("a")), "event"),
		of("value_missing", message(messagePaid, 0, id, object), "value"),
		of("value_too_many", message(messageNote, 0, id, textValue("a")), "value"),
		of("values_0", message(messageNote, 0), "value"),
		paid("name_null", id, null, object, "null"),
		paid("name_of_another_type", abi.AppendI64(nil, 1), id, object, "text"),
		paid("name_json", id, object, object, "text"),
		paid("name_array", abi.AppendArray(nil, abi.KindText, 0), id, object, "text"),
		paid("name_with_nul", id, textValue("a\x00b"), object, "NUL"),
		paid("name_not_utf8", id, textValue("a\xffb"), object, "utf-8"),
		paid("data_null", id, id, null, "null", "no data"),
		paid("data_text_for_json", id, id, textValue("{}"), "json"),
		paid("data_bytes_for_json", id, id, abi.AppendBytes(nil, abi.KindBytes, "{}"), "json"),
		paid("data_cut_off", id, id, jsonValue(`{"a":`), "json"),
		paid("data_two_values", id, id, jsonValue("1 2"), "json"),
		paid("data_empty", id, id, jsonValue(""), "json"),
		paid("data_not_utf8", id, id, jsonValue("\"\xff\""), "json"),
		of("data_json_for_text", message(messageNote, 0, object), "text"),
		of("data_text_with_nul", message(messageNote, 0, textValue("a\x00b")), "NUL"),
		of("data_text_for_bytes", message(messagePicture, 0, id, id), "bytes"),
		paid("subject_huge", id, textValue(strings.Repeat("x", 500<<10)), object, "subject"),
		paid("subject_one_byte_more", textValue(strings.Repeat("x", 500)), textValue(strings.Repeat("x", 11)), object, "subject"),
		paid("subject_grows_as_it_is_written", textValue(strings.Repeat(".", 170)), id, object, "subject"),
		refused(StageApply, "message_flood", (&Guest{Describe: describeMessages, Reply: Reply(flood...)}).Wasm(), "limit",
			"bytes"),
		// The first message is good: none of a reply counts when one is wrong.
		refused(StageApply, "message_wrong_behind_a_good_one", (&Guest{Describe: describeMessages, Reply: Reply(
			message(messageNote, 0, textValue("a")), message(messageNote, 1, null),
		)}).Wasm(), "null", "no data"),
	}
}

// hostileMessageDescriptions are found at load.
func hostileMessageDescriptions() []HostileGuest {
	change := func(name, old, replacement string, want ...string) HostileGuest {
		text := strings.Replace(describeMessages, old, replacement, 1)
		if text == describeMessages {
			panic("hosttest: the description of messages has no " + old)
		}
		return refused(StageLoad, "description_message_"+name, (&Guest{Describe: text}).Wasm(), want...)
	}
	subject := func(name, subject string) HostileGuest {
		return change("subject_"+name, `"shop.notes"`, `"`+subject+`"`, "subject")
	}
	return []HostileGuest{
		change("name_empty", `"note"`, `""`, "name"),
		change("name_of_a_write", `"note"`, `"count"`, "twice"),
		change("name_twice", `"note"`, `"picture"`, "twice"),
		change("unknown_member", `"key":"none"`, `"keys":"none"`, "keys", "unknown"),
		change("key_unknown", `"key":"none"`, `"key":"stream"`, "key"),
		change("key_all_without_one_order", `"ordering":"global",`, ``, "key"),
		change("type_with_a_line", `"com.example.note"`, `"a\r\nX-Evil: b"`, "type"),
		change("content_type_with_a_line", `"image/png"`, `"image/png\r\nX-Evil: b"`, "content_type"),
		change("content_type_none", `"image/png"`, `"png"`, "content_type"),
		subject("empty", ""),
		subject("with_a_wildcard", "shop.*"),
		subject("with_the_rest", "shop.>"),
		subject("of_the_server", "$SYS.REQ"),
		subject("of_a_reply", "_INBOX.x"),
		subject("with_a_blank", "shop notes"),
		subject("with_a_line", `shop\r\nPUB x`),
		subject("with_an_empty_token", "shop..notes"),
		subject("that_ends_with_a_dot", "shop."),
		subject("with_a_brace", "shop.{a"),
		subject("with_a_name_that_is_none", "shop.{A b}"),
		subject("with_the_name_of_the_data", "shop.{data}"),
		subject("that_begins_with_a_value", "{customer}.paid"),
		subject("too_long", "shop."+strings.Repeat("x", 200)),
	}
}

// unusualMessages are messages at their limits.
func unusualMessages() []UnusualGuest {
	one := message(messagePaid, 2, textValue(""), textValue("* > \r\n 漢"), jsonValue(` [1, null] `))
	long := message(messagePaid, 0, textValue(strings.Repeat("x", 500)), textValue(strings.Repeat("x", 10)), jsonValue("null"))
	all := slices.Concat(
		[][]byte{Count(0, "a", 1), one, message(messageNote, 1, textValue("")), Count(2, "a", 1)},
		[][]byte{message(messagePicture, 0, textValue("1"), abi.AppendBytes(nil, abi.KindBytes, "\x00\xff")), long},
	)
	return []UnusualGuest{
		accepted("messages_between_rows_and_in_any_order", len(all), &Guest{Describe: describeMessages, Reply: Reply(all...)}),
		accepted("messages_and_no_tables", 1, &Guest{
			Describe: `{"name":"hosttest","version":1,"messages":[{"name":"a","subject":"A.{b}-{c}"}]}`,
			Reply:    Reply(message(0, 1, textValue("1"), textValue("2"), jsonValue("0"))),
		}),
	}
}
