package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// makeEvents makes events that a module subscribes to: those of the demo if it knows them, otherwise plain ones
// of its types.
func makeEvents(subscription *store.Subscription, count int, seed uint64) []store.RecordedEvent {
	var log trial.Recorder
	events := make([]store.RecordedEvent, 0, count)
	made := newDemoEvents(seed)
	for tries := 0; len(events) < count && tries < 50*count; tries++ {
		if e := made.next(); subscription.Matches(e.Stream, e.Events[0].Type) &&
			(len(subscription.EventTypes) > 0 || len(subscription.BoundedContexts) > 0) {
			events = append(events, log.Record(e.Stream, withID(e.Events[0], len(events))))
		}
	}
	random := rand.New(rand.NewPCG(seed, seed))
	pick := func(names []string, otherwise ...string) string {
		if len(names) == 0 {
			names = otherwise
		}
		return names[random.IntN(len(names))]
	}
	at := time.Date(2025, time.January, 1, 8, 0, 0, 0, time.UTC)
	for len(events) < count {
		at = at.Add(time.Duration(random.IntN(3600)) * time.Second)
		id := fmt.Sprintf("made-%d", random.IntN(20))
		stream := store.Stream{
			BoundedContext: pick(subscription.BoundedContexts, "Check"),
			AggregateType:  pick(subscription.AggregateTypes, "Thing", "Other"), AggregateID: id,
		}
		events = append(events, log.Record(stream, withID(store.Event{
			Type: pick(subscription.EventTypes, "Created", "Changed", "Closed"), CreatedAt: at,
			Payload: fmt.Appendf(nil, `{"id":%q,"name":"name %d","amount":"%d.%02d","n":%d}`, id, random.IntN(9),
				random.IntN(99), random.IntN(100), random.IntN(9)),
		}, len(events))))
	}
	return events
}

// withID gives an event an id that is the same each time.
func withID(e store.Event, number int) store.Event {
	e.ID = store.UUID{}
	copy(e.ID[:], fmt.Sprintf("check%011d", number))
	e.ID[6], e.ID[8] = e.ID[6]&0x0f|0x80, e.ID[8]&0x3f|0x80 // version 8 of UUIDs: custom
	return e
}
