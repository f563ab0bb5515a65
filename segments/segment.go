package segments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// segment is one claim at work. Its events go through a pipeline.
type segment struct {
	runner    *runner
	logger    zerolog.Logger
	claim     store.Claim // its position is the checkpoint, which the pipeline moves
	processor Processor
	cancel    context.CancelFunc
	done      chan struct{}
	err       error       // why it ended, valid after done
	lost      atomic.Bool // another has the claim, which the runner has seen before a commit did
	began     atomic.Bool // it has found its log and its parked keys, and applies events
	again     bool        // it has ended with an error before, at this position

	// For the runner's goroutine: of the claim as it was given, and whether it was asked to end.
	number  int
	first   int64 // position
	epoch   int64
	leaving bool

	withheld *pipeline.Withheld // what is passed and not applied

	outboxMax int   // see [Options]
	limited   int64 // where the commit group ends that has met a limit
	deadlocks int   // that commits have met
}

func newSegment(r *runner, claim store.Claim) *segment {
	return &segment{
		runner: r, claim: claim, processor: r.program.NewProcessor(claim.Segment), again: r.troubles[claim.Segment] != nil,
		number: claim.Segment, first: claim.Position, epoch: claim.Epoch, outboxMax: r.outboxMax(),
		logger: r.logger.With().Int("segment", claim.Segment).Logger(), done: make(chan struct{}),
	}
}

func (s *segment) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.done)
		defer cancel()
		err := s.run(ctx)
		s.finish(err)
		s.runner.ending(s)
	}()
}

// leave asks the segment to end at a batch boundary.
func (s *segment) leave() {
	s.leaving = true
	s.cancel()
}

