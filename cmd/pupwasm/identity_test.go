package main

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func TestIdentities_everyFieldMakesAnotherEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	stream := store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "1"}
	event := store.Event{Type: "E", Version: 1, Payload: []byte("p"), CreatedAt: at}
	variants := []func(s *store.Stream, e *store.Event){
		func(*store.Stream, *store.Event) {},
		func(s *store.Stream, _ *store.Event) { s.BoundedContext, s.AggregateType = "", "CT" },
		func(s *store.Stream, _ *store.Event) { s.AggregateID = "2" },
		func(_ *store.Stream, e *store.Event) { e.Type = "F" },
		func(_ *store.Stream, e *store.Event) { e.Version = 2 },
		func(_ *store.Stream, e *store.Event) { e.Payload = []byte("q") },
		func(_ *store.Stream, e *store.Event) { e.Payload = nil },
		func(_ *store.Stream, e *store.Event) { e.Metadata, e.Payload = []byte("p"), nil },
		func(_ *store.Stream, e *store.Event) { e.CreatedAt = at.Add(time.Microsecond) },
		func(_ *store.Stream, e *store.Event) { e.CreatedAt = time.Time{} },
		func(_ *store.Stream, e *store.Event) { e.TraceID = "x" },
		func(_ *store.Stream, e *store.Event) { e.CorrelationID = "x" },
		func(_ *store.Stream, e *store.Event) { e.CausationID = "x" },
	}
	ids, again := newIdentities(), newIdentities()
	seen := map[store.UUID]int{}
	for round := range 3 {
		for i, vary := range variants {
			s, e := stream, event
			vary(&s, &e)
			id := ids.derive(s, &e)
			if before, taken := seen[id]; taken {
				t.Errorf("variant %d has the id of variant %d", i, before)
			}
			seen[id] = i
			if other := again.derive(s, &e); other != id {
				t.Errorf("variant %d, round %d: a repeat gives %s, must be %s", i, round, other, id)
			}
			if id[6]>>4 != 8 || id[8]>>6 != 2 {
				t.Errorf("%s is no UUID of version 8", id)
			}
		}
	}
}

// TestIdentities_stayTheSame pins ids: those in databases were made by earlier versions.
func TestIdentities_stayTheSame(t *testing.T) {
	t.Parallel()
	stream := store.Stream{BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: "S38735"}
	event := store.Event{
		Type: "CreateFine", Version: 1, Payload: []byte(`{"amount":62.59}`),
		CreatedAt: time.Unix(946681200, 0),
	}
	ids := newIdentities()
	for _, want := range []string{"00dc6a98-bd80-8a1e-9772-e1883f613c7b", "00dc6a98-bd80-8285-ad78-40076b4f8252"} {
		if got := ids.derive(stream, &event).String(); got != want {
			t.Errorf("id is %s, must be %s", got, want)
		}
	}
	event.CreatedAt = time.Time{}
	if got, want := ids.derive(stream, &event).String(), "3eaa46fb-5414-8e40-b8de-a58c27f83d12"; got != want {
		t.Errorf("id without a time is %s, must be %s", got, want)
	}
}
