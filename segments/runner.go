package segments

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// runner runs one version of a projection: it installs the program, takes its share of the segments, and starts and
// stops them. All of it happens in the goroutine of run, except set, stop, show and progress, which the worker calls,
// and moved and ending, which segments call.
type runner struct {
	worker    *Worker
	options   Options           // of the worker, with those of the projection
	own       ProjectionOptions // of the program that is installed
	id        store.ProjectionID
	logger    zerolog.Logger
	wake      chan struct{} // something changed: a module, a view, or the end of a segment
	done      chan struct{} // closed when run returned
	quit      chan struct{} // closed by stop
	limits    repeats       // that batches have met
	faults    faultRate     // of events
	events    atomic.Int64
	deadlocks atomic.Int64
	ready     atomic.Bool // the module is installed, and fits what is in the database
	unseen    atomic.Bool // readers see another version
	enrolled  atomic.Bool // others count this worker in: it is ready and has something to do
	proven    atomic.Bool // some module of the projection was installed by this worker
	paused    atomic.Bool // the last view said so
	bounded   atomic.Bool // it sends messages, of which only so many may wait

	membership atomic.Pointer[store.Membership] // of the worker, by the program that is installed, or nil
	refusal    atomic.Pointer[currentRefusal]   // why the module that was set last cannot run, or nil
	told       atomic.Pointer[[]store.Trouble]  // of the segments, or nil

	// With Once, valid after done.
	completed bool
	failure   error

	mu        sync.Mutex
	desired   Program           // set and not yet installed
	wanted    ProjectionOptions // those of desired
	shown     *view             // the last poll of all workers
	ended     []*segment        // that ended by themselves
	positions map[int]int64     // checkpoints, as far as they are known

	program      Program            // installed
	divider      *readcache.Divider // of the program
	catalogue    store.Catalogue
	segments     map[int]*segment
	indexes      *indexer
	indexed      Program      // whose indexes are built, or being built
	retried      map[int]bool // with Once: the segments whose parked keys were tried
	troubles     map[int]*trouble
	retry        backoff.Backoff
	locked       bool // the last try met a lock, and it was told
	refused      map[Program]refusal
	fresh        int64     // views before this one are older than what the runner has done since
	disagreement string    // why the layout is not as this worker wants it, as it was told last
	noted        Program   // whose code the database knows
	heldSince    time.Time // since when the projection is seen held, see endHold
	retired      bool      // the version is gone from the database, and another is there
	over         bool      // the build is, and another of the version is there: the runner ends
	desiredRetry time.Time // when a layout that was not possible is tried again
}

func newRunner(w *Worker, id store.ProjectionID) *runner {
	r := &runner{
		worker: w, options: w.options.of(w.options.Projections[id.Name]), id: id,
		logger: w.logger.With().Str("projection", id.Name).Interface("version", logged(id)).Logger(),
		wake:   make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{}),
		segments: map[int]*segment{}, retried: map[int]bool{}, troubles: map[int]*trouble{}, positions: map[int]int64{},
		refused: map[Program]refusal{}, retry: w.options.backoff(),
	}
	r.indexes = &indexer{runner: r}
	return r
}

