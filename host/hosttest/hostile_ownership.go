package hosttest

import (
	"fmt"
	"math"

	"github.com/pupwasm/pupwasm/host/abi"
)

// hostileOwners are guests that change or ask for rows of other events, whatever the events of the batch are:
// those of a host are in two streams at least.
func hostileOwners() []HostileGuest {
	describe := func(column, rest string) string {
		return fmt.Sprintf(`{"name":"hosttest","version":1,"columns":["aggregate_id"],"tables":[{"name":"things","key":["id"],"columns":[{"name":"id",%s},
{"name":"n","type":"i64"}]}],%s}`, column, rest)
	}
	const (
		key      = `"type":"text","partition":true`
		byAction = `"writes":[{"name":"put","action":"upsert","table":"things","columns":[]}]`
		bySQL    = `"writes":[{"name":"put","sql":"DELETE FROM {things} WHERE id = $1","params":["text"],"partition_param":1}]`
		byJSON   = `"partition":{"by":"json","path":["n"]},` + byAction
	)
	row := func(name, description string, mutations ...[]byte) HostileGuest {
		return refused(StageApply, "owner_"+name, (&Guest{
			Describe: description,
			Reply:    Reply(mutations...),
		}).Wasm(), "partition key", "position", "id", "row")
	}
	put := func(event uint32, value []byte) []byte { return append(abi.AppendMutation(nil, 0, 1, event), value...) }
	text := func(event uint32, v string) []byte { return put(event, abi.AppendBytes(nil, abi.KindText, v)) }
	ask := func(name, query string, argument []byte) HostileGuest {
		request := append(abi.AppendQuery(nil, 0, 1), argument...)
		g := &Guest{Describe: describe(key, query), Imports: []Import{ImportQuery}, Reply: append(Reply(), request...)}
		g.Apply = Code(
			I32Const(g.ReplyAddress()+abi.ReplyHeaderSize), I32Const(len(request)), I32Const(0), I32Const(0),
			Call(0), Drop,
			Result(g.ReplyAddress(), abi.ReplyHeaderSize),
		)
		return refused(StageApply, "owner_"+name, g.Wasm(), "query")
	}
	nobody := abi.AppendBytes(nil, abi.KindText, "nobody")
	return []HostileGuest{
		row("key_of_no_event", describe(key, byAction), text(1, "nobody")),
		row("key_empty", describe(key, byAction), text(1, "")),
		row("one_key_for_all_events", describe(key, byAction), text(0, "thing-0"), text(1, "thing-0"),
			text(2, "thing-0")),
		row("key_of_a_statement", describe(key, bySQL), text(1, "nobody")),
		row("key_of_a_statement_null", describe(key, bySQL), put(1, abi.AppendNull(nil))),
		row("key_of_a_payload", describe(key, byJSON), text(1, "nobody")),
		row("position_of_no_event", describe(`"type":"i64","position":true`, byAction),
			put(1, abi.AppendI64(nil, math.MaxInt64))),
		row("position_0", describe(`"type":"i64","position":true`, byAction), put(1, abi.AppendI64(nil, 0))),
		row("id_of_no_event", describe(`"type":"uuid","event_id":true`, byAction),
			put(1, abi.AppendUUID(nil, [16]byte{0: 0xFF, 15: 0xFF}))),
		ask("query_of_no_event", `"queries":[{"name":"load","table":"things","columns":["n"]}]`,
			append(abi.AppendArray(nil, abi.KindText, 1), nobody...)),
		ask("query_by_statement_of_no_event",
			`"queries":[{"name":"load","sql":"SELECT n FROM {things} WHERE id = $1","params":["text"],"results":["i64"],"partition_param":1}]`, nobody),
	}
}
