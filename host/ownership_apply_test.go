package host_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// ownedEvents are events of two customers in three streams of orders.
func ownedEvents() []store.RecordedEvent {
	events := make([]store.RecordedEvent, 3)
	for i, customer := range []string{`"c1"`, `"c2"`, `42`} {
		e := &events[i]
		e.Position, e.AggregateVersion = int64(10+i), 1
		e.BoundedContext, e.AggregateType, e.AggregateID = "Shop", "Order", fmt.Sprintf("o%d", i)
		e.ID = store.UUID{0: 0xAB, 15: byte(i)}
		e.Type, e.CorrelationID = "Placed", "k"
		e.Payload, e.Metadata = []byte(`{"a":[1,{"customer":"no"}],"customer":`+customer+`}`), []byte(`{"tenant":true}`)
	}
	return events
}

// owning describes a projection with a table t of one key column k and a number n, a write of it by its
// action, and one by sql.
func owning(partition, keyType, mark string) string {
	return fmt.Sprintf(`{"name":"p","version":1%s,
"tables":[{"name":"t","key":["k"],"columns":[{"name":"k","type":%q%s},{"name":"n","type":"numeric"}]}],
"writes":[{"name":"put","action":"upsert","table":"t","columns":[{"name":"n","action":"add"}]}]}`, partition, keyType, mark)
}

const (
	byCustomer = `,"partition":{"by":"json","path":["customer"]}`
	byTenant   = `,"partition":{"by":"metadata","path":["tenant"]}`
	marked     = `,"partition":true`
)

// put is a mutation of the first write with one key and a number.
func put(event uint32, key []byte, n string) []byte {
	out := append(abi.AppendMutation(nil, 0, 2, event), key...)
	return abi.AppendBytes(out, abi.KindNumeric, n)
}

func textKey(v string) []byte    { return abi.AppendBytes(nil, abi.KindText, v) }
func numericKey(v string) []byte { return abi.AppendBytes(nil, abi.KindNumeric, v) }
func i64Key(v int64) []byte      { return abi.AppendI64(nil, v) }

func TestGuest_rowsBelongToTheirEvents(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	uuid := store.UUID{0: 0xAB, 15: 1}
	for _, c := range []struct {
		name, describe string
		key            []byte // of a row of the event at 11
		fault          string
	}{
		{"by stream", owning("", "text", marked), textKey("o1"), ""},
		{
			"another stream", owning("", "text", marked), textKey("o2"),
			`at event 11 of stream Shop/Order/o1: write "put", column "k": is "o2", but the partition key of the event is "o1" (by stream), ` +
				`and an event may change rows of its own only`,
		},
		{"the beginning of the key", owning("", "text", marked), textKey("o"), `is "o", but the partition key`},
		{"more than the key", owning("", "text", marked), textKey("o10"), `is "o10", but the partition key`},
		{"another case", owning("", "text", marked), textKey("O1"), `is "O1", but the partition key`},
		{
			"a long key is cut", owning("", "text", marked), textKey(strings.Repeat("x", 5000)),
			`is "` + strings.Repeat("x", 100) + `", but`,
		},
		{"by payload", owning(byCustomer, "text", marked), textKey("c2"), ""},
		{
			"by payload, the stream", owning(byCustomer, "text", marked), textKey("o1"),
			`column "k": is "o1", but the partition key of the event is "c2" (by json "customer")`,
		},
		{"by payload, the customer of another event", owning(byCustomer, "text", marked), textKey("c1"), `is "c1", but`},
		{"by correlation", owning(`,"partition":{"by":"correlation"}`, "text", marked), textKey("k"), ""},
		{
			"by correlation, another", owning(`,"partition":{"by":"correlation"}`, "text", marked), textKey("l"),
			`is "k" (by correlation)`,
		},
		{"by metadata", owning(byTenant, "bool", marked), abi.AppendBool(nil, true), ""},
		{
			"by metadata, another", owning(byTenant, "bool", marked), abi.AppendBool(nil, false),
			`is "false", but the partition key of the event is "true" (by metadata "tenant")`,
		},
		{"position", owning("", "i64", `,"position":true`), i64Key(11), ""},
		{
			"the position of another event", owning("", "i64", `,"position":true`), i64Key(12),
			`column "k": is "12", but the position of the event is 11, and an event may change rows of its own only`,
		},
		{"event id", owning("", "uuid", `,"event_id":true`), abi.AppendUUID(nil, uuid), ""},
		{
			"the id of another event", owning("", "uuid", `,"event_id":true`), abi.AppendUUID(nil, store.UUID{0: 0xAB, 15: 2}),
			`column "k": is "ab000000-0000-0000-0000-000000000002", but the id of the event is ab000000-0000-0000-0000-000000000001`,
		},
		{"shared", owning("", "text", ""), textKey("anything"), ""},
		{"in one order", owning(`,"ordering":"global"`, "text", marked), textKey("anything"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			module := load(t, runtime, "owned.wasm",
				(&hosttest.Guest{Describe: c.describe, Reply: hosttest.Reply(put(1, c.key, "1"))}).Wasm())
			guest := module.NewGuest(0)
			defer guest.Close(t.Context())
			mutations, err := guest.Apply(t.Context(), ownedEvents(), nil)
			if c.fault != "" {
				wantFault(t, err, 11, c.fault)
			} else if err != nil || len(mutations) != 1 {
				t.Errorf("%d mutations, error %v", len(mutations), err)
			}
		})
	}
}

