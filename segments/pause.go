package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

// PausedError says that a projection makes no progress because it is paused.
type PausedError struct {
	Projection string
	Since      time.Time
}

// Error names the projection and what ends the pause.
func (e *PausedError) Error() string {
	return fmt.Sprintf("projection %s is paused since %s: Host.Resume(%q) lets it go on", e.Projection,
		e.Since.UTC().Format(time.RFC3339), e.Projection)
}

// StillRunningError says which worker still has a segment of a projection that is paused.
type StillRunningError struct {
	Projection string
	Segment    int    // its number
	Worker     string // which has it
	Err        error  // why nobody waits any longer
}

// Error names the projection, the segment and the worker.
func (e *StillRunningError) Error() string {
	return fmt.Sprintf("projection %s is paused, and worker %s still has segment %d: it gives it up when its batch ends, "+
		"or when its lease does", e.Projection, e.Worker, e.Segment)
}

// Unwrap returns why nobody waits any longer.
func (e *StillRunningError) Unwrap() error { return e.Err }

// Pause pauses a projection on all workers, until [Resume], and returns when none has a segment of it any more: from
// then on its rows stay as they are. It need not run anywhere. changed reports that it was not paused before.
//
// # Errors
//
// [*store.InputError] when the projection is not known. [*StillRunningError] when ctx ends first: the projection is
// paused then too. Those of the store except [store.ErrTransient] once it is paused, after which it asks again.
func Pause(ctx context.Context, tables store.Tables, projection string) (changed bool, err error) {
	if changed, err = tables.SetPaused(ctx, projection, true); err != nil {
		return false, err
	}
	var last *StillRunningError
	for pause := waitMin; ; pause = min(2*pause, waitMax) {
		all, err := tables.Status(ctx, projection)
		if err == nil && stillRunning(all) != nil { // a lease may have ended meanwhile
			_, err = tables.SetPaused(ctx, projection, true)
		}
		switch {
		case ctx.Err() != nil: // what was seen last counts
		case err == nil:
			if last = stillRunning(all); last == nil {
				return changed, nil
			}
		case !errors.Is(err, store.ErrTransient):
			return changed, err
		}
		if !backoff.Sleep(ctx, pause) {
			if last == nil {
				return changed, ctx.Err()
			}
			last.Err = ctx.Err()
			return changed, last
		}
	}
}

// stillRunning finds a worker that has a segment.
func stillRunning(all []store.ProjectionStatus) *StillRunningError {
	for i := range all {
		for _, s := range all[i].Segments {
			if s.Owner != "" {
				return &StillRunningError{Projection: all[i].Name, Segment: s.Segment, Worker: s.Owner}
			}
		}
	}
	return nil
}

// Resume ends a pause. Workers that run the projection go on with it by themselves, within their Options.Rebalance.
// changed reports that it was paused.
//
// # Errors
//
// [*store.InputError] when the projection is not known; [store.ErrTransient].
func Resume(ctx context.Context, tables store.Tables, projection string) (changed bool, err error) {
	return tables.SetPaused(ctx, projection, false)
}

// pause gives up every segment, at a batch boundary, while the projection is paused.
func (r *runner) pause(ctx context.Context, status *store.ProjectionStatus) error {
	if !r.paused.Swap(true) {
		r.logger.Info().Time("since", status.PausedAt).Msg("projection paused")
	}
	for _, s := range r.staying() {
		s.leave()
	}
	r.stopBuilding()
	return r.releaseIdle(ctx, status)
}

// resumed notes that the projection is not paused.
func (r *runner) resumed() {
	if r.paused.Swap(false) {
		r.logger.Info().Msg("projection resumed")
	}
}
