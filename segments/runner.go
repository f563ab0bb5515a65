package segments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// runner runs one projection: it installs the module, claims segments, and starts and stops them. Everything but set, stop
// and progress happens in the goroutine of run.
type runner struct {
	worker *Worker
	name   string
	logger zerolog.Logger
	wake   chan struct{} // something changed: a module, or the end of a segment
	done   chan struct{} // closed when run returned
	quit   chan struct{} // closed by stop
	events atomic.Int64

	// With Once, valid after done.
	completed bool
	failure   error

	mu        sync.Mutex
	desired   *host.Module  // set and not yet installed
	positions map[int]int64 // checkpoints of the segments that this worker has had

	module    *host.Module // installed
	catalogue store.Catalogue
	segments  map[int]*segment
	troubles  map[int]*trouble
	ended     chan *segment
	retry     backoff
	refused   refusal
	missed    time.Time // since when there was nothing to claim
}

// trouble is a segment that ended for what may pass, and is not to be claimed before its pause is over.
type trouble struct {
	backoff
	until time.Time
	told  bool
}

// refusal is a module that the database did not accept. It is tried again now and then: the reason may have gone away.
type refusal struct {
	module *host.Module
	reason string
	until  time.Time
}

// secondLook is the interval at which a refused module, and a projection without segments, are looked at again.
const secondLook = 10 * time.Second

func newRunner(w *Worker, name string) *runner {
	return &runner{
		worker: w, name: name, logger: w.logger.With().Str("projection", name).Logger(),
		wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{}),
		segments: map[int]*segment{}, troubles: map[int]*trouble{}, positions: map[int]int64{}, ended: make(chan *segment, 16), retry: backoff{max: w.options.RetryMax},
	}
}

// set asks for a module. An earlier one that was not installed yet is closed.
func (r *runner) set(module *host.Module) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != nil {
		r.desired.Close(context.Background())
	}
	r.desired = module
	r.signal()
}

func (r *runner) stop() { close(r.quit) }

