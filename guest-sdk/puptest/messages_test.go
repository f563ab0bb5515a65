package puptest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// sending returns a projection that sends messages, which a test runs as often as it likes.
func sending(handle handler, ordering pup.Ordering, tables []*pup.Table, messages ...*pup.Message) func(testing.TB) *puptest.Projection {
	return func(t testing.TB) *puptest.Projection {
		registering.Lock()
		defer registering.Unlock()
		registerSending(handle, ordering, tables, messages...)
		return puptest.New(t)
	}
}

func registerSending(handle handler, ordering pup.Ordering, tables []*pup.Table, messages ...*pup.Message) {
	pup.Register(pup.Projection{
		Name: "shop", Version: 2, Ordering: ordering, Tables: tables, Messages: messages, Handle: handle,
	})
}

func TestMessages_areThoseOfAllBatches(t *testing.T) {
	t.Parallel()
	paid := pup.NewMessage("order_paid", "shop.{customer}.paid").Type("com.example.paid")
	note := pup.NewMessage("note", "shop.notes").ContentType("text/plain").Key(pup.KeyNone)
	raw := pup.NewMessage("raw", "shop.raw").ContentType("image/png").Key(pup.KeyAll)
	start := sending(each(func(b *pup.Batch, out *pup.Mutations, e pup.Event) {
		if e.Index() == 0 && b.Len() > 1 { // out of order, which the host allows
			note.Send(out, b.Event(1)).Text("first of the second")
		}
		paid.Send(out, e).Text(e.AggregateID()).JSON(e.Payload())
		raw.Send(out, e).Bytes([]byte{0, 255})
	}), pup.OrderGlobal, nil, paid, note, raw)
	p := start(t)
	p.Apply(puptest.Event{AggregateID: "c.1", Payload: `{"n":1}`})
	p.WantMutations(`0 order_paid customer=c.1 data={"n":1}`, `0 raw data=\x00ff`)
	p.Apply(puptest.Event{AggregateID: "c2", Payload: "2"}, puptest.Event{AggregateID: "", Payload: "null"})
	p.WantMessages(
		`id=shop.v2.1.0 type=com.example.paid subject=shop.c%2E1.paid key=c.1 data={"n":1}`,
		`id=shop.v2.1.1 type=raw subject=shop.raw key="" data=\x00ff`,
		`id=shop.v2.2.0 type=com.example.paid subject=shop.c2.paid key=c2 data=2`,
		`id=shop.v2.2.1 type=raw subject=shop.raw key="" data=\x00ff`,
		`id=shop.v2.3.0 type=note subject=shop.notes key=shop.v2.3.0 data="first of the second"`,
		`id=shop.v2.3.1 type=com.example.paid subject=shop.%00.paid key="" data=null`,
		`id=shop.v2.3.2 type=raw subject=shop.raw key="" data=\x00ff`,
	)
	if got := failureOf(t, func(r testing.TB) { start(r).WantMessages("x") }); !strings.Contains(got, "messages are") {
		t.Errorf("%q", got)
	}
}

// TestMessages_ofABatchThatFailsAreNotSent by a projection that returns an error behind them.
func TestMessages_ofABatchThatFailsAreNotSent(t *testing.T) {
	t.Parallel()
	note := pup.NewMessage("note", "shop.notes")
	p := sending(func(b *pup.Batch, out *pup.Mutations) error {
		note.Send(out, b.Event(0)).JSON([]byte("1"))
		return pup.ErrorAt(b.Event(0), 1, "no")
	}, pup.OrderStream, nil, note)(t)
	p.ApplyError(puptest.Event{})
	p.WantMessages()
}

func TestMessages_areRefusedAsByTheHost(t *testing.T) {
	t.Parallel()
	paid := pup.NewMessage("order_paid", "shop.{customer}.paid")
	note := pup.NewMessage("note", "shop.notes").ContentType("text/plain")
	const at = "the reply is wrong: at event 1 of stream //c1: "
	for want, send := range map[string]func(out *pup.Mutations, e pup.Event){
		at + `message "order_paid", customer: is null`: func(out *pup.Mutations, e pup.Event) { paid.Send(out, e).Null().JSON([]byte("1")) },
		at + `message "order_paid" has no data`:        func(out *pup.Mutations, e pup.Event) { paid.Send(out, e).Text("a").Null() },
		at + `message "order_paid" has a subject of more than 1024 bytes`: func(out *pup.Mutations, e pup.Event) {
			paid.Send(out, e).Text(strings.Repeat("x", 1015)).JSON([]byte("1"))
		},
		at + `message "note" has 1048577 bytes of data, the limit is 1048576`: func(out *pup.Mutations, e pup.Event) {
			note.Send(out, e).Text(strings.Repeat("x", 1<<20+1))
		},
		`the reply is wrong: message "order_paid": "{" is not JSON`: func(out *pup.Mutations, e pup.Event) {
			paid.Send(out, e).Text("a").JSON([]byte("{"))
		},
		`the reply is wrong: message "note": text "a\x00" is not UTF-8 without NUL`: func(out *pup.Mutations, e pup.Event) {
			note.Send(out, e).Text("a\x00")
		},
	} {
		handle := each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) { send(out, e) })
		got := failureOf(t, func(r testing.TB) {
			sending(handle, pup.OrderStream, nil, paid, note)(r).Apply(puptest.Event{AggregateID: "c1"})
		})
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	got := failureOf(t, func(r testing.TB) {
		sending(each(nil), pup.OrderStream, nil, pup.NewMessage("m", "a").Key(pup.KeyAll))(r)
	})
	if want := `message "m": has key "all", which needs ordering "global": segments run at the same time`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	got = failureOf(t, func(r testing.TB) {
		sending(each(nil), pup.OrderStream, nil, pup.NewMessage("m", "a").ContentType("application/cloudevents+json"))(r)
	})
	if want := `message "m": has content_type "application/cloudevents+json": the data would be taken for a CloudEvent`; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// sixEvents are of three streams.
