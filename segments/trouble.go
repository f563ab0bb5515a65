package segments

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/store"
)

// trouble is a segment that has ended with an error that may pass. It is not claimed before its pause is over. When it
// ends so a second time without progress, that is told: by one line of the log and by the status.
type trouble struct {
	backoff.Backoff
	until    time.Time
	position int64   // where it ended
	reason   string  // as it was told last; "" before
	outage   *outage // of which it is told as a part, or nil
}

// troubled lets a segment pause.
func (r *runner) troubled(s *segment) {
	t, known := r.troubles[s.number]
	if !known {
		t = &trouble{Backoff: r.worker.options.backoff()}
		r.troubles[s.number] = t
	}
	t.position = s.claim.Position
	if known {
		r.tellTrouble(s, t)
	}
	pause := t.Pause()
	if pipeline.IsLimit(s.err) {
		pause = max(pause, r.limits.pause(s.number, r.worker.options.RetryMax))
	}
	t.until = clock.Now().Add(pause)
	time.AfterFunc(pause, r.worker.membership.refresh)
}

func (r *runner) tellTrouble(s *segment, t *trouble) {
	told := t.reason != ""
	t.reason = storable(s.err.Error())
	r.publishTroubles()
	switch {
	case told:
	case isOutage(s.err):
		t.outage = r.worker.outageOf(s.err)
		t.outage.stall(s.id(), s.err)
	default:
		s.at().Warn().Err(s.err).Msg("segment makes no progress, trying again")
	}
}

// settleTroubles ends those of segments that have made progress, wait at the end of the log, or are another's by now.
func (r *runner) settleTroubles(status *store.ProjectionStatus) {
	stored := map[int]*store.SegmentStatus{}
	for i := range status.Segments {
		stored[status.Segments[i].Segment] = &status.Segments[i]
	}
	positions := r.committed()
	for number, t := range r.troubles {
		now, exists := stored[number]
		s := r.segments[number]
		switch {
		case t.reason == "":
		case !exists, now.Failure != "", now.Live && now.Owner != r.worker.options.Name:
			r.endTrouble(number, false)
		case positions[number] > t.position, s != nil && s.began.Load() && r.worker.log.Reached(t.position):
			r.endTrouble(number, true)
		}
	}
}

// endTrouble forgets the trouble of a segment, which may have none.
func (r *runner) endTrouble(number int, goesOn bool) {
	t := r.troubles[number]
	delete(r.troubles, number)
	if t == nil || t.reason == "" {
		return
	}
	switch {
	case t.outage != nil:
		t.outage.resume(SegmentID{r.id, number})
	case goesOn:
		r.logger.Info().Int("segment", number).Msg("segment goes on")
	}
	r.publishTroubles()
}

// endTroubles forgets those of all segments.
func (r *runner) endTroubles() {
	for number := range r.troubles {
		r.endTrouble(number, false)
	}
}

// publishTroubles gives the worker what it tells the database.
func (r *runner) publishTroubles() {
	told := []store.Trouble{}
	for _, number := range slices.Sorted(maps.Keys(r.troubles)) {
		if reason := r.troubles[number].reason; reason != "" {
			told = append(told, store.Trouble{Projection: r.id, Segment: number, Reason: reason})
		}
	}
	r.told.Store(&told)
	r.worker.membership.refresh()
}

// troubles are those of all projections, with segments that wait for room in the outbox, by name and version. The
// worker's row in the database has them.
func (w *Worker) troubles() []store.Trouble {
	all := w.outboxes.troubles()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runners {
		if told := r.told.Load(); told != nil {
			all = append(all, *told...)
		}
	}
	slices.SortFunc(all, func(a, b store.Trouble) int {
		return cmp.Or(store.CompareProjectionIDs(a.Projection, b.Projection), cmp.Compare(a.Segment, b.Segment),
			cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// lasts reports that an error does not pass by itself, and is no failure of the segment: somebody has to fix the
// database. A worker that runs once does not wait for that.
func lasts(err error) bool {
	for _, passing := range []error{
		store.ErrTransient, store.ErrFenced, store.ErrOtherLog, store.ErrNotParked, context.Canceled,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return false
		}
	}
	return err != nil && !isFailure(err)
}
