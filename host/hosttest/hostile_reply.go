package hosttest

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// put overwrites a number of 16 or 32 bits in a copy of a block.
func put[T uint16 | uint32](block []byte, offset int, v T) []byte {
	block = slices.Clone(block)
	switch v := any(v).(type) {
	case uint16:
		binary.LittleEndian.PutUint16(block[offset:], v)
	case uint32:
		binary.LittleEndian.PutUint32(block[offset:], v)
	}
	return block
}

func hostileReplies() []HostileGuest {
	wanted := []string{"ABI", "reply", "mutation"}
	reply := func(name string, block []byte, want ...string) HostileGuest {
		return refused(StageApply, "reply_"+name, (&Guest{Reply: block}).Wasm(), append(want, wanted...)...)
	}
	reported := func(name string, block []byte, want ...string) HostileGuest {
		return refused(StageApply, "reply_error_"+name, (&Guest{Reply: block}).Wasm(), want...)
	}
	good := Reply(Count(1, "a", 1))
	body := good[abi.ReplyHeaderSize:]
	// An error with mutations beside it, once as they are and once so that they pass for a text.
	asError := put(put(good, 6, uint16(abi.StatusError)), 8, uint32(1))
	text := abi.AppendMutation(nil, 0x4141, 0x4141, 0x41414141)
	return []HostileGuest{
		reply("header_cut_off", good[:abi.ReplyHeaderSize-1]),
		reply("wrong_magic", put(good, 0, uint32(abi.MagicBatch))),
		reply("version_0", put(good, 4, uint16(0))),
		reply("version_2", put(good, 4, uint16(2))),
		reply("status_2", put(good, 6, uint16(2))),
		reply("status_max", put(good, 6, uint16(math.MaxUint16))),
		reply("cut_off", good[:len(good)-1]),
		reply("cut_off_with_its_size", put(good[:len(good)-1], 16, uint32(len(body)-1))),
		reply("goes_on", append(slices.Clone(good), 0)),
		reply("goes_on_with_its_size", put(append(slices.Clone(good), 0), 16, uint32(len(body)+1))),
		reply("size_0", put(good, 16, uint32(0))),
		reply("size_max", put(good, 16, uint32(math.MaxUint32))),
		reply("size_plus_header_overflow", put(good, 16, uint32(math.MaxUint32-abi.ReplyHeaderSize+1))),
		reply("count_0_with_a_mutation", put(good, 8, uint32(0))),
		reply("count_one_more", put(good, 8, uint32(2))),
		reply("count_max", put(good, 8, uint32(math.MaxUint32))),
		reply("count_times_size_overflow", put(good, 8, uint32(1<<29))),
		reported("at_event_1", abi.AppendErrorReply(nil, 1, 42, "boom"), "boom"),
		reported("at_no_event", abi.AppendErrorReply(nil, abi.NoEvent, 42, "boom"), "boom"),
		reported("at_an_event_beyond_the_batch", abi.AppendErrorReply(nil, Events, 42, "boom"), "boom", "event"),
		reported("at_an_event_far_beyond", abi.AppendErrorReply(nil, math.MaxUint32-1, 42, "boom"), "boom", "event"),
		reported("without_a_message", abi.AppendErrorReply(nil, 1, 42, ""), "42", "error"),
		reported("message_not_utf8", abi.AppendErrorReply(nil, 1, 42, "bo\xffom"), "utf-8", "bo"),
		reported("message_with_nul", abi.AppendErrorReply(nil, 1, 42, "bo\x00om"), "NUL", "bo"),
		reported("message_of_many_lines", abi.AppendErrorReply(nil, 1, 42,
			"boom\nWRN forged log line\r\n\x1b[31mred"), "boom", "control"),
		reported("message_of_900_kb", abi.AppendErrorReply(nil, 1, 42, "boom"+strings.Repeat(".", 900<<10)), "boom",
			"limit", "large"),
		reported("message_cut_off", abi.AppendErrorReply(nil, 1, 42, "boom")[:abi.ReplyHeaderSize+2], "ABI", "reply"),
		reported("with_mutations_beside_it", asError, "ABI", "reply", "NUL"),
		reported("with_mutations_that_pass_for_text", abi.AppendErrorReply(nil, 1, 42, string(text)), "AAAA"),
	}
}