// run applies events until ctx ends, which it checks between batches only; what is in flight then has its grace
// to end. A segment that is being merged ends where it is merged. Parked keys are tried again meanwhile.
func (s *segment) run(ctx context.Context) error {
	working, stop := backoff.Grace(ctx, s.grace())
	defer stop()
	log, err := s.joinLog(working)
	if err != nil {
		return err
	}
	parked, err := s.parkedKeys(working)
	if err != nil {
		return err
	}
	s.withheld = pipeline.NewWithheld(parked)
	s.began.Store(true)
	s.runner.faults.started(s.number)
	retrying, stopRetries := context.WithCancel(ctx)
	var retries sync.WaitGroup
	retrier := newRetrier(s, log) // with the claim as it is before the pipeline moves its checkpoint
	retries.Go(func() { retrier.run(retrying, working) })
	defer retries.Wait()
	defer stopRetries()
	for {
		err := s.apply(ctx, working, log)
		if err == nil && s.runner.options.Once && ctx.Err() == nil {
			stopRetries()
			retries.Wait()
			return retrier.retryAll(ctx, working)
		}
		if ctx.Err() != nil && s.mayWithhold(err) {
			return nil // the next owner of the segment finds the same
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := s.withhold(ctx, working, retrier, err); err != nil {
			return err
		}
	}
}

// apply applies events up to the end of the segment, or to the first error in their order.
func (s *segment) apply(ctx, working context.Context, log logstate.Joined) error {
	r, worker := s.runner, s.runner.worker
	options := r.pipelineOptions()
	projection := r.program.Projection()
	request := store.ReadRequest{
		After: s.claim.Position, Limit: pipeline.ChunkEvents(options.BatchEvents), Bytes: options.BatchBytes,
		Subscription: projection.Subscription, Range: s.claim.Range,
		Columns: r.program.Columns() | store.ColumnEventID, // which a commit notes
	}
	places := request.Columns
	request.Columns |= r.options.Observer.columns()
	if s.withheld.Any() {
		request.Columns |= r.divider.Columns()
	}
	reader := worker.cache.Join(log.ID, request, r.divider)
	defer reader.Leave()
	p := pipeline.New(worker.shared, options, pipeline.Segment{
		Claim: &s.claim, Log: log, Reader: reader, Projection: projection, Catalogue: r.catalogue,
		Processor: s.processor, Transactional: r.program.Transactional(), Observer: s,
		Misplaced: s.misplaced(places), Withheld: s.withheld, KeyOf: r.divider.Key, ParkedMax: r.options.ParkedMax,
		Traces: r.options.Observer.traces(), Outbox: s, Unseen: func() bool { return !s.again && r.largeCommits() },
		// A batch that has met a limit is tried separately.
		IsolateThrough: r.limits.through(s.number, s.claim.Position),
	})
	err := p.Run(ctx, working)
	s.limited = p.Limited()
	return err
}

// joinLog checks that the checkpoint belongs to the log that the database has now, of which all has to be that
// is read from here on.
func (s *segment) joinLog(ctx context.Context) (logstate.Joined, error) {
	worker := s.runner.worker
	log, faults, err := store.CheckCheckpoints(ctx, worker.source, s.claim.Checkpoint())
	if err != nil {
		return logstate.Joined{}, ofLog(err)
	}
	if faults[0] != nil {
		return logstate.Joined{}, faults[0]
	}
	if log != s.claim.Applied.Log {
		if err := worker.tables.Adopt(ctx, s.claim, log); err != nil {
			return logstate.Joined{}, err
		}
		if s.claim.Applied.Log.ID == log.ID { // otherwise nothing was applied
			s.at().Info().Uint32("timeline", log.Timeline).Msg("another server has the log, which has all that was applied")
		}
		s.claim.Applied.Log = log
	}
	return worker.log.Join(log), nil
}

// misplaced makes the fault of an event that belongs to another segment. It is nil where places are not
// checked: a projection that does not read the stream's id has no rows that depend on the order.
func (s *segment) misplaced(columns store.Columns) func(*store.RecordedEvent, uint32) error {
	if s.claim.Range == store.FullRange() || !s.runner.divider.ByStream() || !columns.Has(store.ColumnAggregateID) {
		return nil
	}
	return func(event *store.RecordedEvent, hash uint32) error { return misplaced(s.runner.program, event, hash) }
}

// id names the segment.
func (s *segment) id() SegmentID { return SegmentID{Projection: s.claim.Projection, Segment: s.number} }

// observed is the segment at its checkpoint.
func (s *segment) observed(err error) ObservedSegment {
	return ObservedSegment{SegmentID: s.id(), Position: s.claim.Position, Err: err}
}

// Read tells of a read.
func (s *segment) Read(chunk *readcache.Chunk, took time.Duration) {
	tell(s.runner.options.Observer.Read, ObservedRead{
		SegmentID: s.id(), After: chunk.After, Through: chunk.Through,
		Events: len(chunk.Events), Bytes: chunk.Bytes, Took: took,
	})
}

// Applied tells of a batch.
func (s *segment) Applied(events, mutations int, took time.Duration) {
	function := s.runner.options.Observer.Applied
	if function == nil {
		return
	}
	batch := ObservedBatch{SegmentID: s.id(), Events: events, Mutations: mutations, Took: took}
	if module, is := s.processor.(*moduleProcessor); is {
		usage := module.guest.Usage()
		batch.Fuel, batch.MemoryBytes = usage.Fuel, usage.MemoryBytes
	}
	function(batch)
}

// Committed notes a checkpoint.
func (s *segment) Committed(claim store.Claim, commit *store.Commit, written pipeline.Written) {
	s.runner.moved(claim, written.Events)
	s.runner.put(commit.Messages)
	observer := s.runner.options.Observer
	tell(observer.Committed, ObservedCommit{
		SegmentID: s.id(), After: written.After, Position: claim.Position, Events: written.Events, Batches: written.Batches,
		Rows: written.Rows, Withheld: len(commit.Noted), Skipped: len(commit.Skipped), Took: written.Took,
		Read: ObservedStage(written.Read), Applied: ObservedStage(written.Applied), Traces: written.Traces,
	})
	if observer.Parked == nil {
		return
	}
	for i := range commit.Parked {
		parked := &commit.Parked[i]
		observer.Parked(ObservedEvent{
			SegmentID: s.id(), Key: parked.Key, Position: parked.Fault.Position, Reason: parked.Fault.Error,
		})
	}
}

// Deadlocked counts a deadlock, and logs the first one of the segment.
func (s *segment) Deadlocked(err error) {
	s.runner.deadlocks.Add(1)
	tell(s.runner.options.Observer.Deadlocked, s.observed(err))
	if s.deadlocks++; s.deadlocks == 1 {
		s.at().Warn().Err(err).Msg("deadlock, the commit is tried again: " +
			"a statement that is marked unordered, or a session of somebody else, locks the same rows")
	}
}

// isFailure reports that the segment would fail again: see [pipeline.IsFailure]. A limit is a failure when it
// was met often enough.
func isFailure(err error) bool {
	var limit *limitFault
	var parked *store.ParkedMaxError
	var many *manyFaults
	return errors.As(err, &limit) || errors.As(err, &parked) || errors.As(err, &many) || pipeline.IsFailure(err)
}

// stopGrace is how long a batch may go on after the segment was asked to stop: a database that does not answer
// must not keep a process from ending.
const stopGrace = 30 * time.Second

// stopGraceSQL is the same where SQL of the module runs, which may be endless: it is interrupted, and the batch
// is applied again later.
const stopGraceSQL = time.Second

func (s *segment) grace() time.Duration {
	if s.runner.program.Projection().HasSQL() {
		return stopGraceSQL
	}
	return stopGrace
}

// releaseTimeout bounds what a segment says to the database at its end.
const releaseTimeout = 5 * time.Second

// finish gives the claim up in the way that fits the reason. Only what would fail again (see isFailure) is
// recorded as a failure; everything else may pass, and the runner tries again.
func (s *segment) finish(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	s.processor.Close(ctx)
	err = s.countLimit(err)
	s.err = err
	if err != nil && !isFailure(err) {
		s.runner.worker.log.Invalidate() // the log may be another by now
	}
	switch {
	case isFailure(err):
		s.err = s.fail(ctx, err)
	case errors.Is(err, store.ErrFenced), s.lost.Load():
		s.tellLost(ctx, nil)
	default:
		if errors.Is(err, store.ErrOtherLog) {
			s.at().Info().Msg("the database has another log, reading again")
		}
		if err := s.runner.worker.tables.Release(ctx, s.claim); err != nil {
			s.at().Debug().Err(err).Msg("segment not released")
		}
	}
	tell(s.runner.options.Observer.Released, s.observed(s.err))
}

// fail records the failure, and returns what the segment ended with. A claim that was lost may have failed over
// what its successor wrote already: that is no failure of the segment. When the database does not answer, it
// may be one, and the segment is tried again.
func (s *segment) fail(ctx context.Context, failure error) error {
	err := s.runner.worker.tables.Fail(ctx, s.claim, storable(failure.Error()))
	switch {
	case errors.Is(err, store.ErrFenced):
		s.tellLost(ctx, failure)
		return err
	case err != nil:
		if !s.again {
			s.at().Warn().Err(err).AnErr("after", failure).Msg("the failure is not recorded, trying again")
		}
		if s.runner.worker.options.Once && lasts(err) {
			s.endWorker(failure)
		}
		return fmt.Errorf("%w: it keeps the failure of the segment from being recorded: %s", err, failure.Error())
	}
	s.at().Error().Err(failure).Msg("segment failed")
	tell(s.runner.options.Observer.Failed, s.observed(failure))
	if s.runner.worker.options.FailFast {
		s.endWorker(failure)
	}
	return failure
}

// tellLost says that the segment's claim has ended, which another has, or nobody where the version is gone: that is told
// once, by the runner. Then a failure before it is that the tables are gone too.
func (s *segment) tellLost(ctx context.Context, failure error) {
	id := s.claim.Projection
	all, err := s.runner.worker.tables.Status(ctx, id.Name)
	if err == nil && !slices.ContainsFunc(all, func(p store.ProjectionStatus) bool { return p.ProjectionID == id }) {
		s.at().Debug().Msg("segment ends, its version is no longer in the database")
		return
	}
	s.at().Info().AnErr("after", failure).Msg("segment lost to another claim")
}

// endWorker makes Run end with a failure.
func (s *segment) endWorker(failure error) {
	s.runner.worker.end(s.runner.failedAt(s.number, s.claim.Position, failure.Error()))
}

// storable is a text as every database takes it: the last words of a guest may be any bytes.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// at is the logger with the place of the segment.
func (s *segment) at() *zerolog.Logger {
	at := s.logger.With().Int64("position", s.claim.Position).Int64("epoch", s.claim.Epoch).Logger()
	return &at
}
