package segments

import (
	"context"
	"errors"

	"github.com/pupwasm/pupwasm/store"
)

// complete reports, when the worker runs once, that every segment of the projection has reached the target or
// failed, whichever worker owns it, or that the projection is paused. It waits for segments of other workers. A segment
// beyond the target was claimed by nobody, so its checkpoint is checked here.
func (r *runner) complete(ctx context.Context, status *store.ProjectionStatus) (bool, error) {
	var failures []error
	paused := false
	for i := range status.Segments {
		s := &status.Segments[i]
		switch {
		case s.Failure != "":
			failures = append(failures, r.failedAt(s.Segment, s.Position, s.Failure))
		case s.Position >= r.worker.target && !r.toRetry(status, s):
		case status.Paused():
			paused = true
		default:
			return false, nil
		}
	}
	_, faults, err := store.CheckCheckpoints(ctx, r.worker.source, status.Checkpoints()...)
	if err != nil {
		return false, ofLog(err)
	}
	for i, fault := range faults {
		if s := &status.Segments[i]; fault != nil && s.Failure == "" {
			failures = append(failures, r.failedAt(s.Segment, s.Position, fault.Error()))
		}
	}
	if paused {
		failures = append(failures, &PausedError{Projection: r.id.Name, Since: status.PausedAt})
	}
	r.failure = errors.Join(append(failures, r.failure)...)
	return true, nil
}

// toRetry reports, when the worker runs once, that a segment may have parked keys to try again that no other worker
// tries.
func (r *runner) toRetry(status *store.ProjectionStatus, s *store.SegmentStatus) bool {
	free := s.Owner == "" || !s.Live || s.Owner == r.worker.options.Name
	return r.worker.options.Once && status.Parked > 0 && free && claimable(s) && !r.retried[s.Segment]
}

func (r *runner) failedAt(segment int, position int64, reason string) error {
	err := &FailedError{Projection: r.id.Name, Segment: segment, Position: position, Reason: reason}
	if r.worker.runsBeside(r.id) {
		err.Version, err.Build = r.id.Version, r.id.Build
	}
	return err
}
