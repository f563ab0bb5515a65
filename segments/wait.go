package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// FailedError says that a projection does not get any further before somebody acts.
type FailedError struct {
	Projection string
	Segment    int
	Position   int64  // the checkpoint where it stopped
	Reason     string // what was recorded
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("projection %s, segment %d stopped after position %d: %s", e.Projection, e.Segment, e.Position, e.Reason)
}

const (
	waitMin = 5 * time.Millisecond
	waitMax = 250 * time.Millisecond
)

// WaitForPosition waits until everything up to a position, such as that of an event just appended, is applied to the tables of
// a projection, whichever worker does it. A projection that is not known yet is waited for.
//
// # Errors
//
// [*FailedError] when a segment that is behind has failed, or a checkpoint does not belong to the log that the database has
// ([store.CheckLog]); ctx's error; those of the store but [store.ErrTransient], after which it tries again.
func WaitForPosition(ctx context.Context, s interface {
	store.Projections
	store.Reader
}, projection string, position int64,
) error {
	checked := false
	for pause := waitMin; ; pause = min(2*pause, waitMax) {
		projections, err := s.Status(ctx, projection)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, store.ErrTransient):
			return err
		case err == nil && len(projections) == 1:
			there, failed := reached(&projections[0], position)
			if failed != nil {
				return failed
			}
			// At the first look, so that it fails at once, and at the last one.
			if !checked || there {
				err = checkLog(ctx, s, &projections[0])
				checked = err == nil
			}
			if there && err == nil || err != nil && !errors.Is(err, store.ErrTransient) {
				return err
			}
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// reached tells whether every segment is at a position or beyond.
func reached(p *store.ProjectionStatus, position int64) (bool, error) {
	there := true
	for i := range p.Segments {
		s := &p.Segments[i]
		if s.Position >= position {
			continue
		}
		if s.Failure != "" {
			return false, &FailedError{Projection: p.Name, Segment: s.Segment, Position: s.Position, Reason: s.Failure}
		}
		there = false
	}
	return there, nil
}

// checkLog tells whether the checkpoints belong to the log.
func checkLog(ctx context.Context, log store.Reader, p *store.ProjectionStatus) error {
	_, faults, err := store.CheckLog(ctx, log, p.Checkpoints()...)
	if err != nil {
		return err
	}
	for i, fault := range faults {
		if fault != nil {
			s := &p.Segments[i]
			return &FailedError{Projection: p.Name, Segment: s.Segment, Position: s.Position, Reason: fault.Error()}
		}
	}
	return nil
}
