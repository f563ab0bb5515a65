package segments

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
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

	unparked int // keys, when room was last made

	mu        sync.Mutex     // held while keys are tried
	after     store.ParkedID // where the next keys are: behind one that could not be tried
	codeTried bool           // whether the code has tried every key that was parked before the claim
}

const (
	// retryPoll is the interval at which a segment with parked keys asks which are due.
	retryPoll = time.Second
	// retryPollShare bounds what this takes, while nothing is due, to one part in so many of the time: the answer takes
	// the longer, the more keys are parked.
	retryPollShare = 50
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
		began := clock.Now()
		tried, err := t.retryDue(ctx, working)
		switch {
		case err == nil && tried == retryKeys:
			continue // there may be more
		case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrOtherLog):
			return // the pipeline will find out
		case err != nil:
			t.segment.logger.Debug().Err(err).Msg("parked keys are tried again later")
			pause = max(pause, t.retry.Pause())
		case tried == 0:
			pause = max(pause, retryPollShare*clock.Since(began))
			t.retry.Reset()
		default:
			t.retry.Reset()
		}
		if !backoff.Sleep(ctx, pause) {
			return
		}
	}
}

// retryAll tries every key that is due. One that fails again is due later.
func (t *retrier) retryAll(ctx, working context.Context) error {
	for ctx.Err() == nil && t.segment.withheld.Any() {
		tried, err := t.retryDue(ctx, working)
		if tried == 0 || err != nil {
			return err
		}
	}
	return nil
}

// makeRoom tries every key that is due, when there are too many, and reports whether one was unparked since it was last
// called: by it, or by run while the commit was under way that found too many.
func (t *retrier) makeRoom(ctx, working context.Context) bool {
	_ = t.retryAll(ctx, working) // what it could not try is still parked
	before := t.unparked
	t.unparked = t.segment.withheld.Unparked()
	return t.unparked > before
}

// retryDue tries keys that are due, and returns how many there were.
func (t *retrier) retryDue(ctx, working context.Context) (tried int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	due, err := t.due(working)
	if err != nil {
		return 0, err
	}
	for i := range due {
		if ctx.Err() != nil {
			return i, nil
		}
		if err := t.retryKey(ctx, working, &due[i]); err != nil {
			t.after = due[i].ParkedID // the next ones get their turn, whatever is the matter with this one
			return i, err
		}
	}
	return len(due), nil
}

// due returns the next keys that are due, in turn.
func (t *retrier) due(ctx context.Context) ([]store.ParkedKey, error) {
	r := t.segment.runner
	request := store.ParkedRequest{
		Projection: t.claim.Projection, Range: t.claim.Range, Due: true, After: t.after, Limit: retryKeys,
	}
	if !t.codeTried {
		request.Code = r.program.Code()
	}
	due, err := r.worker.tables.Parked(ctx, request)
	if err == nil && len(due) == 0 && t.after.Projection.Name != "" {
		request.After = store.ParkedID{}
		due, err = r.worker.tables.Parked(ctx, request)
	}
	if err == nil && len(due) == 0 {
		t.codeTried = true // and while the claim holds, only this code parks keys
	}
	t.after = store.ParkedID{}
	if err == nil && len(due) == retryKeys {
		t.after = due[len(due)-1].ParkedID
	}
	return due, err
}

// retryKey applies the noted events of a key, up to the last one or one that fails.
func (t *retrier) retryKey(ctx, working context.Context, key *store.ParkedKey) error {
	runner := t.segment.runner
	processor := runner.program.NewProcessor(t.claim.Segment)
	defer processor.Close(working)
	k := &keyRetry{
		retrier: t, key: key, held: t.segment.withheld.Find(key.Key), processor: processor,
		folder: store.NewFolder(runner.program.Projection()), limit: runner.batchEvents(),
	}
	err := k.run(ctx, working)
	if errors.Is(err, store.ErrNotParked) {
		t.segment.withheld.Unpark(k.held)
		return nil
	}
	return err
}

// keyRetry is one try of a parked key.
type keyRetry struct {
	*retrier
	key       *store.ParkedKey
	held      *pipeline.HeldKey
	processor Processor
	folder    *store.Folder
	limit     int // events of a batch: fewer where a larger batch has failed
	page      store.Page
}

// run skips what is to be skipped, and applies what is noted behind it.
func (k *keyRetry) run(ctx, working context.Context) error {
	key := k.key
	after := key.First - 1
	failed := key.Attempts > 0 // otherwise the one that had is applied, and the order came too late
	if failed && key.Order == store.ActionSkip {
		after = key.First
		skipped := store.SkippedEvent{Key: key.Key, Position: key.First, Event: key.Event, Error: key.Error}
		unparked, err := k.commit(working, store.Retry{Through: after, Skipped: []store.SkippedEvent{skipped}}, nil)
		if err != nil || unparked {
			return err
		}
	}
	for k.segment.AwaitRoom(ctx) == nil {
		through, done, err := k.step(working, after)
		if err != nil || done {
			return err
		}
		after = through
	}
	return nil
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
	for conflicts := 0; ; {
		done, err = k.commit(ctx, store.Retry{Through: through}, events)
		if store.IsConflict(err) && ctx.Err() == nil {
			if conflicts++; conflicts < pipeline.ConflictTries {
				continue
			}
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
		Columns: r.program.Columns() | r.divider.Columns() | store.ColumnEventID | r.options.Observer.columns(),
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
	r, began := k.segment.runner, clock.Now()
	transactional := r.program.Transactional()
	if !transactional { // the pipeline may need the connection meanwhile
		if err = k.process(ctx, events, nil, &retry); err != nil {
			return false, err
		}
	}
	connections := r.worker.shared.Connections
	if err := connections.Acquire(ctx, r.id); err != nil {
		return false, err
	}
	defer connections.Release(r.id)
	tx := r.catalogue.Begin(k.claim)
	defer tx.Rollback()
	if transactional {
		if err = k.process(ctx, events, tx, &retry); err != nil {
			return false, err
		}
	}
	retry.Key, retry.Orders, retry.Log = k.key.Key, k.key.Orders, k.log.ID
	retry.Explain = len(events) == 1
	unparked, err = tx.Retry(ctx, retry)
	if err != nil {
		return false, err
	}
	r.events.Add(int64(len(events)))
	r.put(retry.Messages)
	observer, id := r.options.Observer, k.segment.id()
	observed := ObservedRetry{
		SegmentID: id, Key: k.key.Key, Events: len(events), Skipped: len(retry.Skipped), Took: clock.Since(began),
		Traces: pipeline.AppendTraces(nil, events, observer.traces()),
	}
	if retry.Fault != nil {
		observed.Reason = retry.Fault.Error
	}
	tell(observer.Retried, observed)
	if unparked {
		tell(observer.Unparked, ObservedEvent{SegmentID: id, Key: k.key.Key, Position: k.key.First})
		k.segment.withheld.Unpark(k.held)
		k.segment.logger.Info().Bytes("key", k.key.Key).Msg("key is parked no longer")
	}
	return unparked, nil
}

// process adds what is to be written and sent for events.
func (k *keyRetry) process(ctx context.Context, events []store.RecordedEvent, tx store.Tx, to *store.Retry) error {
	if len(events) == 0 {
		return nil
	}
	output, err := k.processor.Process(ctx, events, tx)
	if err != nil {
		return err
	}
	to.Steps, to.Messages = k.folder.Fold(output.Mutations), output.Messages
	return nil
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
