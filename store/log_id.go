package store

import (
	"context"
	"fmt"
	"time"
)

// LogID identifies the log that something was read from. Two are equal when both members are.
type LogID struct {
	// ID is random and made with the log. The zero id is of no log.
	ID UUID
	// Timeline is that of the server that answered. It changes when a standby takes a server's place, or a backup
	// is restored up to a point in time. It is 0 on SQLite, which has none, and on a standby, whose reads do not
	// count.
	Timeline uint32
}

// Applied ties a checkpoint to a log: the log's identity, and the last event up to the checkpoint, of whatever segment.
// The event distinguishes logs whose id and timeline are copies, as in a restored dump.
type Applied struct {
	Log      LogID
	Position int64 // of the event; 0: there was none
	Event    UUID
}

// LogState is the answer of [Reader.Locate]: how far the log may be read, and what it has at the positions that were
// asked for.
type LogState struct {
	Horizon
	Events []UUID      // ids of the events at the positions; zero where there is none
	Next   []time.Time // when the first event behind each position was created; zero where there is none
}

// Checkpoint is the position up to which a segment of a projection has applied a log.
type Checkpoint struct {
	Projection string
	Position   int64
	Applied    Applied
}

// Checkpoint returns where the claim begins.
func (c *Claim) Checkpoint() Checkpoint {
	return Checkpoint{Projection: c.Projection.Name, Position: c.Position, Applied: c.Applied}
}

// Checkpoints returns the checkpoints of all segments, in their order.
func (p *ProjectionStatus) Checkpoints() []Checkpoint {
	all := make([]Checkpoint, len(p.Segments))
	for i := range p.Segments {
		s := &p.Segments[i]
		all[i] = Checkpoint{Projection: p.Name, Position: s.Position, Applied: s.Applied}
	}
	return all
}

// CheckCheckpoints returns the identity of the log, and a fault for each checkpoint: nil when it belongs to that log, a
// [*LogError] when it does not. The checkpoints must have been read before the call.
func CheckCheckpoints(ctx context.Context, reader Reader, checkpoints ...Checkpoint) (log LogID, faults []error,
	err error,
) {
	state, faults, err := LocateCheckpoints(ctx, reader, checkpoints...)
	return state.Log, faults, err
}

// LocateCheckpoints is [CheckCheckpoints] with all that the log says of the last event up to each checkpoint. It is one
// call of [Reader.Locate], whatever the number of checkpoints.
func LocateCheckpoints(ctx context.Context, reader Reader, checkpoints ...Checkpoint) (state LogState, faults []error,
	err error,
) {
	positions := make([]int64, len(checkpoints))
	for i := range checkpoints {
		positions[i] = checkpoints[i].Applied.Position
	}
	if state, err = reader.Locate(ctx, positions...); err != nil {
		return LogState{}, nil, err
	}
	faults = make([]error, len(checkpoints))
	for i := range checkpoints {
		if reason := checkpoints[i].misfit(&state, state.Events[i]); reason != "" {
			fault := &LogError{Projection: checkpoints[i].Projection, Reason: reason}
			if id := checkpoints[i].Applied.Log.ID; id != state.Log.ID {
				fault.Other = id
			}
			faults[i] = fault
		}
	}
	return state, faults, nil
}

// misfit says why the checkpoint does not belong to a log that has this event where the one is that ties it. A new
// timeline is no reason.
func (c *Checkpoint) misfit(state *LogState, event UUID) string {
	applied := &c.Applied
	switch {
	case c.Position == 0:
		return ""
	case applied.Log.ID != UUID{} && applied.Log.ID != state.Log.ID:
		return fmt.Sprintf("the rows were built from log %s, the database has log %s", applied.Log.ID, state.Log.ID)
	case state.Head < c.Position:
		return fmt.Sprintf("the checkpoint is at position %d, the log ends at %d", c.Position, state.Head)
	case applied.Position == 0 || event == applied.Event:
		return ""
	case event == UUID{}:
		return fmt.Sprintf("event %s, the last one up to the checkpoint, is no longer in the log at position %d",
			applied.Event, applied.Position)
	}
	return fmt.Sprintf("the log had event %s at position %d, and has event %s there now", applied.Event,
		applied.Position, event)
}
