package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/store"
)

// caused are events of requests, so many of each in a row.
func caused(requests, each int) (events []store.RecordedEvent) {
	for request := range requests {
		metadata := fmt.Appendf(nil, `{"traceparent":"00-%032x-%016x-01"}`, 1, request+1)
		for range each {
			events = append(events, store.RecordedEvent{Event: store.Event{Metadata: metadata}})
		}
	}
	return events
}

func TestAppendTraces_eachOnceAndNotTooMany(t *testing.T) {
	t.Parallel()
	first := pipeline.AppendTraces(nil, caused(3, 5), 4)
	if len(first) != 3 || first[2].Span[7] != 3 {
		t.Errorf("of 3 requests there are %x", first)
	}
	// The next batch of the same commit begins with requests that are known.
	both := pipeline.AppendTraces(first, caused(9, 1), 4)
	if len(both) != 4 || both[3].Span[7] != 4 {
		t.Errorf("of 9 requests there are %x", both)
	}
}

// TestAppendTraces_absentAllocatesNothing counts what a batch costs when nobody asks.
func TestAppendTraces_absentAllocatesNothing(t *testing.T) {
	events := caused(1000, 1)
	if n := testing.AllocsPerRun(100, func() { pipeline.AppendTraces(nil, events, 0) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

// BenchmarkAppendTraces is what 1,000 events cost when nobody asks, and when somebody does.
func BenchmarkAppendTraces(b *testing.B) {
	for name, c := range map[string]struct {
		most   int
		events []store.RecordedEvent
	}{
		"absent":         {0, caused(1000, 1)},
		"one request":    {32, caused(1, 1000)},
		"many requests":  {32, caused(1000, 1)},
		"without traces": {32, make([]store.RecordedEvent, 1000)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pipeline.AppendTraces(nil, c.events, c.most)
			}
		})
	}
}
