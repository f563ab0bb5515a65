package host_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// sending describes a projection with a write of the totals of a day, and three messages.
func sending(more string) string {
	return `{"name":"shop","version":3` + more + `,
"tables":[{"name":"days","key":["day"],"columns":[{"name":"day","type":"text"},{"name":"n","type":"i64"}]}],
"writes":[{"name":"count","action":"upsert","table":"days","columns":[{"name":"n","action":"add"}]}],
"messages":[{"name":"order_paid","subject":"shop.{customer}.paid","type":"com.example.paid"},
{"name":"note","subject":"shop.notes","content_type":"text/plain","key":"none"},
{"name":"picture","subject":"shop.pictures","content_type":"image/png"}]}`
}

func countDay(event uint32) []byte {
	return abi.AppendI64(abi.AppendBytes(abi.AppendMutation(nil, 0, 2, event), abi.KindText, "today"), 1)
}

func paid(event uint32, customer, data string) []byte {
	out := abi.AppendBytes(abi.AppendMutation(nil, 1, 2, event), abi.KindText, customer)
	return abi.AppendBytes(out, abi.KindJSON, data)
}

func note(event uint32, text string) []byte {
	return abi.AppendBytes(abi.AppendMutation(nil, 2, 1, event), abi.KindText, text)
}

func picture(event uint32, data string) []byte {
	return abi.AppendBytes(abi.AppendMutation(nil, 3, 1, event), abi.KindBytes, data)
}

