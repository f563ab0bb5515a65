package segments

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

// segment is one claim at work. Its events go through the three stages of a flow.
type segment struct {
	runner    *runner
	logger    zerolog.Logger
	claim     store.Claim // its position is the checkpoint, which the last stage moves
	processor Processor
	cancel    context.CancelFunc
	done      chan struct{}
	err       error       // why it ended, valid after done
	lost      atomic.Bool // another has the claim, which the runner has seen before a commit did

	// For the runner's goroutine: of the claim as it was given, and whether it was asked to end.
	number  int
	first   int64 // position
	epoch   int64
	leaving bool

	request store.ReadRequest
	logID   store.LogID // the log that the checkpoint is of, and all that is read and applied
	joined  int         // see head.joined
	reader  *reader     // of the worker's feed, while it runs

	// Up to isolateThrough every batch is committed by itself, with at most isolateEvents, 0 for as many as any.
	isolateThrough int64
	isolateEvents  int

	limited   int64 // where the window ends that has met a limit
	deadlocks int   // that commits have met
}

func newSegment(r *runner, claim store.Claim) *segment {
	return &segment{
		runner: r, claim: claim, processor: r.program.NewProcessor(claim.Segment), number: claim.Segment, first: claim.Position, epoch: claim.Epoch,
		logger: r.logger.With().Int("segment", claim.Segment).Logger(), done: make(chan struct{}),
		request: store.ReadRequest{
			After: claim.Position, Limit: chunkEvents(r.batchEvents()), Bytes: r.worker.options.BatchBytes,
			Subscription: r.program.Projection().Subscription, Range: claim.Range, Columns: r.program.Columns() | store.ColumnEventID, // which a commit notes
		},
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

// run applies events until ctx ends, which it looks at between batches only; what is under way then has its grace to end. A segment
// that is being merged ends at its barrier.
func (s *segment) run(ctx context.Context) error {
	worker := s.runner.worker
	working, stop := graceContext(ctx, s.grace())
	defer stop()
	if err := s.joinLog(working); err != nil {
		return err
	}
	s.reader = worker.cache.join(s.logID, s.request, s.runner.divider)
	defer worker.cache.leave(s.reader)
	s.isolateThrough = s.runner.limits.through(s.number, s.claim.Position) // a batch that has met a limit is tried by itself
	for {
		err := newPipeline(s).run(ctx, working)
		var refused *refusedGroup
		var deadlocked *deadlockedGroup
		switch {
		case errors.As(err, &refused):
			s.isolateThrough, s.isolateEvents = refused.through, refused.events
		case errors.As(err, &deadlocked) && ctx.Err() == nil: // once more
		default:
			return err
		}
	}
}

// joinLog checks that the checkpoint belongs to the log that the database has now, of which all has to be that is read from here on.
func (s *segment) joinLog(ctx context.Context) error {
	log, faults, err := store.CheckCheckpoints(ctx, s.runner.worker.store, s.claim.Checkpoint())
	if err != nil {
		return err
	}
	if faults[0] != nil {
		return faults[0]
	}
	if log != s.claim.Applied.Log {
		if err := s.runner.worker.store.Adopt(ctx, s.claim, log); err != nil {
			return err
		}
		s.at().Info().Uint32("timeline", log.Timeline).Msg("another server has the log, which has all that was applied")
		s.claim.Applied.Log = log
	}
	s.logID, s.joined = log, s.runner.worker.poller.joined()
	return nil
}

// attributed is an error of a processor, see [Fault].
type attributed interface {
	error
	Attribution() (position int64, limit bool)
}

// faultPosition is the position of the event that a processor blames, or 0.
func faultPosition(err error) int64 {
	var fault attributed
	if errors.As(err, &fault) {
		position, _ := fault.Attribution()
		return position
	}
	return 0
}

// isFailure tells whether the guest or its SQL is to blame, for a limit too when it was met often enough, or the log is not the one that the rows were built from: the segment would
// fail again.
func isFailure(err error) bool {
	var fault attributed
	var log *store.LogError
	var limit *limitFault
	if errors.As(err, &fault) {
		if _, limit := fault.Attribution(); !limit {
			return true
		}
	}
	return errors.As(err, &log) || errors.As(err, &limit) || isRejected(err)
}

// stopGrace is how long a batch may go on after the segment was asked to stop: a database that does not answer must not keep a
// process from ending.
const stopGrace = 30 * time.Second

// stopGraceSQL is the same where SQL of the module runs, which may be endless: it is interrupted, and the batch is applied again later.
const stopGraceSQL = time.Second

func (s *segment) grace() time.Duration {
	if s.runner.program.Projection().HasSQL() {
		return stopGraceSQL
	}
	return stopGrace
}

// graceContext returns a context that ends some time after its parent.
func graceContext(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stopWaiting := context.AfterFunc(parent, func() {
		if sleep(ctx, grace) {
			cancel()
		}
	})
	return ctx, func() {
		stopWaiting()
		cancel()
	}
}

// releaseTimeout bounds what a segment says to the database at its end.
const releaseTimeout = 5 * time.Second

// finish gives the claim up in the way that fits the reason. Only what would fail again (see isFailure) is recorded as a
// failure; everything else may pass, and the runner tries again.
func (s *segment) finish(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	s.processor.Close(ctx)
	err = s.countLimit(err)
	s.err = err
	if err != nil && !isFailure(err) {
		s.runner.worker.cache.clear() // the log may be another by now
	}
	switch {
	case isFailure(err):
		s.err = s.fail(ctx, err)
	case errors.Is(err, store.ErrFenced), s.lost.Load():
		s.at().Info().Msg("segment lost to another claim")
	default:
		if errors.Is(err, store.ErrOtherLog) {
			s.at().Info().Msg("the database has another log, reading again")
		}
		if err := s.runner.worker.store.Release(ctx, s.claim); err != nil {
			s.at().Debug().Err(err).Msg("segment not released")
		}
	}
}

// fail records the failure, and returns what the segment ended with. A claim that was lost may have failed over what its successor
// wrote already: that is no failure of the segment. Where the database does not tell, it may be one, and the segment is tried again.
func (s *segment) fail(ctx context.Context, failure error) error {
	err := s.runner.worker.store.Fail(ctx, s.claim, storable(failure.Error()))
	switch {
	case errors.Is(err, store.ErrFenced):
		s.at().Info().AnErr("after", failure).Msg("segment lost to another claim")
		return err
	case err != nil:
		s.at().Warn().Err(err).AnErr("after", failure).Msg("the failure is not recorded, trying again")
		return err
	}
	s.at().Error().Err(failure).Msg("segment failed")
	return failure
}

// storable is a text as every database takes it: what a guest said of its end may be any bytes.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// at is the logger with the place where the segment stands.
func (s *segment) at() *zerolog.Logger {
	at := s.logger.With().Int64("position", s.claim.Position).Int64("epoch", s.claim.Epoch).Logger()
	return &at
}
