package segments_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

func TestJoinObservers_tellsTheMostTracesThatOneWants(t *testing.T) {
	t.Parallel()
	if traces := segments.JoinObservers(&segments.Observer{Traces: 3}, nil, &segments.Observer{Traces: 7},
		&segments.Observer{}).Traces; traces != 7 {
		t.Errorf("%d traces are told, want 7", traces)
	}
}

// TestObserver_isToldWhatCausedTheEvents has a span for each round of events, and a fault.
func TestObserver_isToldWhatCausedTheEvents(t *testing.T) {
	t.Parallel()
	const most = 3
	s, seen := logtest.New(t), &observed{}
	caused := func(round int) string { return fmt.Sprintf("00-%032x-%016x-01", 1, round) }
	var head int64
	for round := 1; round <= 8; round++ {
		event := store.Event{Type: "Good", Metadata: []byte(`{"traceparent":"` + caused(round) + `"}`)}
		if round == 5 {
			event = store.Event{Type: "Bad", TraceID: caused(round)}
		}
		for stream := range 2 {
			appended, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
				Stream: store.Stream{BoundedContext: "b", AggregateType: "t", AggregateID: fmt.Sprint("n", stream)},
				Events: []store.Event{event},
			})
			if err != nil {
				t.Fatal(err)
			}
			head = appended[0].Position
		}
	}
	options := parking()
	options.Observer, options.Segments = seen.observer(), 1
	options.Observer.Traces = most
	bad := badType("Bad")
	program := &ledger{code: "one", breaks: &atomic.Int64{}, bad: bad}
	worker := startPrograms(t, s, options, program)
	applied(t, s, "ledger", head)
	worker.SetProgram(&ledger{code: "two", breaks: &atomic.Int64{}})
	has(t, seen, "the keys are unparked", &seen.unparked, 2)
	worker.stop()

	span := func(round int) store.TraceParent {
		parent, _ := store.ParseTraceParent(caused(round))
		return parent
	}
	first := seen.commits[0]
	if len(first.Traces) == 0 || first.Traces[0] != span(1) {
		t.Errorf("the first commit is of %x, want that of round 1 first", first.Traces)
	}
	after := first.After
	for _, c := range seen.commits {
		if c.After != after || c.Position <= c.After {
			t.Errorf("a commit goes from %d to %d, the one before it went up to %d", c.After, c.Position, after)
		}
		after = c.Position
		if len(c.Traces) > most || len(slices.Compact(slices.Clone(c.Traces))) != len(c.Traces) {
			t.Errorf("a commit is of %x: want each once, and %d at most", c.Traces, most)
		}
		if slices.Contains(c.Traces, span(5)) {
			t.Error("a commit is of an event that failed")
		}
		for stage, at := range map[string]segments.ObservedStage{"read": c.Read, "applied": c.Applied} {
			if c.Events > 0 && (at.Began.IsZero() || at.Ended.Before(at.Began) || at.Busy <= 0) {
				t.Errorf("a commit of %d events was %s %+v", c.Events, stage, at)
			}
		}
	}
	if fault := seen.faults[0]; fault.Trace != span(5) {
		t.Errorf("the fault is of %x, want that of round 5", fault.Trace)
	}
	if retry := seen.retries[0]; len(retry.Traces) == 0 || retry.Traces[0] != span(5) || retry.Took <= 0 {
		t.Errorf("the retry is %+v, want that of round 5 first", retry)
	}
}

// columnWatch notes which columns are read.
type columnWatch struct {
	store.Store
	columns atomic.Uint64
}

func (w *columnWatch) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	w.columns.Or(uint64(request.Columns))
	return w.Store.Read(ctx, request, page)
}

// TestObserver_withoutTracesReadsNoMetadata looks at what is read.
func TestObserver_withoutTracesReadsNoMetadata(t *testing.T) {
	t.Parallel()
	for _, traces := range []int{0, 1, -1, 1000} {
		s, seen := &columnWatch{Store: logtest.New(t)}, &observed{}
		head := poisoned(t, s, 2, 2, 0)
		options := quick()
		options.Observer = seen.observer()
		options.Observer.Traces = traces
		startPrograms(t, s, options, &ledger{code: "one", breaks: &atomic.Int64{}})
		applied(t, s, "ledger", head)
		testwait.Until(t, "a commit is told", func() bool {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			return len(seen.commits) > 0
		})
		if read := store.Columns(s.columns.Load()); read.Has(store.ColumnMetadata) != (traces > 0) {
			t.Errorf("with %d traces these columns are read: %b", traces, read)
		}
	}
}