const (
	firstTrace  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	secondTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// sentEvents are those of ownedEvents with what messages have of events.
func sentEvents() []store.RecordedEvent {
	events := ownedEvents()
	for i := range events {
		events[i].CreatedAt = time.Date(2026, 1, 2, 3, 4, 5+i, 6000, time.UTC)
	}
	events[0].Metadata = []byte(`{"tenant":true,"traceparent":"` + firstTrace + `"}`)
	events[1].TraceID = secondTrace
	return events
}

// sent applies the events, and returns what a guest with this description and reply sends.
func sent(t *testing.T, describe string, reply ...[]byte) []store.Message {
	t.Helper()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	guest := load(t, runtime, "sends.wasm", (&hosttest.Guest{Describe: describe, Reply: hosttest.Reply(reply...)}).Wasm()).NewGuest(0)
	defer guest.Close(t.Context())
	mutations, err := guest.Apply(t.Context(), sentEvents(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		if m.Write != 0 || len(m.Values) != 2 || string(m.Values[0].Bytes()) != "today" || m.Values[1].Int() != 1 {
			t.Errorf("mutation %+v", m)
		}
	}
	if want := len(reply) - len(guest.Messages()); len(mutations) != want {
		t.Errorf("%d mutations, want %d", len(mutations), want)
	}
	return guest.Messages()
}

// TestGuest_makesMessages has rows between the messages, and the messages of the events in no order.
func TestGuest_makesMessages(t *testing.T) {
	t.Parallel()
	messages := sent(t, sending(byCustomer), countDay(0), paid(2, "c.3", `{"n":1}`), note(0, "a"), countDay(1), picture(1, "\x00\xff"),
		paid(0, "c1", "null"), countDay(2), paid(0, "", "[]"), note(2, ""))
	var got []string
	for _, m := range messages {
		got = append(got, fmt.Sprintf("%s key=%s %s %s %s %q trace=%s spread=%t %s", m.MessageID, m.Key, m.Type, m.Subject, m.ContentType,
			m.Data, m.TraceParent, m.Spread == store.Spread(store.PartitionHashOf(keyOf(m.Position))), m.Time.Format("05.000000")))
	}
	want := []string{
		`shop.v3.10.0 key=shop.v3.10.0 note shop.notes text/plain "a" trace=` + firstTrace + ` spread=true 05.000006`,
		`shop.v3.10.1 key=c1 com.example.paid shop.c1.paid application/json "null" trace=` + firstTrace + ` spread=true 05.000006`,
		`shop.v3.10.2 key=c1 com.example.paid shop.%00.paid application/json "[]" trace=` + firstTrace + ` spread=true 05.000006`,
		`shop.v3.11.0 key=c2 picture shop.pictures image/png "\x00\xff" trace=` + secondTrace + ` spread=true 06.000006`,
		`shop.v3.12.0 key=42 com.example.paid shop.c%2E3.paid application/json "{\"n\":1}" trace= spread=true 07.000006`,
		`shop.v3.12.1 key=shop.v3.12.1 note shop.notes text/plain "" trace= spread=true 07.000006`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// keyOf is the customer of an event of ownedEvents.
func keyOf(position int64) []byte { return []byte([]string{"c1", "c2", "42"}[position-10]) }

func TestGuest_messagesHaveTheKeyOfTheirEvents(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{
		"":                                  "o1",
		byCustomer:                          "c2",
		`,"partition":{"by":"correlation"}`: "k",
		`,"ordering":"global"`:              "o1",
	} {
		if messages := sent(t, sending(more), paid(1, "c", "1")); string(messages[0].Key) != want {
			t.Errorf("%s: key %q, want %q", more, messages[0].Key, want)
		}
	}
	all := strings.Replace(sending(`,"ordering":"global"`), `"type":"com.example.paid"`, `"key":"all"`, 1)
	for _, m := range sent(t, all, paid(1, "c", "1"), paid(2, "d", "2")) {
		if m.Key == nil || len(m.Key) > 0 {
			t.Errorf("key %q, must be empty", m.Key)
		}
	}
}

// TestGuest_messagesOutliveTheBatch has a second batch overwrite all that the first one was read into.
func TestGuest_messagesOutliveTheBatch(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	g := &hosttest.Guest{Describe: sending(byCustomer), Reply: hosttest.Reply(paid(0, "c1", `{"n":1}`))}
	guest := load(t, runtime, "sends.wasm", g.Wasm()).NewGuest(0)
	defer guest.Close(t.Context())
	events := sentEvents()
	if _, err := guest.Apply(t.Context(), events, nil); err != nil {
		t.Fatal(err)
	}
	first := guest.Messages()
	for i := range events {
		clear(events[i].Payload)
		clear(events[i].Metadata)
	}
	if _, err := guest.Apply(t.Context(), sentEvents()[:1], nil); err != nil {
		t.Fatal(err)
	}
	if m := first[0]; string(m.Key) != "c1" || string(m.Data) != `{"n":1}` || m.Subject != "shop.c1.paid" || m.TraceParent != firstTrace {
		t.Errorf("the message is %+v", m)
	}
}

// TestGuest_aFaultSendsNothing has batches that fail behind one that sends, at an event and without one.
func TestGuest_aFaultSendsNothing(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{ValuesMax: 6}})
	for name, c := range map[string]struct {
		reply    [][]byte
		position int64
		text     string
	}{
		"null":         {[][]byte{note(0, "a"), append(abi.AppendMutation(nil, 2, 1, 1), byte(abi.KindNull))}, 11, `message "note" has no data`},
		"subject":      {[][]byte{note(0, "a"), paid(2, strings.Repeat("x", 2000), "1")}, 12, `message "order_paid" has a subject of more than 1024 bytes`},
		"data":         {[][]byte{note(0, "a"), note(1, strings.Repeat("x", store.MessageBytesMax+1))}, 11, `message "note" has 1048577 bytes of data, the limit is 1048576`},
		"kind":         {[][]byte{note(0, "a"), append(abi.AppendMutation(nil, 2, 1, 1), abi.AppendI64(nil, 1)...)}, 11, `message "note", data: is i64, must be text`},
		"name":         {[][]byte{paid(0, "a\x00", "1")}, 10, `message "order_paid", customer: a text value contains NUL`},
		"many values":  {[][]byte{paid(0, "a", "1"), paid(0, "a", "1"), paid(0, "a", "1"), note(0, "a")}, 10, "a reply has more than 6 values"},
		"unknown":      {[][]byte{note(0, "a"), abi.AppendMutation(nil, 4, 0, 0)}, 10, "a mutation names write 4, the catalogue has 1 writes and 3 messages"},
		"wrong values": {[][]byte{note(0, "a"), abi.AppendMutation(nil, 1, 0, 1)}, 11, `message "order_paid" takes 2 values, 0 were given`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := len(hosttest.Reply(note(0, "before")))
			g := &hosttest.Guest{Describe: sending(""), Reply: append(hosttest.Reply(note(0, "before")), hosttest.Reply(c.reply...)...)}
			g.Apply = hosttest.Code( // one event is answered well, more are not
				hosttest.LocalGet(0), hosttest.I32Load(12), hosttest.I32Const(1), hosttest.I32Eq,
				hosttest.If(hosttest.Result(g.ReplyAddress(), uint32(good)), hosttest.Return),
				hosttest.Result(g.ReplyAddress()+uint32(good), uint32(len(g.Reply)-good)),
			)
			guest := load(t, runtime, "sends.wasm", g.Wasm()).NewGuest(0)
			defer guest.Close(t.Context())
			if _, err := guest.Apply(t.Context(), sentEvents()[:1], nil); err != nil || len(guest.Messages()) != 1 {
				t.Fatalf("%d messages, error %v", len(guest.Messages()), err)
			}
			_, err := guest.Apply(t.Context(), sentEvents(), nil)
			var fault *host.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.Reason, c.text) {
				t.Errorf("error %v, want %s", err, c.text)
			} else if name != "many values" && name != "unknown" && fault.Position != c.position {
				t.Errorf("the fault is at %d, want %d", fault.Position, c.position)
			}
			if len(guest.Messages()) > 0 {
				t.Errorf("a batch that fails sends %v", guest.Messages())
			}
		})
	}
}

