package segments_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestPoll_aProjectionRestsWhenItHasCaughtUp has two projections, of which one rests for longer than the test takes.
func TestPoll_aProjectionRestsWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	options := quick()
	options.Segments = 1
	options.Projections = map[string]segments.ProjectionOptions{"ledger": {Poll: time.Hour}}
	native := &native{process: func([]store.RecordedEvent, store.Tx) error { return nil }}
	head := poisoned(t, s, 5, 5, 0) // more than a batch: a segment that is behind does not rest
	worker := startPrograms(t, s, options, &ledger{code: "one", breaks: &atomic.Int64{}}, native)
	applied(t, s, "ledger", head)
	for range 5 {
		applied(t, s, "native", poisoned(t, s, 5, 1, 0))
	}
	if at := statusOf(t, s, "ledger").Segments[0].Position; at != head {
		t.Errorf("the projection that rests is at %d, want %d", at, head)
	}
	worker.stop() // which does not wait for the end of the rest
}

// TestPoll_aProjectionReadsAtItsInterval appends all the time and measures the time between reads.
func TestPoll_aProjectionReadsAtItsInterval(t *testing.T) {
	t.Parallel()
	const interval = 30 * time.Millisecond
	s := logtest.New(t)
	reads := make(chan time.Time, 1000)
	options := quick()
	options.Segments = 1
	options.Projections = map[string]segments.ProjectionOptions{"ledger": {Poll: interval}}
	options.Observer = &segments.Observer{Read: func(segments.ObservedRead) { reads <- time.Now() }}
	startPrograms(t, s, options, &ledger{code: "one", breaks: &atomic.Int64{}})
	for range 5 {
		applied(t, s, "ledger", poisoned(t, s, 3, 3, 0))
	}
	for before := <-reads; len(reads) > 0; {
		next := <-reads
		if took := next.Sub(before); took < interval-time.Millisecond {
			t.Errorf("%s between two reads, want %s", took, interval)
		}
		before = next
	}
}

func TestPoll_ofAProjectionIsNotNegative(t *testing.T) {
	t.Parallel()
	options := segments.Options{Projections: map[string]segments.ProjectionOptions{"ledger": {Poll: -1}}}
	var wrong *segments.OptionError
	if err := options.Validate(); !errors.As(err, &wrong) || wrong.Option != `Projections["ledger"].Poll` {
		t.Errorf("the error is %v", err)
	}
}