func hostileMutations() []HostileGuest {
	mutation := func(name string, block []byte, want ...string) HostileGuest {
		return refused(StageApply, "mutation_"+name, (&Guest{Reply: Reply(block)}).Wasm(), want...)
	}
	// of is a mutation of any write and event with values that were appended before.
	of := func(write, count uint16, event uint32, values []byte) []byte {
		return append(abi.AppendMutation(nil, write, count, event), values...)
	}
	id := abi.AppendBytes(nil, abi.KindText, "a")
	one := abi.AppendI64(slices.Clone(id), 1)
	good := Count(0, "a", 1)
	return []HostileGuest{
		mutation("write_not_in_the_catalogue", of(3, 2, 0, one), "catalogue", "write"),
		mutation("write_max", of(math.MaxUint16, 2, 0, one), "catalogue", "write"),
		mutation("event_beyond_the_batch", of(WriteCount, 2, Events, one), "event"),
		mutation("event_max", of(WriteCount, 2, math.MaxUint32, one), "event"),
		mutation("event_highest_bit", of(WriteCount, 2, 1<<31, one), "event"),
		mutation("value_missing", of(WriteCount, 1, 0, id), "value"),
		mutation("value_too_many", of(WriteCount, 3, 0, abi.AppendNull(slices.Clone(one))), "value"),
		mutation("values_0", of(WriteCount, 0, 0, nil), "value"),
		mutation("values_max", of(WriteCount, math.MaxUint16, 0, one), "value"),
		mutation("count_of_values_lies", of(WriteCount, 2, 0, id), "value"),
		mutation("header_cut_off", good[:abi.MutationHeaderSize-1], "ABI", "value", "fit"),
		mutation("key_null", of(WriteCount, 2, 0, abi.AppendI64(abi.AppendNull(nil), 1)), "null"),
		mutation("key_of_another_type", of(WriteCount, 2, 0, abi.AppendI64(abi.AppendI64(nil, 1), 1)), "text"),
		mutation("text_for_a_number", of(WriteCount, 2, 0, abi.AppendBytes(slices.Clone(id), abi.KindText, "1")),
			"i64"),
		mutation("float_for_a_number", of(WriteCount, 2, 0, abi.AppendF64(slices.Clone(id), 1)), "i64"),
		mutation("array_for_a_number", of(WriteCount, 2, 0,
			abi.AppendI64(abi.AppendArray(slices.Clone(id), abi.KindI64, 1), 1)), "i64"),
		// The first mutation is good: none of a reply counts when one is wrong.
		refused(StageApply, "mutation_wrong_behind_a_good_one",
			(&Guest{Reply: Reply(good, of(7, 2, 0, one))}).Wasm(), "catalogue", "write"),
	}
}

// valueColumns are the columns of [WritePut] behind its key.
var valueColumns = []struct {
	name string
	kind abi.Kind
}{
	{"flag", abi.KindBool},
	{"ratio", abi.KindF64},
	{"amount", abi.KindNumeric},
	{"raw", abi.KindBytes},
	{"doc", abi.KindJSON},
	{"at", abi.KindTimestamp},
	{"ref", abi.KindUUID},
	{"tags", abi.KindText},
}

// wrongValue puts raw bytes in place of the value of one column; the others are null.
func wrongValue(name, column string, raw []byte) HostileGuest {
	block := abi.AppendBytes(abi.AppendMutation(nil, WritePut, 9, 0), abi.KindText, "a")
	for _, c := range valueColumns {
		if c.name == column {
			block = append(block, raw...)
		} else {
			block = abi.AppendNull(block)
		}
	}
	return refused(StageApply, "value_"+name, (&Guest{Reply: Reply(block)}).Wasm(), "value", "element", "ABI", column)
}

