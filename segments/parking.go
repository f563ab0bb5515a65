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
func (s *segment) withhold(ctx context.Context, log logstate.Joined, err error) error {
	if errors.Is(err, store.ErrNotParked) { // a retry has unparked a key, or the answer to one was lost
		parked, failed := s.parkedKeys(ctx)
		if failed == nil {
			s.withheld.Renew(parked)
		}
		return failed
	}
	r := s.runner
	var fault *pipeline.EventFault
	if !errors.As(err, &fault) || !pipeline.IsFailure(err) {
		return err
	}
	event, failed := s.eventAt(ctx, log, fault.Position)
	if failed != nil {
		return failed
	}
	pipeline.NameStream(fault, event)
	if s.faultToWithhold(err) == nil {
		return err
	}
	if !r.faults.allow(r.events.Load()) {
		return &manyFaults{last: fault}
	}
	reason := storable(fault.Error())
	key := bytes.Clone(r.divider.Key(event))
	tell(r.options.Observer.Faulted, ObservedEvent{
		SegmentID: s.id(), Key: key, Position: fault.Position, Policy: s.policy(), Reason: reason,
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

// faultToWithhold returns the fault of an event without which the segment goes on, or nil for another error.
func (s *segment) faultToWithhold(err error) *pipeline.EventFault {
	var fault *pipeline.EventFault
	if s.runner.options.FailFast || s.policy() == store.ErrorStop || !errors.As(err, &fault) || !pipeline.IsFailure(err) {
		return nil
	}
	return fault
}

// eventAt reads the event at fault, with its stream and what its key depends on.
func (s *segment) eventAt(ctx context.Context, log logstate.Joined, position int64) (*store.RecordedEvent, error) {
	var page store.Page
	request := store.ReadRequest{
		After: position - 1, Through: position, Limit: 1, Range: store.FullRange(),
		Columns: s.runner.divider.Columns() | store.ColumnEventID | pipeline.StreamColumns,
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
	mu sync.Mutex
	at []int64 // how many events were applied at each fault
}

// allow counts a fault, and reports whether there are few enough.
func (f *faultRate) allow(events int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, events)
	old, _ := slices.BinarySearch(f.at, events-faultRateEvents+1)
	f.at = slices.Delete(f.at, 0, old)
	return len(f.at) <= faultRateMax
}

// manyFaults says that so many events failed that the fault is not theirs.
type manyFaults struct{ last error }

// Error says how many, and which was the last one.
func (e *manyFaults) Error() string {
	return fmt.Sprintf("more than %d of the last %d events failed, so that the code is at fault, and not single events; "+
		"the last one: %s", faultRateMax, faultRateEvents, e.last)
}
