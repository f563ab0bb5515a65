package segments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/segments/internal/backoff"
	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/store"
)

// retrier applies the events of a segment's parked keys that are due, in order, while the pipeline of the segment
// goes on with the events of other keys. Each key has a new processor, and transactions of its own: the pipeline
// notes further events of the key until one of them has unparked it.
type retrier struct {
	segment *segment
	claim   store.Claim // whose position is of no account
	log     logstate.Joined
	retry   backoff.Backoff
}

const (
	// retryPoll is the interval at which a segment with parked keys asks which are due.
	retryPoll = time.Second
	// retryKeys is how many it takes at once.
	retryKeys = 100
)

func newRetrier(s *segment, log logstate.Joined) *retrier {
	return &retrier{segment: s, claim: s.claim, log: log, retry: s.runner.worker.options.backoff()}
}

// run ends when ctx does, or the segment's claim is lost. Calls in flight have the time of working.
func (t *retrier) run(ctx, working context.Context) {
	for t.segment.withheld.Await(ctx) {
		pause := retryPoll
		_, err := t.retryDue(ctx, working)
		switch {
		case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrOtherLog):
			return // the pipeline will find out
		case err != nil:
			t.segment.logger.Debug().Err(err).Msg("parked keys are tried again later")
			pause = max(pause, t.retry.Pause())
		default:
			t.retry.Reset()
		}
		if !backoff.Sleep(ctx, pause) {
			return
		}
	}
}

// retryAll tries every key that is due, for a worker that runs once. One that fails again is due later.
func (t *retrier) retryAll(ctx, working context.Context) error {
	for ctx.Err() == nil && t.segment.withheld.Any() {
		tried, err := t.retryDue(ctx, working)
		if tried == 0 || err != nil {
			return err
		}
	}
	return nil
}

// retryDue tries keys that are due, and returns how many there were.
func (t *retrier) retryDue(ctx, working context.Context) (int, error) {
	r := t.segment.runner
	due, err := r.worker.tables.Parked(working, store.ParkedRequest{
		Projection: t.claim.Projection, Range: t.claim.Range, Code: r.program.Code(), Due: true, Limit: retryKeys,
	})
	if err != nil {
		return 0, err
	}
	for i := range due {
		if ctx.Err() != nil {
			return i, nil
		}
		err := t.retryKey(ctx, working, &due[i])
		switch {
		case errors.Is(err, store.ErrNotParked):
			t.segment.withheld.Unpark(due[i].Key)
		case err != nil:
			return i, err
		}
	}
	return len(due), nil
}

// retryKey applies the noted events of a key, up to the last one or one that fails.
func (t *retrier) retryKey(ctx, working context.Context, key *store.ParkedKey) error {
	runner := t.segment.runner
	processor := runner.program.NewProcessor(t.claim.Segment)
	defer processor.Close(working)
	k := &keyRetry{
		retrier: t, key: key, processor: processor, folder: store.NewFolder(runner.program.Projection()),
		limit: runner.batchEvents(),
	}
	after := key.First - 1
	if key.Order == store.OrderSkip {
		after = key.First
		skipped := store.SkippedEvent{Key: key.Key, Position: key.First, Event: key.Event, Error: key.Error}
		unparked, err := k.commit(working, store.Retry{Through: after, Skipped: []store.SkippedEvent{skipped}}, nil)
		if err != nil || unparked {
			return err
		}
	}
	for ctx.Err() == nil {
		through, done, err := k.step(working, after)
		if err != nil || done {
			return err
		}
		after = through
	}
	return nil
}

// keyRetry is one try of a parked key.
type keyRetry struct {
	*retrier
	key       *store.ParkedKey
	processor Processor
	folder    *store.Folder
	limit     int // events of a batch: fewer where a larger batch has failed
	page      store.Page
}