// TestGuest_keysOfEveryTypeHaveOneText has an event whose key is a text of another type's form.
func TestGuest_keysOfEveryTypeHaveOneText(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	for _, c := range []struct {
		key, keyType string
		value        []byte
		ok           bool
	}{
		{`42`, "i64", i64Key(42), true},
		{`"42"`, "i64", i64Key(42), true},
		{`"042"`, "i64", i64Key(42), false},
		{`"+42"`, "i64", i64Key(42), false},
		{`-9223372036854775808`, "i64", i64Key(-1 << 63), true},
		{`18446744073709551615`, "numeric", numericKey("18446744073709551615.00"), true},
		{`42`, "numeric", numericKey("42"), true},
		{`42`, "numeric", numericKey("+042.0"), true},
		{`"42.5"`, "numeric", numericKey("42.50"), true},
		{`"42.50"`, "numeric", numericKey("42.50"), false},
		{`0`, "numeric", numericKey("-0.0"), true},
		{`"-0.5"`, "numeric", numericKey("-0.5"), true},
		{`"10"`, "numeric", numericKey("10"), true},
		{`"1"`, "numeric", numericKey("10"), false},
		{`true`, "bool", abi.AppendBool(nil, true), true},
		{`"True"`, "bool", abi.AppendBool(nil, true), false},
		{`1`, "bool", abi.AppendBool(nil, true), false},
		{
			`"0a0b0c0d-0000-7000-8000-00000000000f"`, "uuid",
			abi.AppendUUID(nil, store.UUID{0xA, 0xB, 0xC, 0xD, 0, 0, 0x70, 0, 0x80, 15: 0xF}), true,
		},
		{
			`"0A0B0C0D-0000-7000-8000-00000000000F"`, "uuid",
			abi.AppendUUID(nil, store.UUID{0xA, 0xB, 0xC, 0xD, 0, 0, 0x70, 0, 0x80, 15: 0xF}), false,
		},
		{`"\u0063\u0031"`, "text", textKey("c1"), true},
		{`""`, "text", textKey(""), true},
	} {
		t.Run(c.keyType+" "+c.key, func(t *testing.T) {
			t.Parallel()
			wasm := (&hosttest.Guest{
				Describe: owning(byCustomer, c.keyType, marked),
				Reply:    hosttest.Reply(put(0, c.value, "1")),
			}).Wasm()
			guest := load(t, runtime, "owned.wasm", wasm).NewGuest(0)
			defer guest.Close(t.Context())
			events := ownedEvents()[:1]
			events[0].Payload = []byte(`{"customer":` + c.key + `}`)
			switch _, err := guest.Apply(t.Context(), events, nil); {
			case c.ok && err != nil:
				t.Error(err)
			case !c.ok:
				wantFault(t, err, 10, `column "k": is "`)
			}
		})
	}
}

func TestGuest_anEventWithoutAKeyIsAFaultBeforeTheGuestRuns(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	// The guest traps whenever it runs.
	wasm := (&hosttest.Guest{Describe: owning(byCustomer, "text", marked), Apply: []byte{0}}).Wasm()
	guest := load(t, runtime, "keys.wasm", wasm).NewGuest(0)
	defer guest.Close(t.Context())
	for payload, want := range map[string]string{
		`{"customer":null}`:      `the partition key "customer" of the payload is null: a key is a string, a boolean or an integer`,
		`{"customer":1.5}`:       `the partition key "customer" of the payload is 1.5: a number that is a key has neither fraction nor exponent`,
		`{"a":1,"customer":"c1`:  `the payload is not valid JSON at byte 22, so that its partition key "customer" cannot be read`,
		`{"customer":"a\u0000"}`: `contains a NUL character`,
	} {
		events := ownedEvents()
		events[1].Payload = []byte(payload)
		_, err := guest.Apply(t.Context(), events, nil)
		wantFault(t, err, 11, "module keys.wasm at event 11 of stream Shop/Order/o1: ", want)
	}
	events := ownedEvents()
	events[1].Payload, events[1].Key = []byte(`{"customer":null}`), []byte("c9") // the one who set the key has read it
	_, err := guest.Apply(t.Context(), events, nil)
	if err == nil || strings.Contains(err.Error(), "partition key") {
		t.Errorf("error %v, the guest must have run", err)
	}
}

