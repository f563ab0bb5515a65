package segments

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

// membership polls, for all runners of the worker, who else works and how the projections are divided. It also
// says which projections this worker runs: the others count it in from then on.
type membership struct {
	worker    *Worker
	refreshes chan struct{}
	// polls counts the polls that were begun, so that a runner can tell whether what it is shown is older than
	// what it did.
	polls   atomic.Int64
	readers readers
}

// view is what one poll has found.
type view struct {
	number      int64
	workers     []store.Worker
	projections map[store.ProjectionID]*store.ProjectionStatus
	// committed is what this worker's segments had committed before, by number.
	committed map[store.ProjectionID]map[int]int64
}

func newMembership(w *Worker) *membership {
	return &membership{worker: w, refreshes: make(chan struct{}, 1)}
}

// refresh asks for a poll soon: something changed.
func (r *membership) refresh() {
	select {
	case r.refreshes <- struct{}{}:
	default:
	}
}

// refreshMin is the shortest time between two polls, however many refreshes are asked for.
const refreshMin = 20 * time.Millisecond

// run polls until ctx ends: at the interval of Options.Rebalance, and soon after a refresh.
func (r *membership) run(ctx context.Context) {
	interval := r.worker.options.Rebalance
	rest := min(refreshMin, interval/2)
	retry := r.worker.options.backoff()
	for {
		pause := interval
		err := r.poll(ctx)
		if errors.Is(err, store.ErrNameTaken) {
			return // the worker ends
		}
		if err != nil && ctx.Err() == nil {
			r.worker.noticed(err)
			pause = max(retry.Pause(), rest)
		} else {
			retry.Reset()
		}
		if !backoff.Sleep(ctx, rest) {
			return
		}
		timer := time.NewTimer(pause - rest)
		select {
		case <-timer.C:
		case <-r.refreshes:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// poll shows every runner the present state, and is two queries however many projections and segments there are.
func (r *membership) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.worker.options.Lease)
	defer cancel()
	number := r.polls.Add(1)
	runners := r.worker.ready()
	var names []string
	var memberships []store.Membership
	for _, runner := range runners {
		names = append(names, runner.id.Name)
		if membership := runner.membership.Load(); membership != nil && runner.enrolled.Load() {
			memberships = append(memberships, *membership)
		}
	}
	if err := r.worker.register(ctx, memberships); err != nil {
		return err
	}
	if err := r.vacate(ctx); err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	v := &view{
		number: number, projections: map[store.ProjectionID]*store.ProjectionStatus{},
		committed: map[store.ProjectionID]map[int]int64{},
	}
	for _, runner := range runners {
		v.committed[runner.id] = runner.committed()
	}
	var err error
	if v.workers, err = r.worker.tables.Workers(ctx); err != nil {
		return err
	}
	projections, err := r.worker.tables.Status(ctx, slices.Compact(names)...)
	if err != nil {
		return err
	}
	for i := range projections {
		v.projections[projections[i].ProjectionID] = &projections[i]
	}
	r.worker.beginAsked(projections)
	r.readers.look(r.worker, v)
	for _, runner := range runners {
		runner.show(v)
	}
	return nil
}

// vacate gives back what this worker owns of projections that were removed: a release may have been lost with a
// connection, and nobody else may take the segments of a worker that lives.
func (r *membership) vacate(ctx context.Context) error {
	for _, id := range r.worker.removed() {
		status, err := r.worker.tables.Status(ctx, id.Name)
		if err != nil {
			return err
		}
		for i := range status {
			if status[i].ProjectionID != id {
				continue
			}
			if err := r.release(ctx, &status[i]); err != nil {
				return err
			}
		}
		r.worker.vacated(id)
	}
	return nil
}

// release gives back what this worker owns of a projection.
func (r *membership) release(ctx context.Context, status *store.ProjectionStatus) error {
	self := r.worker.options.Name
	for _, s := range status.Segments {
		if s.Owner != self {
			continue
		}
		claim := store.Claim{Projection: status.ProjectionID, Segment: s.Segment, Worker: self, Epoch: s.Epoch}
		if err := r.worker.tables.Release(ctx, claim); err != nil {
			return err
		}
	}
	return nil
}

// ready returns the runners whose module is installed, by name and version.
func (w *Worker) ready() []*runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*runner
	for _, r := range w.runners {
		if r.ready.Load() {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *runner) int { return store.CompareProjectionIDs(a.id, b.id) })
	return all
}
