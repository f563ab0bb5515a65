package trial

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// threeEvents are at positions 5, 7 and 9, of two streams.
func threeEvents() []store.RecordedEvent {
	var all []store.RecordedEvent
	for i, stream := range []string{"a", "b", "a"} {
		e := store.RecordedEvent{
			Event:    store.Event{ID: store.UUID{byte(i + 1)}, Type: "E" + stream, Payload: []byte("12345"), Metadata: []byte("{}"), TraceID: "t"},
			Stream:   store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: stream},
			Position: int64(5 + 2*i), AggregateVersion: int64(i + 1), PartitionHash: store.PartitionHash(stream),
		}
		all = append(all, e)
	}
	return all
}

func TestLog_readsAsDatabasesDo(t *testing.T) {
	t.Parallel()
	l := NewLog(threeEvents())
	for _, c := range []struct {
		name   string
		change func(r *store.ReadRequest)
		want   string
	}{
		{"all", func(*store.ReadRequest) {}, "[5 7 9] 20"},
		{"behind a position", func(r *store.ReadRequest) { r.After = 5 }, "[7 9] 20"},
		{"up to a position", func(r *store.ReadRequest) { r.Through = 8 }, "[5 7] 8"},
		{"nothing", func(r *store.ReadRequest) { r.After = 20 }, "[] 20"},
		{"as many as asked for", func(r *store.ReadRequest) { r.Limit = 2 }, "[5 7] 7"},
		{"as many bytes as asked for", func(r *store.ReadRequest) { r.Bytes = 20 }, "[5 7] 7"},
		{"one that is too large", func(r *store.ReadRequest) { r.Bytes = 1 }, "[5] 5"},
		{"by type", func(r *store.ReadRequest) { r.Subscription.EventTypes = []string{"Eb"} }, "[7] 20"},
		{"by range", func(r *store.ReadRequest) {
			place := store.Spread(store.PartitionHash("b"))
			r.Range = store.HashRange{First: place, Last: place}
		}, "[7] 20"},
		{"at positions", func(r *store.ReadRequest) { r.Positions = []int64{5, 6, 9} }, "[5 9] 20"},
	} {
		request := store.ReadRequest{Through: 20, Limit: 10, Range: store.FullRange(), Columns: store.ColumnAggregateID}
		c.change(&request)
		var page store.Page
		if err := l.Read(t.Context(), request, &page); err != nil || page.Log != l.id {
			t.Fatalf("%s: %v, log %v", c.name, err, page.Log)
		}
		positions := []int64{}
		for _, e := range page.Events {
			positions = append(positions, e.Position)
			if e.AggregateID == "" || e.BoundedContext != "" || e.Type != "" || e.TraceID != "" {
				t.Errorf("%s: a field that was not asked for, or not the one that was: %+v", c.name, e)
			}
		}
		if got := fmt.Sprint(positions, " ", page.Through); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if err := l.Read(t.Context(), store.ReadRequest{Through: 9}, &store.Page{}); err == nil {
		t.Error("a read without a limit")
	}
}

func TestLog_tellsWhatIsThere(t *testing.T) {
	t.Parallel()
	l := NewLog(threeEvents())
	state, err := l.Locate(t.Context(), 0, 5, 6, 9, 10)
	if err != nil || state.Head != 9 || fmt.Sprint(state.Events) != fmt.Sprint([]store.UUID{{}, {1}, {}, {3}, {}}) {
		t.Errorf("located: %+v, %v", state, err)
	}
	for position, want := range map[int64]store.Applied{
		4: {Log: l.id}, 5: {Log: l.id, Position: 5, Event: store.UUID{1}}, 8: {Log: l.id, Position: 7, Event: store.UUID{2}},
	} {
		if got, err := l.AppliedAt(t.Context(), position); err != nil || got != want {
			t.Errorf("applied at %d: %+v, %v", position, got, err)
		}
	}
	events, err := l.ReadStream(t.Context(), threeEvents()[0].Stream, 2, 0)
	if err != nil || len(events) != 1 || events[0].Position != 9 {
		t.Errorf("the stream has %+v, %v", events, err)
	}
	if _, err := l.ReadStream(t.Context(), store.Stream{}, 1, 0); !errors.Is(err, store.ErrStreamNotFound) {
		t.Errorf("a stream that is not there: %v", err)
	}
}