func TestGuest_statementsKeepToTheKeyInTheirParameter(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	describe := func(extra string) string {
		return `{"name":"p","version":1,"tables":[{"name":"t","key":["k"],"columns":[{"name":"k","type":"text","partition":true}]}],
"writes":[{"name":"raw","sql":"DELETE FROM {t} WHERE k = $2","params":["i64","text"]` + extra + `}]}`
	}
	raw := func(key []byte) []byte {
		return append(abi.AppendI64(abi.AppendMutation(nil, 0, 2, 2), 1), key...)
	}
	for _, c := range []struct {
		name, extra string
		key         []byte
		fault       string
	}{
		{"own", `,"partition_param":2`, textKey("o2"), ""},
		{
			"foreign", `,"partition_param":2`, textKey("o1"),
			`write "raw", parameter $2: is "o1", but the partition key of the event is "o2" (by stream)`,
		},
		{"null", `,"partition_param":2`, abi.AppendNull(nil), `write "raw", parameter $2: is NULL, but the partition key`},
		{"unordered", `,"unordered":true`, textKey("o1"), ""},
	} {
		wasm := (&hosttest.Guest{Describe: describe(c.extra), Reply: hosttest.Reply(raw(c.key))}).Wasm()
		guest := load(t, runtime, "raw.wasm", wasm).NewGuest(0)
		_, err := guest.Apply(t.Context(), ownedEvents(), nil)
		if c.fault != "" {
			wantFault(t, err, 12, c.fault)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		guest.Close(t.Context())
	}
}

// TestGuest_equalNumbersOfSharedRowsHaveOneSpelling keeps the first of equal values from depending on which
// segment was first.
func TestGuest_equalNumbersOfSharedRowsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	for _, c := range []struct{ given, want string }{
		{"1.50", "1.5"}, {"+1.5", "1.5"}, {"-0", "0"}, {"-0.00", "0"}, {"007", "7"}, {"10.0", "10"}, {
			"-3.25",
			"-3.25",
		}, {"0.5", "0.5"}, {"100", "100"}, {"00.10", "0.1"},
	} {
		for name, describe := range map[string]string{
			"shared": owning("", "numeric", ""),
			"owned":  owning(`,"ordering":"global"`, "numeric", ""),
		} {
			wasm := (&hosttest.Guest{
				Describe: describe,
				Reply:    hosttest.Reply(put(1, numericKey(c.given), c.given)),
			}).Wasm()
			guest := load(t, runtime, "numbers.wasm", wasm).NewGuest(0)
			mutations, err := guest.Apply(t.Context(), ownedEvents(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if name == "owned" {
				want = c.given // nobody else writes the row
			}
			for i, v := range mutations[0].Values {
				if string(v.Bytes()) != want {
					t.Errorf("%s: value %d of %s is %s, want %s", name, i, c.given, v.Bytes(), want)
				}
			}
			guest.Close(t.Context())
		}
	}
}

func TestGuest_queriesAskForKeysOfTheBatchOnly(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	describe := func(partition, query string) string {
		return `{"name":"p","version":1` + partition + `,"tables":[{"name":"t","key":["k"],"columns":[{"name":"k","type":"text","partition":true},
{"name":"n","type":"i64"}]}],"queries":[` + query + `]}`
	}
	const (
		load1 = `{"name":"load","table":"t","columns":["n"]}`
		sql   = `{"name":"sql","sql":"SELECT n FROM {t} WHERE k = $1","params":["text"],"results":["i64"],"partition_param":1}`
		many  = `{"name":"many","sql":"SELECT n FROM {t} WHERE k = ANY($1)","params":["text[]"],"results":["i64"],"partition_param":1}`
	)
	array := func(keys ...string) []byte {
		out := abi.AppendArray(nil, abi.KindText, len(keys))
		for _, key := range keys {
			out = abi.AppendBytes(out, abi.KindText, key)
		}
		return out
	}
	for _, c := range []struct {
		name, describe string
		argument       []byte
		fault          string
	}{
		{"keys of the batch", describe("", load1), array("o2", "o0", "o2", "o1"), ""},
		{"no keys", describe("", load1), array(), ""},
		{
			"a key of no event", describe("", load1), array("o0", "o3"),
			`query "load", column "k": asks for "o3", which is the partition key (by stream) of no event of the batch`,
		},
		{"customers", describe(byCustomer, load1), array("c1", "42"), ""},
		{
			"a stream, though divided by customer", describe(byCustomer, load1), array("o1"),
			`asks for "o1", which is the partition key (by json "customer") of no event`,
		},
		{"sql", describe("", sql), textKey("o1"), ""},
		{"sql, a key of no event", describe("", sql), textKey("o9"), `query "sql", parameter $1: asks for "o9"`},
		{"sql, null", describe("", sql), abi.AppendNull(nil), `query "sql", parameter $1: asks for NULL`},
		{"sql, an array", describe("", many), array("o1", "o2"), ""},
		{"sql, an array with a key of no event", describe("", many), array("o1", "x"), `asks for "x"`},
		{"unordered", describe("", strings.Replace(load1, `"table"`, `"unordered":true,"table"`, 1)), array("x"), ""},
		{"in one order", describe(`,"ordering":"global"`, load1), array("x"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			request := append(abi.AppendQuery(nil, 0, 1), c.argument...)
			// The reply's place holds the request; the guest runs the query and replies nothing of its own.
			g := &hosttest.Guest{
				Describe: c.describe, Imports: []hosttest.Import{hosttest.ImportQuery},
				Reply: append(hosttest.Reply(), request...),
			}
			empty := uint32(len(hosttest.Reply()))
			g.Apply = bytes.Join([][]byte{
				hosttest.I32Const(g.ReplyAddress() + empty), hosttest.I32Const(uint32(len(request))),
				hosttest.I32Const(0), hosttest.I32Const(0),
				hosttest.Call(0), hosttest.Drop, hosttest.Result(g.ReplyAddress(), empty),
			}, nil)
			module := load(t, runtime, "query.wasm", g.Wasm())
			guest := module.NewGuest(0)
			defer guest.Close(t.Context())
			ran := false
			_, err := guest.Apply(t.Context(), ownedEvents(),
				func(query int, arguments []store.Value, rows *store.Rows) error {
					ran = true
					return emptyQuery(module)(query, arguments, rows)
				})
			switch {
			case c.fault == "" && (err != nil || !ran):
				t.Errorf("error %v, the query ran: %v", err, ran)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault) || ran):
				t.Errorf("error %v, want %s; the query ran: %v", err, c.fault, ran)
			}
		})
	}
}

