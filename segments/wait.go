package segments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// FailedError says that a projection makes no progress before somebody acts.
type FailedError struct {
	Projection string
	Version    int    // of the projection, where the worker runs several; otherwise 0
	Build      int    // of the version
	Segment    int    // its number
	Position   int64  // the checkpoint where it stopped
	Reason     string // what was recorded
}

// Error names the segment, its checkpoint and the reason in one line.
func (e *FailedError) Error() string {
	projection := e.Projection
	if e.Version != 0 {
		id := store.ProjectionID{Version: e.Version, Build: e.Build}
		projection = projection + " version " + id.VersionText()
	}
	return fmt.Sprintf("projection %s, segment %d stopped after position %d: %s",
		projection, e.Segment, e.Position, e.Reason)
}

// NotRunError says that a projection makes no progress because no worker runs it.
type NotRunError struct {
	Projection string
	Known      bool           // it was installed at some time
	Worker     string         // one that cannot run it, or ""
	Refusal    *store.Refusal // why that one cannot, or nil
}

// Error says why no worker runs the projection, where one refuses it.
func (e *NotRunError) Error() string {
	switch {
	case e.Refusal != nil:
		return fmt.Sprintf("no worker runs projection %s: worker %s cannot run version %s of it: %s",
			e.Projection, e.Worker, e.Refusal.Projection.VersionText(), e.Refusal.Reason)
	case e.Known:
		return fmt.Sprintf("no worker runs projection %s", e.Projection)
	}
	return fmt.Sprintf("projection %s is not known, and no worker runs it", e.Projection)
}

const (
	waitMin = 5 * time.Millisecond
	waitMax = 250 * time.Millisecond
)

// WaitGrace is how long WaitForPosition waits for a projection that no worker runs, since one may be starting.
const WaitGrace = 30 * time.Second

// Wait says what to wait for.
type Wait struct {
	Projection string // by name
	Version    int    // 0 for the one that readers see
	Build      int    // of the version, see [store.FindVersion]
	Position   int64  // of the log: every event up to it is to be applied
	// Grace is for how long no worker may run the projection, since one may be starting. Below zero, Wait does
	// not wait for one. Defaults to WaitGrace.
	Grace time.Duration
	// NotRun is called once when the grace begins. Defaults to none.
	NotRun func(*NotRunError)
}

// WaitForPosition waits until everything up to a position, such as that of an event just appended, is applied
// to the tables of a projection, whichever worker does it. See [Wait.For].
func WaitForPosition(
	ctx context.Context, log store.Log, tables store.Tables, projection string, position int64,
) error {
	return Wait{Projection: projection, Position: position}.For(ctx, log, tables)
}

// For waits until everything up to the position of the log is applied to the projection's tables, whichever worker
// does it. One database may be both.
//
// # Errors
//
// [*FailedError] when a segment that is behind has failed, or a checkpoint does not belong to the log
// ([store.CheckCheckpoints]); [*PausedError] when it is paused before it gets there; [*NotRunError] when no worker has run the projection for the time of
// Grace; ctx's error; those of the store except [store.ErrTransient], after which it tries again.
func (w Wait) For(ctx context.Context, log store.Log, tables store.Tables) error {
	if w.Grace == 0 {
		w.Grace = WaitGrace
	}
	var since time.Time // when no worker was seen to run the projection, first
	told, checked := false, false
	for pause := waitMin; ; pause = min(2*pause, waitMax) {
		there, err := w.reached(ctx, log, tables, &checked)
		var notRun *NotRunError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &notRun):
			if since.IsZero() {
				since = clock.Now()
			}
			if clock.Since(since) >= w.Grace {
				return err
			}
			if !told && w.NotRun != nil {
				w.NotRun(notRun)
			}
			told = true
		case errors.Is(err, store.ErrTransient):
			since = time.Time{}
		case there || err != nil:
			return err
		default:
			since = time.Time{}
		}
		if !backoff.Sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// reached reports that the projection is at the position, and fails when it will not come there. checked
// reports that its checkpoints were found to belong to the log: they are checked first, to fail at once, and
// last.
func (w Wait) reached(
	ctx context.Context, log store.Log, tables store.Tables, checked *bool,
) (bool, error) {
	projections, err := tables.Status(ctx, w.Projection)
	if err != nil {
		return false, err
	}
	of := store.FindVersion(projections, store.ProjectionID{Name: w.Projection, Version: w.Version, Build: w.Build})
	if of != nil {
		there, err := reached(of, w.Position)
		if err != nil {
			return false, err
		}
		if !*checked || there {
			if err := checkCheckpoints(ctx, log, of); err != nil {
				return false, err
			}
			*checked = true
		}
		if there || slices.ContainsFunc(of.Segments, func(s store.SegmentStatus) bool { return s.Live }) {
			return there, nil
		}
	}
	workers, err := tables.Workers(ctx)
	if err != nil {
		return false, err
	}
	fault := &NotRunError{Projection: w.Projection, Known: of != nil}
	for i := range workers {
		if slices.ContainsFunc(workers[i].Projections, func(m store.Membership) bool {
			return m.Name == w.Projection && (of == nil || m.ProjectionID == of.ProjectionID)
		}) {
			return false, nil
		}
		at := slices.IndexFunc(workers[i].Refused, func(r store.Refusal) bool { return r.Projection.Name == w.Projection })
		if at >= 0 && fault.Refusal == nil {
			fault.Worker, fault.Refusal = workers[i].Name, &workers[i].Refused[at]
		}
	}
	return false, fault
}

// reached reports that every segment is at a position or beyond.
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
	if !there && p.Paused() {
		return false, &PausedError{Projection: p.Name, Since: p.PausedAt}
	}
	return there, nil
}

// checkCheckpoints fails unless the checkpoints belong to the log.
func checkCheckpoints(ctx context.Context, log store.Reader, p *store.ProjectionStatus) error {
	_, faults, err := store.CheckCheckpoints(ctx, log, p.Checkpoints()...)
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
