package segments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// segment is one claim at work.
type segment struct {
	runner *runner
	logger zerolog.Logger
	claim  store.Claim
	guest  *host.Guest
	folder *store.Folder
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it ended, valid after done

	// For the runner's goroutine: of the claim as it was given, and whether it was asked to end.
	number  int
	first   int64 // position
	epoch   int64
	leaving bool

	request store.ReadRequest
	log     *member // of the worker's feed, while it runs
	server  int     // whose log the horizon was of that the batch goes up to
	lag     lag
}

func newSegment(r *runner, claim store.Claim) *segment {
	description := r.module.Description
	return &segment{
		runner: r, claim: claim, number: claim.Segment, first: claim.Position, epoch: claim.Epoch, guest: r.module.NewGuest(claim.Segment),
		folder: store.NewFolder(&description.Projection),
		logger: r.logger.With().Int("segment", claim.Segment).Logger(), done: make(chan struct{}),
		request: store.ReadRequest{
			After: claim.Position, Limit: r.batchEvents(), Bytes: r.worker.options.BatchBytes,
			Scope: description.Scope, Range: claim.Range, Columns: r.module.Columns(),
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

// run steps until ctx ends, which it looks at between batches only; what is under way then has stopGrace to end. A segment
// that is being merged ends at its barrier.
func (s *segment) run(ctx context.Context) error {
	worker := s.runner.worker
	working, stop := outliving(ctx, stopGrace)
	defer stop()
	s.log = worker.feed.join(s.request)
	defer worker.feed.leave(s.log)
	for {
		if s.claim.Barrier > 0 && s.claim.Position >= s.claim.Barrier {
			return nil
		}
		if worker.options.Once && s.claim.Position >= worker.target {
			return nil
		}
		through, err := s.await(ctx)
		if err != nil {
			return nil //nolint:nilerr // ctx ended: the runner asked for it
		}
		if err := worker.lanes.enter(ctx, s.runner); err != nil {
			return nil //nolint:nilerr // the same
		}
		err = s.step(working, through)
		worker.lanes.leave(s.runner)
		if err != nil {
			return err
		}
		if pause := worker.options.BatchPause; pause > 0 && !sleep(ctx, pause) {
			return nil
		}
	}
}

// await waits until there is something to read, and returns how far.
func (s *segment) await(ctx context.Context) (int64, error) {
	head, jitter := s.runner.worker.head, s.runner.worker.options.WakeJitter
	rests := !head.beyond(s.from())
	through, log, err := s.next(ctx)
	if err == nil && rests && jitter > 0 {
		sleep(ctx, rand.N(jitter))
		through, log, err = s.next(ctx)
	}
	if err != nil {
		return 0, err
	}
	s.server = log
	if s.claim.Barrier > 0 {
		through = min(through, s.claim.Barrier)
	}
	return through, nil
}

// step is one batch: read, apply, fold, commit.
func (s *segment) step(ctx context.Context, through int64) error {
	batch, through, err := s.log.read(ctx, s.from(), through)
	if err != nil || len(batch) == 0 && s.mayLag(through) {
		return err
	}

	tx := s.runner.catalogue.Begin(s.claim)
	defer tx.Rollback()
	mutations, err := s.apply(ctx, batch, tx)
	if err != nil {
		return s.blame(err, batch)
	}
	if s.runner.worker.head.log() != s.server {
		return fmt.Errorf("%w: another server may have taken its place while the batch was at work", store.ErrTransient)
	}
	if err := tx.Commit(ctx, through, s.folder.Fold(mutations)); err != nil {
		return s.blame(err, batch)
	}

	s.claim.Position = through
	s.lag = lag{committed: clock.Now()}
	s.runner.moved(s.claim, len(batch))
	return nil
}

// apply asks the guest for mutations. A batch without events only moves the checkpoint over what is out of scope.
func (s *segment) apply(ctx context.Context, batch []store.Recorded, tx store.Tx) ([]store.Mutation, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	return s.guest.Apply(ctx, batch, func(query int, arguments []store.Value, rows *store.Rows) error {
		return tx.Query(ctx, query, arguments, rows)
	})
}

// blame adds to an error of the guest or its SQL which events it came with.
func (s *segment) blame(err error, batch []store.Recorded) error {
	var fault *host.Fault
	if len(batch) == 0 || !isFailure(err) || errors.As(err, &fault) && fault.Position > 0 {
		return err
	}
	return fmt.Errorf("events %d to %d: %w", batch[0].Position, batch[len(batch)-1].Position, err)
}

// isFailure tells whether the guest or its SQL is to blame, so that the same batch would fail again.
func isFailure(err error) bool {
	var fault *host.Fault
	var rejected *store.RejectedError
	return errors.As(err, &fault) || errors.As(err, &rejected)
}

// stopGrace is how long a batch may go on after the segment was asked to stop: a database that does not answer must not keep a
// process from ending.
const stopGrace = 30 * time.Second

// outliving returns a context that ends some time after its parent.
func outliving(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
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

// farewellTimeout bounds what a segment says to the database at its end.
const farewellTimeout = 5 * time.Second

// finish gives the claim up in the way that fits the reason. Only what the guest or its SQL is to blame for is recorded as a
// failure; everything else may pass, and the runner tries again.
func (s *segment) finish(err error) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	s.guest.Close(ctx)
	s.err = err
	if err != nil && !isFailure(err) {
		s.runner.worker.feed.clear() // the log may be another by now
	}
	switch {
	case isFailure(err):
		s.at().Error().Err(err).Msg("segment failed")
		if err := s.runner.worker.store.Fail(ctx, s.claim, storable(err.Error())); err != nil {
			s.at().Warn().Err(err).Msg("failure not recorded")
			s.err = err
		}
	case errors.Is(err, store.ErrFenced):
		s.at().Info().Msg("segment lost to another claim")
	default:
		if err := s.runner.worker.store.Release(ctx, s.claim); err != nil {
			s.at().Debug().Err(err).Msg("segment not released")
		}
	}
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