func TestModule_Columns_hasWhatTheChecksNeed(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	for describe, want := range map[string]store.Columns{
		`{"name":"p","version":1}`:                             0,
		`{"name":"p","version":1,"columns":["partition_key"]}`: store.ColumnAggregateID,
		`{"name":"p","version":1` + byCustomer + `}`:           store.ColumnAggregateID | store.ColumnPayload,
		`{"name":"p","version":1` + byTenant + `}`:             store.ColumnAggregateID | store.ColumnMetadata,
		owning("", "text", ""):                                 0,
		owning("", "text", marked):                             store.ColumnAggregateID,
		owning("", "uuid", `,"event_id":true`):                 store.ColumnEventID,
		owning("", "i64", `,"position":true`):                  0,
		owning(`,"ordering":"global"`, "text", marked):         0,
	} {
		module := load(t, runtime, "columns.wasm", (&hosttest.Guest{Describe: describe}).Wasm())
		if got := module.Columns(); got != want {
			t.Errorf("%s reads columns %b, want %b", describe, got, want)
		}
	}
}

// TestGuest_getsThePartitionKey has a guest that returns its batch as the message of an error.
func TestGuest_getsThePartitionKey(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	for partition, want := range map[string][]string{
		"":                                  {"o0", "o1", "o2"},
		byCustomer:                          {"c1", "c2", "42"},
		`,"ordering":"global"`:              {"o0", "o1", "o2"},
		`,"partition":{"by":"correlation"}`: {"k", "k", "k"},
	} {
		describe := `{"name":"p","version":1,"columns":["partition_key"]` + partition + `}`
		guest := load(t, runtime, "echo.wasm", (&hosttest.Guest{Describe: describe}).Wasm()).NewGuest(0)
		batch, err := guest.Batch(ownedEvents())
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := abi.DecodeBatch(batch)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got := string(decoded.Bytes(abi.PartitionKey, i)); got != want[i] {
				t.Errorf("%s: key %d is %q, want %q", partition, i, got, want[i])
			}
		}
		guest.Close(t.Context())
	}
}