// TestGuest_messagesAreBoundedTogether by the limit of a reply, with what they take of their events.
func TestGuest_messagesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{ReplyBytesMax: 10_000}})
	many := func(n int) []byte {
		var notes [][]byte
		for range n {
			notes = append(notes, picture(0, ""))
		}
		return hosttest.Reply(notes...)
	}
	for n, want := range map[int]string{10: "", 100: "the messages of a reply take more than 10000 bytes: make batches smaller"} {
		guest := load(t, runtime, "sends.wasm", (&hosttest.Guest{Describe: sending(""), Reply: many(n)}).Wasm()).NewGuest(0)
		_, err := guest.Apply(t.Context(), sentEvents()[:1], nil)
		guest.Close(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d messages: error %v, want %q", n, err, want)
		}
	}
}

// TestModule_Columns_hasWhatMessagesNeed, and the guest gets none of it.
func TestModule_Columns_hasWhatMessagesNeed(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	of := store.TraceColumns | store.ColumnCreatedAt | store.ColumnAggregateID
	for more, want := range map[string]store.Columns{
		"":                     of,
		byCustomer:             of | store.ColumnPayload,
		byTenant:               of,
		`,"ordering":"global"`: of,
	} {
		module := load(t, runtime, "columns.wasm", (&hosttest.Guest{Describe: sending(more)}).Wasm())
		if got := module.Columns(); got != want {
			t.Errorf("%s reads columns %b, want %b", more, got, want)
		}
		guest := module.NewGuest(0)
		batch, err := guest.Batch(sentEvents())
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := abi.DecodeBatch(batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, column := range []abi.Column{abi.AggregateID, abi.Payload, abi.Metadata, abi.TraceID, abi.CreatedAt} {
			if decoded.Has(column) {
				t.Errorf("%s: the guest gets column %d", more, column)
			}
		}
		guest.Close(t.Context())
	}
}
