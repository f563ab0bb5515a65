package segments

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/store"
)

// parkedKeys returns the keys of the segment that are parked.
func (s *segment) parkedKeys(ctx context.Context) ([]store.ParkedKey, error) {
	return s.runner.worker.tables.Parked(ctx, store.ParkedRequest{Projection: s.claim.Projection, Range: s.claim.Range})
}

// withhold makes the segment go on after an error, without the event at fault or without its key: then it returns
// nil. Otherwise it returns why the segment cannot go on.
func (s *segment) withhold(ctx, working context.Context, retrier *retrier, err error) error {
	if errors.Is(err, store.ErrNotParked) { // a retry has unparked a key, or the answer to one was lost
		parked, failed := s.parkedKeys(working)
		if failed == nil {
			s.withheld.Renew(parked)
		}
		return failed
	}
	var full *store.ParkedMaxError
	if errors.As(err, &full) && retrier.makeRoom(ctx, working) {
		return nil
	}
	r := s.runner
	fault := eventFault(err)
	if fault == nil {
		return err
	}
	event, failed := s.eventAt(working, retrier.log, fault.Position)
	if failed != nil {
		return failed
	}
	pipeline.NameStream(fault, event)
	if !s.withholds() {
		return err
	}
	if !r.faults.allow(s.number, r.events.Load()) {
		return &manyFaults{last: fault}
	}
	reason := storable(fault.Error())
	key := bytes.Clone(r.divider.Key(event))
	tell(r.options.Observer.Faulted, ObservedEvent{
		SegmentID: s.id(), Key: key, Position: fault.Position, Policy: s.policy(), Reason: reason,
		Trace: r.options.Observer.cause(event),
	})
	at := s.logger.Warn().Int64("event", fault.Position).Bytes("key", key).Str("reason", reason)
	if s.policy() == store.ErrorSkip {
		s.withheld.Skip(store.SkippedEvent{Key: key, Position: fault.Position, Event: event.ID, Error: reason})
		at.Msg("event skipped")
		return nil
	}
	s.withheld.Park(key, store.ParkedFault{
		Position: fault.Position, Event: event.ID, Error: reason, Attempts: 1, RetryAfter: r.options.retryAfter(1),
		Code: r.program.Code(),
	})
	at.Msg("event failed, its key is parked")
	return nil
}

// policy is what becomes of an event that the projection fails at.
func (s *segment) policy() store.ErrorPolicy {
	r := s.runner
	return cmp.Or(r.options.OnError, r.program.OnError()).For(r.program.Projection().Order)
}

// withholds reports that the segment goes on without an event that the projection fails at.
func (s *segment) withholds() bool {
	return !s.runner.options.FailFast && s.policy() != store.ErrorStop
}

// eventFault returns the fault of an event, or nil for another error.
func eventFault(err error) *pipeline.EventFault {
	var fault *pipeline.EventFault
	if !errors.As(err, &fault) || !pipeline.IsFailure(err) {
		return nil
	}
	return fault
}

// mayWithhold reports that a segment that is not asked to end may go on after the error.
func (s *segment) mayWithhold(err error) bool {
	var full *store.ParkedMaxError
	return s.withholds() && eventFault(err) != nil || errors.As(err, &full)
}

// eventAt reads the event at fault, with its stream and what its key depends on.
func (s *segment) eventAt(ctx context.Context, log logstate.Joined, position int64) (*store.RecordedEvent, error) {
	var page store.Page
	request := store.ReadRequest{
		After: position - 1, Through: position, Limit: 1, Range: store.FullRange(),
		Columns: s.runner.divider.Columns() | store.ColumnEventID | pipeline.StreamColumns |
			s.runner.options.Observer.columns(),
	}
	if err := s.runner.worker.source.Read(ctx, request, &page); err != nil {
		return nil, err
	}
	if page.Log != log.ID || len(page.Events) == 0 {
		return nil, store.ErrOtherLog
	}
	return &page.Events[0], nil
}

const (
	retryAfterMin = 2 * time.Second
	retryAfterMax = 10 * time.Minute
)

// retryAfter is when a key that has failed so often at one event is tried again, or below 0 for never.
func (o *Options) retryAfter(attempts int) time.Duration {
	if attempts > o.ParkedRetries {
		return -1
	}
	return min(retryAfterMin<<min(attempts-1, 20), retryAfterMax)
}

const (
	// faultRateEvents and faultRateMax: more faults among the last so many events are the code's.
	faultRateEvents = 100_000
	faultRateMax    = faultRateEvents / 100
)

// faultRate counts the events of a projection that failed, among the last ones that this worker has applied.
type faultRate struct {
	mu      sync.Mutex
	at      []int64      // how many events were applied at each fault
	stopped map[int]bool // the segments that had one too many
}

// allow counts a fault of a segment, and reports whether there are few enough.
func (f *faultRate) allow(segment int, events int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, events)
	old, _ := slices.BinarySearch(f.at, events-faultRateEvents+1)
	f.at = slices.Delete(f.at, 0, old)
	if len(f.at) <= faultRateMax {
		return true
	}
	if f.stopped == nil {
		f.stopped = map[int]bool{}
	}
	f.stopped[segment] = true
	return false
}

// started starts counting from zero again when the segment had stopped: somebody wants it to go on.
func (f *faultRate) started(segment int) {
	f.mu.Lock()
	again := f.stopped[segment]
	f.mu.Unlock()
	if again {
		f.forget()
	}
}

// forget starts counting from zero again.
func (f *faultRate) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.stopped = nil, nil
}

// manyFaults says that so many events failed that the fault is not theirs.
type manyFaults struct{ last error }

// Error says how many, and which was the last one.
func (e *manyFaults) Error() string {
	return fmt.Sprintf("more than %d of the last %d events failed, so that the code is at fault, and not single events; "+
		"the last one: %s", faultRateMax, faultRateEvents, e.last)
}
