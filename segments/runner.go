package segments

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// runner runs one projection: it installs the module, takes its share of the segments, and starts and stops them. All of it happens
// in the goroutine of run, but for set, stop, show and progress, which the worker calls, and moved and ending, which segments call.
type runner struct {
	worker *Worker
	name   string
	logger zerolog.Logger
	wake   chan struct{} // something changed: a module, a view, or the end of a segment
	done   chan struct{} // closed when run returned
	quit   chan struct{} // closed by stop
	events atomic.Int64
	ready  atomic.Bool // the module is installed, and fits what is in the database
	member atomic.Bool // others count this worker in: it is ready and has something to do

	// With Once, valid after done.
	completed bool
	failure   error

	mu        sync.Mutex
	desired   *host.Module  // set and not yet installed
	shown     *view         // the last look at all workers
	ended     []*segment    // that ended by themselves
	positions map[int]int64 // checkpoints, as far as they are known

	module    *host.Module // installed
	catalogue store.Catalogue
	segments  map[int]*segment
	troubles  map[int]*trouble
	retry     backoff
	refused   map[*host.Module]refusal
	fresh     int64     // views before this one are older than what the runner has done since
	dissent   string    // why the layout is not as this worker wants it, as it was told last
	wishAgain time.Time // when a layout that was not possible is tried again
}

// trouble is a segment that ended for what may pass, and is not to be claimed before its pause is over.
type trouble struct {
	backoff
	until time.Time
	told  bool
}

// refusal is a module that the database did not accept. It is tried again now and then: the reason may have gone away.
type refusal struct {
	reason string
	until  time.Time
}

// secondLook is the interval at which a module that was refused, and a layout that was not possible, are tried again.
const secondLook = 10 * time.Second