func sixEvents() []puptest.Event {
	events := make([]puptest.Event, 6)
	for i := range events {
		events[i] = puptest.Event{AggregateID: fmt.Sprintf("s%d", i%3), Payload: strconv.Itoa(i)}
	}
	return events
}

// TestChecks_compareMessages has projections that send what depends on where batches begin, or on the segments, and such
// that do not.
func TestChecks_compareMessages(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("days", pup.Text("day").Key(), pup.I64("n"))
	add, peek := table.Upsert("add", pup.Add("n")), table.Load("peek").Unordered()
	m := pup.NewMessage("m", "a.{b}")
	none := pup.NewMessage("m", "a.{b}").Key(pup.KeyNone)
	send := func(message *pup.Message) handler {
		return each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) {
			message.Send(out, e).Text(e.AggregateID()).JSON(e.Payload())
			message.Send(out, e).Text("again").JSON(e.Payload())
		})
	}
	for _, c := range []struct {
		name           string
		handle         handler
		message        *pup.Message
		splits, others string // of the failures; "" for none
	}{
		{"each event", send(m), m, "", ""},
		{"each event, without order", send(none), none, "", ""},
		{"each event, the last one first", func(b *pup.Batch, out *pup.Mutations) error {
			for i := range b.Len() {
				e := b.Event(b.Len() - 1 - i)
				m.Send(out, e).Text(e.AggregateID()).JSON(e.Payload())
			}
			return nil
		}, m, "", ""},
		{"the size of the batch", each(func(b *pup.Batch, out *pup.Mutations, e pup.Event) {
			m.Send(out, e).Text("x").JSON([]byte(strconv.Itoa(b.Len())))
		}), m, "batches of 1: message id=shop.v2.1.0 type=m subject=a.x key=s0 data=1, with one batch id=shop.v2.1.0 ", "with one segment id="},
		{"the last event of a batch", func(b *pup.Batch, out *pup.Mutations) error {
			m.Send(out, b.Event(b.Len()-1)).Text("x").JSON([]byte("1"))
			return nil
		}, m, "batches of 1: message id=shop.v2.1.0 type=m subject=a.x key=s0 data=1: with one batch there is none", "there is none"},
		{"the first batch", func(b *pup.Batch, out *pup.Mutations) error {
			if b.Event(0).Position() == 1 && b.Len() > 3 {
				m.Send(out, b.Event(0)).Text("x").JSON([]byte("1"))
			}
			return nil
		}, m, "batches of 1: there is no message id=shop.v2.1.0 type=m subject=a.x key=s0 data=1, which there is with one batch", "there is no message"},
		{"what all segments share", each(func(b *pup.Batch, out *pup.Mutations, e pup.Event) {
			add.Row(out, e).Text("today").I64(1)
			peek.Args(b).Texts([]string{"today"})
			if rows := peek.Run(b); e.Index() == 0 && rows.Next() {
				_ = rows.I64()
				m.Send(out, e).Text("x").JSON([]byte(strconv.FormatInt(rows.I64(), 10)))
			}
		}), m, "batches of 1: message id=", "message id="},
	} {
		t.Run(c.name, func(t *testing.T) {
			registering.Lock()
			defer registering.Unlock()
			registerSending(c.handle, pup.OrderStream, []*pup.Table{table}, c.message)
			got := failureOf(t, func(r testing.TB) { puptest.CheckSplits(r, sixEvents()...) })
			if (got == "") != (c.splits == "") || !strings.Contains(got, c.splits) {
				t.Errorf("splits: %q, want %q", got, c.splits)
			}
			got = failureOf(t, func(r testing.TB) { puptest.CheckSegments(r, sixEvents()...) })
			if (got == "") != (c.others == "") || !strings.Contains(got, c.others) {
				t.Errorf("segments: %q, want %q", got, c.others)
			}
		})
	}
}
