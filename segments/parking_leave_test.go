package segments_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// late is a ledger that fails at an event when its time to end is over.
type late struct {
	*ledger
	reached chan struct{}
}

// Projection has SQL, so that the time to end is short.
func (l *late) Projection() *store.Projection {
	p := l.ledger.Projection()
	p.Queries = append(p.Queries, store.Query{
		Name: "one", SQL: store.Statement{store.DialectAny: "SELECT 1"}, Results: []store.Type{{Kind: store.KindI64}},
		Unordered: true,
	})
	return p
}

func (l *late) NewProcessor(int) segments.Processor {
	return lateProcessor{ledgerProcessor{l.ledger}, l.reached}
}

type lateProcessor struct {
	ledgerProcessor
	reached chan struct{}
}

func (p lateProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (store.Output, error) {
	if at := slices.IndexFunc(events, func(e store.RecordedEvent) bool { return e.Type == "Bad" }); at >= 0 {
		close(p.reached)
		<-ctx.Done()
		return store.Output{}, &segments.Fault{Position: events[at].Position, Err: errors.New("as the test has it")}
	}
	return p.ledgerProcessor.Process(ctx, events, tx)
}

// TestParking_aFaultOfASegmentThatIsToEnd has an event fail when its segment has been asked to end. The next owner
// parks the event: it must not have stopped the segment.
func TestParking_aFaultOfASegmentThatIsToEnd(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := poisoned(t, s, 2, 3, 2, 1)
	program := &late{&ledger{code: "one", breaks: &atomic.Int64{}}, make(chan struct{})}
	worker := startPrograms(t, s, parking(), program)
	<-program.reached
	worker.stop()
	for _, segment := range statusOf(t, s, "ledger").Segments {
		if segment.Failure != "" {
			t.Errorf("segment %d has failed: %s", segment.Segment, segment.Failure)
		}
	}
	startPrograms(t, s, parking(), &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")})
	applied(t, s, "ledger", head)
	if got := parkedIn(t, s); got != "n1: 2 events" {
		t.Errorf("parked is %q", got)
	}
}
