package segments

import (
	"cmp"
	"context"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// share is how many segments of a projection a worker should hold: with S segments and W workers that run it,
// ⌊S/W⌋ or ⌈S/W⌉. Every worker computes it for itself from the same rows. The workers that hold most keep the
// odd ones, so that as few as possible move. Between equals a hash decides, so that no worker gets the single
// segment of every projection. It has the name without the version: workers that run different releases of this program
// agree on it.
//
// Segments that have failed, or wait for a merge, are nobody's work and do not count.
func share(projection *store.ProjectionStatus, workers []store.Worker, self string) int {
	held := map[string]int{self: 0}
	for _, w := range workers {
		if w.Runs(projection.ProjectionID) {
			held[w.Name] = 0
		}
	}
	total := 0
	for i := range projection.Segments {
		s := &projection.Segments[i]
		if !claimable(s) {
			continue
		}
		total++
		if _, member := held[s.Owner]; member && s.Live {
			held[s.Owner]++
		}
	}
	order := make([]string, 0, len(held))
	for name := range held {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(
			cmp.Compare(held[b], held[a]),
			cmp.Compare(lot(projection.Name, a), lot(projection.Name, b)),
			cmp.Compare(a, b),
		)
	})
	n := total / len(order)
	if slices.Index(order, self) < total%len(order) {
		n++
	}
	return n
}

// claimable reports that a segment is work for somebody.
func claimable(s *store.SegmentStatus) bool { return s.Failure == "" && !s.Waits() }

func lot(projection, worker string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(projection + "/" + worker)) // never fails
	return h.Sum64()
}

// balance takes as many free segments as this worker's share has room for, or gives up what is beyond it, at a
// batch boundary.
func (r *runner) balance(ctx context.Context, status *store.ProjectionStatus, workers []store.Worker) error {
	staying := r.staying()
	if r.worker.options.Once {
		// What is at the target already is left to workers that go on.
		if busy := len(staying) > 0 || r.someFree(status); busy != r.enrolled.Swap(busy) {
			r.worker.membership.refresh()
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
		return r.claim(ctx, status, room)
	case room == 0:
		return r.releaseIdle(ctx, status)
	}
	return nil
}

// releaseIdle gives back segments that are this worker's in the database and not at work, because their release
// was lost with a connection. With a full share the worker would not claim them again, and no other worker may.
func (r *runner) releaseIdle(ctx context.Context, status *store.ProjectionStatus) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for i := range status.Segments {
		s := &status.Segments[i]
		if _, atWork := r.segments[s.Segment]; atWork || s.Owner != r.worker.options.Name {
			continue
		}
		claim := store.Claim{Projection: r.id, Segment: s.Segment, Worker: s.Owner, Epoch: s.Epoch}
		if err := r.worker.tables.Release(ctx, claim); err != nil {
			return err
		}
		r.worker.membership.refresh()
	}
	return nil
}

// dropLost ends segments that have gone to another worker or into another layout, and those whose checkpoint has gone
// back behind what they had committed: a crash or a failover has taken the last commits. One that has nothing to commit
// would not find out.
func (r *runner) dropLost(status *store.ProjectionStatus, committed map[int]int64) {
	stored := map[int]*store.SegmentStatus{}
	for i := range status.Segments {
		stored[status.Segments[i].Segment] = &status.Segments[i]
	}
	for _, s := range r.staying() {
		now, exists := stored[s.number]
		if !exists || now.Owner != r.worker.options.Name || now.Epoch != s.epoch {
			s.lost.Store(true)
			s.leave()
			continue
		}
		if now.Position < committed[s.number] {
			s.logger.Info().Int64("position", now.Position).Int64("committed", committed[s.number]).
				Msg("the database has lost the last commits, going on from its checkpoint")
			s.leave()
		}
	}
}

// staying returns the segments at work that were not asked to end, by number.
func (r *runner) staying() []*segment {
	var staying []*segment
	for _, number := range slices.Sorted(maps.Keys(r.segments)) {
		if s := r.segments[number]; !s.leaving {
			staying = append(staying, s)
		}
	}
	return staying
}

// someFree reports that there is a segment to claim: an idle worker does not ask the database for nothing.
func (r *runner) someFree(status *store.ProjectionStatus) bool {
	held := r.held()
	return slices.ContainsFunc(status.Segments, func(s store.SegmentStatus) bool {
		free := s.Owner == "" || !s.Live || s.Owner == r.worker.options.Name
		behind := r.worker.target == 0 || s.Position < r.worker.target || r.toRetry(status, &s)
		return free && behind && claimable(&s) && !slices.Contains(held, s.Segment)
	})
}

// claim takes free segments and starts them.
func (r *runner) claim(ctx context.Context, status *store.ProjectionStatus, limit int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// A claim that is cut off may still run in the server, and leave an owner behind that has left.
	ctx, stop := backoff.Grace(ctx, leaveTimeout)
	defer stop()
	request := store.ClaimRequest{
		Projection: r.id, Worker: r.worker.options.Name,
		Incarnation: r.worker.incarnation, Held: r.held(), Below: r.worker.target, Limit: limit,
	}
	if r.worker.options.Once && status.Parked > 0 { // also those that only have keys to try again
		request.Below = 0
		for i := range status.Segments {
			if s := &status.Segments[i]; s.Position >= r.worker.target && !r.toRetry(status, s) {
				request.Held = append(request.Held, s.Segment)
			}
		}
	}
	claims, err := r.worker.tables.Claim(ctx, request)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		claim.Durability = r.own.Durability
		s := newSegment(r, claim)
		r.segments[claim.Segment] = s
		r.moved(claim, 0)
		tell(r.options.Observer.Claimed, s.observed(nil))
		s.start()
		s.logger.Debug().Int64("position", claim.Position).Int64("epoch", claim.Epoch).Msg("segment claimed")
	}
	r.fresh = r.worker.membership.polls.Load() + 1
	return nil
}

// held returns the segments that are not to be claimed: those at work, and those that pause after trouble.
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
