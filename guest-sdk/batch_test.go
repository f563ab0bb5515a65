package pup_test

import (
	"errors"
	"fmt"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestEvent_fieldThatWasNotAskedForPanics(t *testing.T) {
	t.Parallel()
	table, _ := newCounter()
	for _, test := range []struct {
		field string
		read  func(e pup.Event)
	}{
		{"trace_id", func(e pup.Event) { e.TraceID() }},
		{"metadata", func(e pup.Event) { e.Metadata() }},
		{"event_id", func(e pup.Event) { e.ID() }},
		{"event_version", func(e pup.Event) { e.Version() }},
		{"payload", func(e pup.Event) { e.JSON() }},
		{"created_at", func(e pup.Event) { e.CreatedAt() }},
	} {
		handle := func(b *pup.Batch, _ *pup.Mutations) error {
			mustPanic(t, "pup: the batch has no "+test.field+": add it to the Fields of the Projection",
				func() { test.read(b.Event(0)) })
			return nil
		}
		p := newProjection(t, pup.Projection{
			Tables: []*pup.Table{table}, Fields: []pup.Field{pup.AggregateID},
			Handle: handle,
		})
		p.Apply(puptest.Event{})
		if len(p.Logged()) != 1 {
			t.Errorf("logged is %q", p.Logged())
		}
	}
}

func TestHandle_errorsAreAttributed(t *testing.T) {
	t.Parallel()
	table, count := newCounter()
	plain := errors.New("plain")
	for _, test := range []struct {
		name   string
		handle func(b *pup.Batch, out *pup.Mutations) error
		want   pup.Error
	}{
		{"returned from the loop", func(b *pup.Batch, _ *pup.Mutations) error {
			for e := range b.Events() {
				if e.Index() == 1 {
					return plain
				}
			}
			return nil
		}, pup.Error{Event: 1, Message: "plain"}},
		{"after the loop", func(b *pup.Batch, _ *pup.Mutations) error {
			for range b.Events() {
			}
			return plain
		}, pup.Error{Event: -1, Message: "plain"}},
		{
			"at an event", func(b *pup.Batch, _ *pup.Mutations) error { return pup.At(b.Event(2), plain) },
			pup.Error{Event: 2, Message: "plain"},
		},
		{"with a code", func(b *pup.Batch, _ *pup.Mutations) error {
			return fmt.Errorf("wrapped: %w", pup.ErrorAt(b.Event(2), 7, "coded"))
		}, pup.Error{Event: 2, Code: 7, Message: "wrapped: coded"}},
		{
			"moved", func(b *pup.Batch, _ *pup.Mutations) error {
				return pup.At(b.Event(1), pup.ErrorAt(b.Event(2), 7, "coded"))
			},
			pup.Error{Event: 1, Code: 7, Message: "coded"},
		},
		{
			"text that is none", func(*pup.Batch, *pup.Mutations) error { return errors.New("a\x00b\xffc") },
			pup.Error{Event: -1, Message: "a\uFFFDb\uFFFDc"},
		},
		{"bad payload that nobody looked at", func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				count.Row(out, e).Text("x").I64(e.JSON().Int64())
			}
			return nil
		}, pup.Error{Event: 1, Message: "json: offset 0: is an object, not a number of 0 to 18 decimals"}},
		{"bad payload before its consequence", func(b *pup.Batch, _ *pup.Mutations) error {
			for e := range b.Events() {
				if e.JSON().Int64() == 0 {
					return plain
				}
			}
			return nil
		}, pup.Error{Event: 1, Message: "json: offset 0: is an object, not a number of 0 to 18 decimals"}},
		{"the first of two", func(b *pup.Batch, out *pup.Mutations) error {
			count.Row(out, b.Event(2)).I64(1)
			return pup.ErrorAt(b.Event(1), 3, "earlier")
		}, pup.Error{Event: 1, Code: 3, Message: "earlier"}},
	} {
		// Not parallel: registering a table numbers its writes, and all cases share one.
		t.Run(test.name, func(t *testing.T) {
			p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: test.handle})
			got := p.ApplyError(puptest.Event{Payload: "5"}, puptest.Event{Payload: "{}"}, puptest.Event{Payload: "6"})
			if *got != test.want {
				t.Errorf("got %+v, want %+v", *got, test.want)
			}
			p.WantRows("counts")
		})
	}
}

func TestHandle_checkedJSONErrorIsNoFailure(t *testing.T) {
	t.Parallel()
	table, count := newCounter()
	p := newProjection(t, pup.Projection{
		Tables: []*pup.Table{table},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				payload := e.JSON()
				n := payload.Int64()
				if payload.Err() == nil {
					count.Row(out, e).Text("x").I64(n)
				}
			}
			return nil
		},
	})
	p.Apply(puptest.Event{Payload: "5"}, puptest.Event{Payload: "?"}, puptest.Event{Payload: "6"})
	p.WantRows("counts", "id=x n=11")
}

func TestAt_nilStaysNil(t *testing.T) {
	t.Parallel()
	if pup.At(pup.Event{}, nil) != nil {
		t.Error("no error became one")
	}
}

func TestLog_linesReachTheHost(t *testing.T) {
	t.Parallel()
	table, _ := newCounter()
	p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: func(*pup.Batch, *pup.Mutations) error {
		pup.Log(pup.LevelDebug, "one")
		if pup.Logs(pup.LevelWarn) {
			pup.Log(pup.LevelWarn, "two")
		}
		return nil
	}})
	p.Apply(puptest.Event{})
	if logged := p.Logged(); len(logged) != 2 || logged[0] != "debug: one" || logged[1] != "warn: two" {
		t.Errorf("logged is %q", logged)
	}
}

func TestHandle_doesNotAllocatePerEvent(t *testing.T) {
	table, count := newCounter()
	newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			payload := e.JSON()
			n := int64(0)
			for o := payload.Object(); o.Next(); {
				if o.Key() == "n" {
					n = payload.Int64()
				}
			}
			count.Row(out, e).Text(e.AggregateID()).I64(n + int64(len(e.Type())))
		}
		return nil
	}})
	events := make([]puptest.Event, 100)
	for i := range events {
		events[i] = puptest.Event{AggregateID: fmt.Sprint(i % 7), Type: "T", Payload: `{"a":"x\ty","n":12}`}
	}
	if n := puptest.AllocsPerBatch(t, events...); n > 1 { // each batch has Mutations of its own
		t.Errorf("%v allocations for %d events", n, len(events))
	}
}