// hostileValues are values that are wrong wherever they are.
func hostileValues() []HostileGuest {
	key := func(name, id string) HostileGuest {
		return refused(StageApply, "value_"+name, (&Guest{Reply: Reply(Count(0, id, 1))}).Wasm(), "text", "value",
			"ABI")
	}
	sized := func(kind byte, size uint32, content string) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{kind}, size), content...)
	}
	numeric := func(digits string) []byte { return abi.AppendBytes(nil, abi.KindNumeric, digits) }
	json := func(content string) []byte { return abi.AppendBytes(nil, abi.KindJSON, content) }
	const texts = byte(abi.KindText) | abi.ArrayBit
	return []HostileGuest{
		key("text_not_utf8", "a\xffb"),
		key("text_with_nul", "a\x00b"),
		key("text_with_a_surrogate", "\xed\xa0\x80"),
		key("text_overlong", "\xc0\x80"),
		wrongValue("kind_10", "raw", []byte{10}),
		wrongValue("kind_127", "raw", []byte{127}),
		wrongValue("kind_array_of_null", "tags", sized(abi.ArrayBit, 0, "")),
		wrongValue("bool_2", "flag", []byte{byte(abi.KindBool), 2}),
		wrongValue("bytes_length_max", "raw", sized(byte(abi.KindBytes), math.MaxUint32, "")),
		wrongValue("bytes_length_overflow", "raw", sized(byte(abi.KindBytes), math.MaxUint32-4, "1234")),
		wrongValue("numeric_exponent", "amount", numeric("1e5")),
		wrongValue("numeric_infinity", "amount", numeric("Infinity")),
		wrongValue("numeric_statement", "amount", numeric("1); drop table things; --")),
		wrongValue("numeric_of_1001_digits", "amount", numeric(strings.Repeat("9", 1001))),
		wrongValue("json_empty", "doc", json("")),
		wrongValue("json_cut_off", "doc", json(`{"a":`)),
		wrongValue("json_two_values", "doc", json("1 2")),
		wrongValue("json_not_utf8", "doc", json("\"\xff\"")),
		wrongValue("uuid_cut_off", "ref", []byte{byte(abi.KindUUID), 1, 2, 3}),
		wrongValue("array_element_not_utf8", "tags", abi.AppendBytes(abi.AppendArray(nil, abi.KindText, 1),
			abi.KindText, "\xff")),
		wrongValue("array_count_max", "tags", sized(texts, math.MaxUint32, "")),
		wrongValue("array_count_times_size_overflow", "tags", sized(texts, 1<<28, "")),
		wrongValue("array_element_missing", "tags", sized(texts, 1, "")),
		wrongValue("array_count_takes_the_next_mutation", "tags", sized(texts, 2, "\x00")),
	}
}

// hostileTypes are good values in columns of another type.
func hostileTypes() []HostileGuest {
	list := []HostileGuest{
		wrongValue("numeric_for_a_float", "ratio", abi.AppendBytes(nil, abi.KindNumeric, "1")),
		wrongValue("time_for_a_bool", "flag", abi.AppendTimestamp(nil, 1)),
		wrongValue("time_for_json", "doc", abi.AppendTimestamp(nil, 1)),
		wrongValue("text_for_json", "doc", abi.AppendBytes(nil, abi.KindText, "{}")),
		wrongValue("text_for_bytes", "raw", abi.AppendBytes(nil, abi.KindText, "a")),
		wrongValue("number_for_a_time", "at", abi.AppendI64(nil, 1)),
		wrongValue("text_for_a_uuid", "ref", abi.AppendBytes(nil, abi.KindText, "0123456789abcdef")),
		wrongValue("text_for_an_array", "tags", abi.AppendBytes(nil, abi.KindText, "a")),
		wrongValue("array_of_another_type", "tags", abi.AppendI64(abi.AppendArray(nil, abi.KindI64, 1), 1)),
		wrongValue("array_with_an_element_of_another_type", "tags",
			abi.AppendI64(abi.AppendArray(nil, abi.KindText, 1), 1)),
		wrongValue("array_of_arrays", "tags", abi.AppendArray(abi.AppendArray(nil, abi.KindText, 1), abi.KindText, 0)),
	}
	for _, c := range valueColumns {
		if c.name != "tags" {
			list = append(list, wrongValue("array_for_"+c.name, c.name, abi.AppendArray(nil, c.kind, 0)))
		}
	}
	return list
}