func newRunner(w *Worker, name string) *runner {
	return &runner{
		worker: w, name: name, logger: w.logger.With().Str("projection", name).Logger(),
		wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{}),
		segments: map[int]*segment{}, troubles: map[int]*trouble{}, positions: map[int]int64{}, refused: map[*host.Module]refusal{},
		retry: w.options.backoff(),
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
		r.reap()
		pause := r.worker.options.Rebalance
		if err := r.tend(ctx); err != nil && ctx.Err() == nil {
			r.worker.outage.noticed(err)
			pause = r.retry.pause()
		} else {
			r.retry.reset()
		}
		if r.completed {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.wake:
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

// tend brings the projection closer to what is wanted: the module installed, the layout as it was asked for, and this worker's
// share of the segments at work. An error is one that passes by itself.
func (r *runner) tend(ctx context.Context) error {
	if err := r.install(ctx); err != nil {
		return err
	}
	if r.catalogue == nil {
		// With Once, a module that is refused is all that there will be.
		r.completed = r.worker.options.Once && r.failure != nil
		return nil
	}
	if !r.ready.Load() {
		return r.reinstall(ctx)
	}
	v := r.look()
	if v == nil {
		return nil
	}
	status, known := v.projections[r.name]
	if !known || status.Version != r.module.Description.Version {
		r.withdraw()
		return r.reinstall(ctx)
	}
	if r.worker.options.Once && r.complete(status) {
		r.completed = true
		return nil
	}
	if err := r.reshard(ctx, status, v.workers); err != nil {
		return err
	}
	return r.balance(ctx, status, v.workers)
}

// show hands the runner a view.
func (r *runner) show(v *view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = v
	r.signal()
}

// look takes the view that was shown last, or nil when there is none that is younger than what the runner has done.
func (r *runner) look() *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.shown
	r.shown = nil
	if v == nil || v.number < r.fresh {
		return nil
	}
	if status, known := v.projections[r.name]; known {
		positions := make(map[int]int64, len(status.Segments))
		for i := range status.Segments {
			s := &status.Segments[i]
			positions[s.Segment] = max(s.Position, r.positions[s.Segment]) // segments at work are ahead of the look
		}
		r.positions = positions
	}
	return v
}

// outdate makes the runner wait for a look that begins from now on, and asks for one.
func (r *runner) outdate() {
	r.fresh = r.worker.roster.looks.Load() + 1
	r.worker.roster.kick()
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
	if clock.Now().Before(r.refused[module].until) {
		return nil
	}
	catalogue, err := r.worker.store.Install(ctx, &module.Description.Projection, r.newSegments())
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
	r.module = module
	r.installed(catalogue)
	r.logger.Info().Str("module", module.File).Int("version", module.Description.Version).Msg("projection installed")
	return nil
}

// installed notes that the module fits what is in the database.
func (r *runner) installed(catalogue store.Catalogue) {
	r.catalogue, r.failure = catalogue, nil
	clear(r.refused)
	clear(r.troubles)
	r.ready.Store(true)
	r.member.Store(true)
	r.outdate()
}

// withdraw ends all segments: the projection was reset behind the worker's back, and may be another version's by now. A module that
// was refused may fit then.
func (r *runner) withdraw() {
	r.mu.Lock()
	delete(r.refused, r.desired)
	r.mu.Unlock()
	for _, s := range r.staying() {
		s.leave()
	}
	r.ready.Store(false)
	r.member.Store(false)
	r.worker.roster.kick()
}

// reinstall follows a reset of the projection behind the worker's back, once its segments have ended. A module that waits to be
// installed comes first: the reset may have been made for it.
func (r *runner) reinstall(ctx context.Context) error {
	if r.worker.options.Once {
		r.failure, r.completed = fmt.Errorf("projection %s was reset while it ran", r.name), true
		return nil
	}
	r.mu.Lock()
	desired := r.desired
	r.mu.Unlock()
	if desired != nil {
		if err := r.install(ctx); err != nil || r.ready.Load() {
			return err
		}
	}
	if len(r.segments) > 0 || clock.Now().Before(r.refused[r.module].until) {
		return nil
	}
	catalogue, err := r.worker.store.Install(ctx, &r.module.Description.Projection, r.newSegments())
	switch {
	case errors.Is(err, store.ErrTransient), ctx.Err() != nil:
		return err
	case err != nil:
		r.refuse(r.module, err)
		return nil
	}
	r.logger.Info().Msg("projection was reset, installing it anew")
	r.mu.Lock()
	clear(r.positions)
	r.mu.Unlock()
	r.installed(catalogue)
	return nil
}

// newSegments is into how many segments a projection is divided that is new.
func (r *runner) newSegments() int {
	if r.worker.options.Segments == 0 {
		return DefaultSegments
	}
	return r.worker.options.Segments
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
	if r.refused[module].reason != err.Error() {
		event := r.logger.Error().Err(err)
		if r.module != nil && r.module != module {
			event.Msg("module refused, the one before goes on")
		} else {
			event.Msg("module refused")
		}
	}
	r.refused[module] = refusal{reason: err.Error(), until: clock.Now().Add(secondLook)}
	r.failure = err
}

// balance takes as many free segments as this worker's share has room for, or gives up what is beyond it, at a batch boundary.
func (r *runner) balance(ctx context.Context, status *store.ProjectionStatus, workers []store.Worker) error {
	r.dropLost(status)
	staying := r.staying()
	if r.worker.options.Once {
		// What is at the target already is left to workers that go on.
		if busy := len(staying) > 0 || r.someFree(status); busy != r.member.Swap(busy) {
			r.worker.roster.kick()
		}
	}
	room := share(status, workers, r.worker.options.Name) - len(staying)
	switch {
	case room < 0:
		for _, s := range staying[len(staying)+room:] {
			s.logger.Debug().Msg("segment given up, other workers have fewer")
			s.leave()
		}
	case room > 0 && r.someFree(status):
		return r.claim(ctx, room)
	case room == 0:
		return r.releaseIdle(ctx, status)
	}
	return nil
}

// releaseIdle gives back segments that the database has as this worker's and that are not at work, since their release was lost with
// a connection: with a share that is full, it would not claim them again, and no other worker may.
func (r *runner) releaseIdle(ctx context.Context, status *store.ProjectionStatus) error {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	for i := range status.Segments {
		s := &status.Segments[i]
		if _, atWork := r.segments[s.Segment]; atWork || s.Owner != r.worker.options.Name {
			continue
		}
		claim := store.Claim{Projection: r.name, Segment: s.Segment, Worker: s.Owner, Epoch: s.Epoch}
		if err := r.worker.store.Release(ctx, claim); err != nil {
			return err
		}
		r.worker.roster.kick()
	}
	return nil
}

// dropLost ends segments that have gone to another worker or into another layout: one that has nothing to commit would not find
// out.
func (r *runner) dropLost(status *store.ProjectionStatus) {
	stored := map[int]*store.SegmentStatus{}
	for i := range status.Segments {
		stored[status.Segments[i].Segment] = &status.Segments[i]
	}
	for _, s := range r.staying() {
		now, exists := stored[s.number]
		if !exists || now.Owner != r.worker.options.Name || now.Epoch != s.epoch {
			s.leave()
		}
	}
}

// staying are the segments at work that were not asked to end, by number.
func (r *runner) staying() []*segment {
	var staying []*segment
	for _, number := range slices.Sorted(maps.Keys(r.segments)) {
		if s := r.segments[number]; !s.leaving {
			staying = append(staying, s)
		}
	}
	return staying
}

// someFree tells whether there is a segment to claim, so that an idle worker does not ask the database in vain.
func (r *runner) someFree(status *store.ProjectionStatus) bool {
	held := r.held()
	return slices.ContainsFunc(status.Segments, func(s store.SegmentStatus) bool {
		free := s.Owner == "" || !s.Live || s.Owner == r.worker.options.Name
		return free && claimable(&s) && (r.worker.target == 0 || s.Position < r.worker.target) && !slices.Contains(held, s.Segment)
	})
}

// claim takes free segments and starts them.
func (r *runner) claim(ctx context.Context, limit int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// One that is cut off may still be at work in the server, and leave an owner behind that has said farewell.
	ctx, stop := outliving(ctx, leaveTimeout)
	defer stop()
	claims, err := r.worker.store.Claim(ctx, store.ClaimRequest{
		Projection: r.name, Version: r.module.Description.Version, Worker: r.worker.options.Name,
		Held: r.held(), Below: r.worker.target, Limit: limit,
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
	r.fresh = r.worker.roster.looks.Load() + 1
	return nil
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

// ending is how a segment tells that it is about to end.
func (r *runner) ending(s *segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, s)
	r.signal()
}

// reap forgets segments that ended, so that they can be claimed again: at once, or after a growing pause when they
// ended for trouble. Trouble that lasts while the database answers is told once, until the segment moves.
func (r *runner) reap() {
	r.mu.Lock()
	ended := r.ended
	r.ended = nil
	r.mu.Unlock()
	for _, s := range ended {
		<-s.done
		if r.segments[s.number] == s {
			delete(r.segments, s.number)
			r.worker.roster.kick()
		}
		if s.claim.Position > s.first {
			delete(r.troubles, s.number)
		}
		if s.err != nil && !errors.Is(s.err, store.ErrFenced) {
			r.troubled(s)
		}
	}
}

// troubled lets a segment pause.
func (r *runner) troubled(s *segment) {
	t, known := r.troubles[s.number]
	if !known {
		t = &trouble{backoff: r.worker.options.backoff()}
		r.troubles[s.number] = t
	}
	if known && !t.told && !r.worker.outage.active() {
		t.told = true
		s.at().Warn().Err(s.err).Msg("segment makes no progress, trying again")
	}
	pause := t.pause()
	t.until = clock.Now().Add(pause)
	time.AfterFunc(pause, r.worker.roster.kick)
}

// stopSegments ends all segments at a batch boundary, and waits.
func (r *runner) stopSegments() {
	for _, s := range r.segments {
		s.leave()
	}
	for _, s := range r.segments {
		<-s.done
	}
	clear(r.segments)
	r.reap()
}

func (r *runner) close() {
	r.stopSegments()
	r.ready.Store(false)
	r.member.Store(false)
	r.worker.roster.kick()
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
func (r *runner) complete(status *store.ProjectionStatus) bool {
	var failures []error
	for i := range status.Segments {
		s := &status.Segments[i]
		switch {
		case s.Failure != "":
			failures = append(failures, &FailedError{Projection: r.name, Segment: s.Segment, Position: s.Position, Reason: s.Failure})
		case s.Position < r.worker.target:
			return false
		}
	}
	r.failure = errors.Join(append(failures, r.failure)...)
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
