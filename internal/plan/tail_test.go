package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// logOf has n events, of which every so many is of type B.
func logOf(n, every int) *trial.Log {
	events := make([]store.RecordedEvent, n)
	for i := range events {
		events[i] = store.RecordedEvent{
			Event:    store.Event{Type: "A", Payload: fmt.Append(nil, i)},
			Stream:   store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "s"},
			Position: int64(i + 1), AggregateVersion: int64(i + 1),
		}
		if (i+1)%every == 0 {
			events[i].Type = "B"
		}
	}
	return trial.NewLog(events)
}

func TestLast_readsFromTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		n, every      int
		types         []string
		events        int
		first, length int64 // of what is found: the first position, and how many
		inLog         int64
		all           bool
	}{
		{"no log", 0, 1, nil, 10, 0, 0, 0, true},
		{"fewer than asked for", 100, 10, []string{"B"}, 50, 10, 10, 10, true},
		{"as many as asked for", 100, 10, []string{"B"}, 10, 10, 10, 10, true},
		{"more than asked for", 100, 10, []string{"B"}, 3, 80, 3, 10, true},
		{"all types", 100, 10, nil, 3, 98, 3, 100, true},
		{"none", 100, 10, []string{"D"}, 3, 0, 0, 0, true},
		{"the end of a long log", 100_000, 10, nil, 7, 99_994, 7, 100_000, false},
		{"an estimate", 100_000, 10, []string{"B"}, 7, 99_940, 7, 10_000, false},
		{"in the second part", 100_000, 10_000, []string{"B"}, 2, 90_000, 2, 12, false},
		{"rare ones", 100_000, 60_000, []string{"B"}, 7, 60_000, 1, 1, true},
	} {
		p := &planner{Options: Options{Log: logOf(c.n, c.every), Events: c.events}}
		got, err := p.last(t.Context(), &store.Subscription{EventTypes: c.types})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		first := int64(0)
		if len(got.events) > 0 {
			first = got.events[0].Position
		}
		if first != c.first || int64(len(got.events)) != c.length || got.inLog != c.inLog || got.all != c.all {
			t.Errorf("%s: %d events from %d on, of %d (exact: %t)", c.name, len(got.events), first, got.inLog, got.all)
		}
		for _, e := range got.events {
			if string(e.Payload) != fmt.Sprint(e.Position-1) {
				t.Errorf("%s: event %d has the payload %s", c.name, e.Position, e.Payload)
			}
		}
	}
}

func TestUnion_hasTheEventsOfBoth(t *testing.T) {
	t.Parallel()
	a := &store.Subscription{EventTypes: []string{"x", "y"}, AggregateTypes: []string{"T"}}
	b := &store.Subscription{EventTypes: []string{"z", "y"}, BoundedContexts: []string{"C"}}
	got := store.UnionOf(a, b)
	if !slices.Equal(got.EventTypes, []string{"x", "y", "z"}) || got.AggregateTypes != nil || got.BoundedContexts != nil {
		t.Errorf("the union is %+v", got)
	}
	if !slices.Equal(a.EventTypes, []string{"x", "y"}) {
		t.Errorf("it has changed what it was given: %v", a.EventTypes)
	}
}