// step applies a batch behind a position, and returns up to where. done reports that the key is parked no longer,
// or has failed again.
func (k *keyRetry) step(ctx context.Context, after int64) (through int64, done bool, err error) {
	worker := k.segment.runner.worker
	positions, err := worker.tables.ParkedPositions(ctx, k.key.ParkedID, after, k.limit)
	if err != nil || len(positions) == 0 {
		return after, true, err
	}
	if through, err = k.read(ctx, after, positions); err != nil {
		return after, true, err
	}
	events := k.page.Events
	for {
		done, err = k.commit(ctx, store.Retry{Through: through}, events)
		if errors.Is(err, store.ErrDeadlock) && ctx.Err() == nil {
			continue
		}
		if err == nil || !pipeline.IsFailure(err) && !pipeline.IsLimit(err) || ctx.Err() != nil {
			return through, done, err
		}
		fault := k.faultAt(err, events)
		if len(events) == 1 {
			return after, true, k.fail(ctx, &events[0], err)
		}
		if fault > 0 {
			events = events[:fault]
		} else {
			events = events[:max(len(events)/2, 1)]
		}
		through, k.limit = events[len(events)-1].Position, len(events)
	}
}

// faultAt is the index of the event that an error names, or 0: then a smaller batch tells more.
func (k *keyRetry) faultAt(err error, events []store.RecordedEvent) int {
	var fault *Fault
	if !errors.As(err, &fault) {
		return 0
	}
	return max(slices.IndexFunc(events, func(e store.RecordedEvent) bool { return e.Position == fault.Position }), 0)
}

// read fills the page with the events at some positions, or as many as fit, and returns up to where.
func (k *keyRetry) read(ctx context.Context, after int64, positions []int64) (through int64, err error) {
	r := k.segment.runner
	request := store.ReadRequest{
		After: after, Through: positions[len(positions)-1], Limit: len(positions), Bytes: r.options.BatchBytes,
		Subscription: r.program.Projection().Subscription, Range: store.FullRange(), Positions: positions,
		Columns: r.program.Columns() | r.divider.Columns() | store.ColumnEventID,
	}
	if err := r.worker.source.Read(ctx, request, &k.page); err != nil {
		return 0, err
	}
	if k.page.Log != k.log.ID {
		return 0, store.ErrOtherLog
	}
	return k.page.Through, nil
}

// commit processes events and commits what came of them. It reports whether the key is parked no longer.
func (k *keyRetry) commit(
	ctx context.Context, retry store.Retry, events []store.RecordedEvent,
) (unparked bool, err error) {
	r := k.segment.runner
	connections := r.worker.shared.Connections
	if err := connections.Acquire(ctx, r.name); err != nil {
		return false, err
	}
	defer connections.Release(r.name)
	tx := r.catalogue.Begin(k.claim)
	defer tx.Rollback()
	if len(events) > 0 {
		var within store.Tx
		if r.program.Transactional() {
			within = tx
		}
		mutations, err := k.processor.Process(ctx, events, within)
		if err != nil {
			return false, err
		}
		retry.Steps = k.folder.Fold(mutations)
	}
	retry.Key, retry.Log, retry.Explain = k.key.Key, k.log.ID, len(events) == 1
	unparked, err = tx.Retry(ctx, retry)
	if err != nil {
		return false, err
	}
	r.events.Add(int64(len(events)))
	if unparked {
		k.segment.withheld.Unpark(k.key.Key)
		k.segment.logger.Info().Bytes("key", k.key.Key).Msg("key is parked no longer")
	}
	return unparked, nil
}

// fail records that an event has failed again.
func (k *keyRetry) fail(ctx context.Context, event *store.RecordedEvent, failure error) error {
	r := k.segment.runner
	attempts := 1
	if event.Position == k.key.First {
		attempts = k.key.Attempts + 1
	}
	named, err := k.segment.eventAt(ctx, k.log, event.Position)
	if err != nil {
		return err
	}
	reason := storable(pipeline.AttributeTo(named, failure).Error())
	retryAfter := r.options.retryAfter(attempts)
	_, err = k.commit(ctx, store.Retry{Through: event.Position - 1, Fault: &store.ParkedFault{
		Position: event.Position, Event: event.ID, Error: reason, Attempts: attempts, RetryAfter: retryAfter,
		Code: r.program.Code(),
	}}, nil)
	if err == nil {
		k.segment.logger.Warn().Bytes("key", k.key.Key).Int64("event", event.Position).
			Int("attempts", attempts).Str("reason", reason).Msg("parked key failed again")
	}
	return err
}