// set asks for a program and its options. An earlier one that was not installed yet is closed.
func (r *runner) set(program Program, options ProjectionOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != nil {
		r.desired.Close(context.Background())
	}
	r.desired, r.wanted = program, options
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
		r.collectEnded()
		pause := r.worker.options.Rebalance
		if err := r.reconcile(ctx); err != nil && ctx.Err() == nil {
			r.delayed(err)
			pause = r.retry.Pause()
		} else {
			r.retry.Reset()
			r.locked = false
		}
		if r.completed {
			r.indexes.finish(ctx)
		}
		if r.completed || r.over {
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

// delayed is told what a try has met that may pass. A lock that somebody holds is no outage: an install does not wait
// for it when readers would wait behind it.
func (r *runner) delayed(err error) {
	if !errors.Is(err, store.ErrLocked) {
		r.worker.noticed(err)
		return
	}
	if !r.locked {
		r.logger.Info().Msg("somebody holds a lock, trying again")
	}
	r.locked = true
}

// reconcile brings the projection closer to the desired state: the program is installed, the layout is as it
// was asked for, and this worker's share of the segments is at work. Its errors are transient.
func (r *runner) reconcile(ctx context.Context) (err error) {
	if err := r.install(ctx); err != nil {
		return err
	}
	if r.over {
		return nil
	}
	if r.catalogue == nil {
		// With Once, no other program will come after a refused one.
		r.completed = r.worker.options.Once && r.failure != nil
		return nil
	}
	if !r.ready.Load() {
		return r.reinstall(ctx)
	}
	r.noteCode(ctx)
	v := r.takeView()
	if v == nil {
		return nil
	}
	status, known := v.projections[r.id]
	if !known {
		r.withdraw(v.live(r.id.Name) != nil)
		return r.reinstall(ctx)
	}
	if r.worker.options.Once {
		if r.completed, err = r.complete(ctx, status); r.completed || err != nil {
			r.buildIndexes(status)
			return err
		}
	}
	if err := r.seen(ctx, status.Live); err != nil {
		return err
	}
	r.worker.shared.Connections.Seen(r.id, status.Live)
	if err := r.reshard(ctx, status, v.workers); err != nil {
		return err
	}
	r.dropLost(status, v.committed[r.id])
	r.settleTroubles(status)
	if status.Paused() {
		return r.pause(ctx, status)
	}
	r.resumed()
	r.buildIndexes(status)
	return r.balance(ctx, status, v.workers)
}

// show hands the runner a view.
func (r *runner) show(v *view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = v
	r.signal()
}

// takeView takes the view that was shown last, or nil when there is none that is younger than what the runner
// has done.
func (r *runner) takeView() *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.shown
	r.shown = nil
	if v == nil || v.number < r.fresh {
		return nil
	}
	if status, known := v.projections[r.id]; known {
		positions := make(map[int]int64, len(status.Segments))
		for i := range status.Segments {
			s := &status.Segments[i]
			positions[s.Segment] = max(s.Position, r.positions[s.Segment]) // segments at work are ahead of the poll
		}
		r.positions = positions
	}
	return v
}

// outdate makes the runner wait for a poll that begins from now on, and asks for one.
func (r *runner) outdate() {
	r.fresh = r.worker.membership.polls.Load() + 1
	r.worker.membership.refresh()
}

// ending is called by a segment that is about to end.
func (r *runner) ending(s *segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, s)
	r.signal()
}

// collectEnded forgets segments that ended, so that they can be claimed again: at once, or after a growing
// pause when they ended for trouble.
func (r *runner) collectEnded() {
	r.mu.Lock()
	ended := r.ended
	r.ended = nil
	r.mu.Unlock()
	for _, s := range ended {
		<-s.done
		if r.segments[s.number] == s {
			delete(r.segments, s.number)
			r.worker.membership.refresh()
		}
		if s.claim.Position > s.first {
			r.endTrouble(s.number, true)
		}
		switch {
		case isFailure(s.err):
			r.endTrouble(s.number, false)
		case s.err != nil && !errors.Is(s.err, store.ErrFenced):
			r.troubled(s)
		}
		r.retried[s.number] = s.err == nil
	}
}

// stopSegments ends all segments at a batch boundary, and waits. It reports whether one has failed meanwhile.
func (r *runner) stopSegments() (failed bool) {
	for _, s := range r.segments {
		s.leave()
	}
	for _, s := range r.segments {
		<-s.done
		failed = failed || isFailure(s.err)
	}
	clear(r.segments)
	r.collectEnded()
	return failed
}

func (r *runner) close() {
	r.stopSegments()
	r.stopBuilding()
	r.endTroubles()
	r.ready.Store(false)
	r.enrolled.Store(false)
	r.worker.membership.refresh()
	ctx := context.Background()
	if r.program != nil {
		r.program.Close(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != nil {
		r.desired.Close(ctx)
		r.desired = nil
	}
}

// pipelineOptions are those of the projection's pipelines.
func (r *runner) pipelineOptions() pipeline.Options {
	return pipeline.Options{
		BatchEvents: r.batchEvents(), BatchBytes: r.options.BatchBytes, CommitEvents: r.options.CommitEvents,
		BatchPause: r.options.BatchPause, Poll: r.own.Poll, WakeJitter: r.options.WakeJitter,
		Once: r.options.Once, Target: r.worker.target,
	}
}

// batchEvents is the most events in one batch: the worker's setting, or fewer where the program asks for fewer.
func (r *runner) batchEvents() int {
	limit := r.options.BatchEvents
	if asked := r.program.BatchEvents(); asked > 0 {
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

// committed returns the checkpoints as far as they are known.
func (r *runner) committed() map[int]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.positions)
}

func (r *runner) progress(end int64) Progress {
	p := Progress{
		Projection: r.id, Events: r.events.Load(), Deadlocks: r.deadlocks.Load(), Paused: r.paused.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, position := range r.positions {
		if !p.Known || position < p.Position {
			p.Position, p.Known = position, true
		}
		p.Behind += max(end-position, 0)
	}
	if p.Known {
		// Rounded up: it is not 0 before all segments are there.
		p.Behind = (p.Behind + int64(len(r.positions)) - 1) / int64(len(r.positions))
	}
	return p
}