func (r *runner) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends or stop is called, or until the projection is complete when the worker runs once.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.close()
	for {
		pause := r.worker.options.Claim
		if err := r.tend(ctx); err != nil && ctx.Err() == nil {
			r.worker.outage.noticed(err)
			pause = r.retry.pause()
		} else {
			r.retry.reset()
		}
		if r.worker.options.Once && r.complete(ctx) {
			r.completed = true
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.wake:
		case s := <-r.ended:
			r.reap(s)
		case <-r.quit:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// tend brings the projection closer to what is wanted: the module installed, every free segment claimed. An error is one
// that passes by itself.
func (r *runner) tend(ctx context.Context) error {
	if err := r.install(ctx); err != nil {
		return err
	}
	if r.catalogue == nil {
		return nil
	}
	return r.claim(ctx)
}

// install replaces the module by the desired one. The new module is installed first and the old one stopped then, at a
// batch boundary, so that a module that cannot be installed changes nothing.
func (r *runner) install(ctx context.Context) error {
	r.mu.Lock()
	module := r.desired
	r.mu.Unlock()
	if module == nil {
		return nil
	}
	if module == r.refused.module && clock.Now().Before(r.refused.until) {
		return nil
	}
	catalogue, err := r.worker.store.Install(ctx, &module.Description.Projection, r.worker.options.Segments)
	switch {
	case errors.Is(err, store.ErrTransient), ctx.Err() != nil:
		return err
	case err != nil:
		r.refuse(module, err)
		return nil
	case !r.taken(module):
		return nil // a newer one came meanwhile, and this one is closed
	}
	r.stopSegments()
	if r.module != nil {
		r.module.Close(context.WithoutCancel(ctx))
	}
	r.module, r.catalogue, r.failure, r.refused = module, catalogue, nil, refusal{}
	clear(r.troubles)
	r.logger.Info().Str("module", module.File).Int("version", module.Description.Version).Msg("projection installed")
	return nil
}

// taken takes the desired module out, and reports false when it is another by now.
func (r *runner) taken(module *host.Module) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != module {
		return false
	}
	r.desired = nil
	return true
}

// refuse keeps the module for another try, and says why once.
func (r *runner) refuse(module *host.Module, err error) {
	err = fmt.Errorf("module %s: %w", module.File, err)
	if r.refused.module != module || r.refused.reason != err.Error() {
		event := r.logger.Error().Err(err)
		if r.module != nil {
			event.Msg("module refused, the one before goes on")
		} else {
			event.Msg("module refused")
		}
	}
	r.refused = refusal{module: module, reason: err.Error(), until: clock.Now().Add(secondLook)}
	r.failure = err
}

// claim takes free segments and starts them.
func (r *runner) claim(ctx context.Context) error {
	claims, err := r.worker.store.Claim(ctx, store.ClaimRequest{
		Projection: r.name, Worker: r.worker.options.Name, Held: r.held(), Limit: claimLimit,
	})
	if err != nil {
		return err
	}
	for _, claim := range claims {
		s := newSegment(r, claim)
		r.segments[claim.Segment] = s
		r.moved(claim, 0)
		s.start()
		s.logger.Debug().Int64("position", claim.Position).Int64("epoch", claim.Epoch).Msg("segment claimed")
	}
	return r.notice(ctx)
}

// held are the segments that are not to be claimed: those at work, and those that pause after trouble.
func (r *runner) held() []int {
	held := make([]int, 0, len(r.segments))
	for number := range r.segments {
		held = append(held, number)
	}
	for number, t := range r.troubles {
		if _, atWork := r.segments[number]; !atWork && clock.Now().Before(t.until) {
			held = append(held, number)
		}
	}
	return held
}

// notice finds out that the projection was reset behind the worker's back, when it has had nothing to do for a while, and
// installs it anew.
func (r *runner) notice(ctx context.Context) error {
	switch {
	case len(r.segments) > 0:
		r.missed = time.Time{}
		return nil
	case r.missed.IsZero():
		r.missed = clock.Now()
		return nil
	case clock.Since(r.missed) < secondLook:
		return nil
	}
	r.missed = clock.Now()
	projections, err := r.worker.store.Status(ctx)
	if err != nil || slices.ContainsFunc(projections, func(p store.ProjectionStatus) bool { return p.Name == r.name }) {
		return err
	}
	r.logger.Info().Msg("projection was reset, installing it anew")
	r.catalogue, err = r.worker.store.Install(ctx, &r.module.Description.Projection, r.worker.options.Segments)
	return err
}

// claimLimit is more segments than a projection has.
const claimLimit = 1 << 20

// reap forgets a segment that ended by itself, so that it can be claimed again: at once, or after a growing pause when it
// ended for trouble. Trouble that lasts while the database answers is told once, until the segment moves.
func (r *runner) reap(s *segment) {
	<-s.done
	number := s.claim.Segment
	if r.segments[number] == s {
		delete(r.segments, number)
	}
	if s.claim.Position > s.first {
		delete(r.troubles, number)
	}
	if s.err == nil || errors.Is(s.err, store.ErrFenced) {
		return
	}
	t, known := r.troubles[number]
	if !known {
		t = &trouble{backoff: backoff{max: r.worker.options.RetryMax}}
		r.troubles[number] = t
	}
	if known && !t.told && !r.worker.outage.active() {
		t.told = true
		s.at().Warn().Err(s.err).Msg("segment makes no progress, trying again")
	}
	t.until = clock.Now().Add(t.pause())
}

// stopSegments ends all segments at a batch boundary, and waits.
func (r *runner) stopSegments() {
	for _, s := range r.segments {
		s.cancel()
	}
	for _, s := range r.segments {
		<-s.done
	}
	clear(r.segments)
	for {
		select {
		case <-r.ended:
		default:
			return
		}
	}
}

func (r *runner) close() {
	r.stopSegments()
	ctx := context.Background()
	if r.module != nil {
		r.module.Close(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != nil {
		r.desired.Close(ctx)
		r.desired = nil
	}
}

// complete tells, when the worker runs once, whether every segment of the projection has reached the target or failed,
// whoever owns it. A segment that another worker owns is waited for.
func (r *runner) complete(ctx context.Context) bool {
	if r.catalogue == nil {
		return r.failure != nil // refused
	}
	projections, err := r.worker.store.Status(ctx)
	if err != nil {
		r.worker.outage.noticed(err)
		return false
	}
	for _, p := range projections {
		if p.Name != r.name {
			continue
		}
		var failures []error
		for _, s := range p.Segments {
			switch {
			case s.Failure != "":
				failures = append(failures, fmt.Errorf("projection %s, segment %d stopped after position %d: %s", p.Name, s.Segment, s.Position, s.Failure))
			case s.Position < r.worker.target:
				return false
			}
		}
		r.failure = errors.Join(append(failures, r.failure)...)
		return true
	}
	r.failure = fmt.Errorf("projection %s was reset while it ran", r.name)
	return true
}

// batchEvents is the most events in one batch: the worker's setting, or fewer where the module asks for fewer.
func (r *runner) batchEvents() int {
	limit := r.worker.options.BatchEvents
	if asked := r.module.Description.Limits.BatchEvents; asked > 0 {
		limit = min(limit, asked)
	}
	return limit
}

// moved notes a checkpoint, for progress.
func (r *runner) moved(claim store.Claim, events int) {
	r.events.Add(int64(events))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.positions[claim.Segment] = claim.Position
}

func (r *runner) progress() Progress {
	p := Progress{Projection: r.name, Events: r.events.Load()}
	r.mu.Lock()
	defer r.mu.Unlock()
	first := true
	for _, position := range r.positions {
		if first || position < p.Position {
			p.Position, first = position, false
		}
	}
	return p
}
