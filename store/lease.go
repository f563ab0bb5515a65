package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Claim is the right of one worker to advance one segment. It holds while the database has its worker and epoch for the
// segment. A commit also requires that the checkpoint is at Position.
type Claim struct {
	Projection ProjectionID
	Segment    int       // the segment's number
	Range      HashRange // the streams of the segment
	Position   int64     // the checkpoint: every event up to it is applied
	Applied    Applied   // the log that the checkpoint belongs to
	MergeAt    int64     // the position that the segment must not pass, since it is merged there; 0 for none
	Worker     string    // the owner
	Epoch      int64     // grows with every claim, also by the same worker
	// Durability says whether the commits of the claim wait for the disk. It is up to the owner.
	Durability Durability
}

// ClaimRequest asks for segments of a projection.
type ClaimRequest struct {
	Projection ProjectionID // must be installed in this version, or no segment is given
	Worker     string       // must have a live lease, or no segment is given
	Held       []int        // numbers of segments that the worker holds: they are left alone
	Below      int64        // only segments whose checkpoint is below this position; 0 for all
	Limit      int          // maximum number of segments

	// Incarnation is that of the process. A process that lost its name to another is given no segment.
	Incarnation string
}

// Leases decides which worker may advance which segment. All times are the database's. A lease never holds for
// longer than twice its length, even if the database's clock is set back.
type Leases interface {
	// Join registers a process that starts, and takes over its name: it releases everything that a worker of this name
	// owns. Most likely that one was killed; if it is alive, its next Heartbeat fails.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Join(ctx context.Context, worker Worker, ttl time.Duration) error

	// Heartbeat registers the worker or renews its lease: until ttl from now nobody else is given its segments.
	//
	// # Errors
	//
	// [ErrNameTaken], [ErrTransient].
	Heartbeat(ctx context.Context, worker Worker, ttl time.Duration) error

	// Workers returns the workers with a live lease, in order of name. The caller owns the result.
	Workers(ctx context.Context) ([]Worker, error)

	// Claim gives the worker segments that no other live worker owns, that have not failed and that do not wait
	// for a merge, of a projection that is not paused. Once [Projections.SetPaused] has returned, no claim of any worker
	// gives a segment, whatever that worker has seen before. A segment that the worker owns but does not hold, as after a
	// lost connection, is given with a new epoch, which fences the older claim. Claims are in order of their segments;
	// an empty result is no error.
	Claim(ctx context.Context, request ClaimRequest) ([]Claim, error)

	// Adopt records that the claim's checkpoint belongs to a log, as found by [CheckCheckpoints]: that of a new
	// timeline, or any log for a segment that has not begun.
	//
	// # Errors
	//
	// [ErrFenced] when the claim no longer holds; [ErrSameDatabase]; [ErrTransient].
	Adopt(ctx context.Context, claim Claim, log LogID) error

	// Release gives the segment up. It does nothing when the claim no longer holds.
	Release(ctx context.Context, claim Claim) error

	// Fail records why the segment cannot go on, and releases it. Nobody claims it again before the next
	// Recover or Install.
	//
	// # Errors
	//
	// [ErrFenced] when the claim no longer holds: nothing is recorded; [ErrTransient].
	Fail(ctx context.Context, claim Claim, reason string) error

	// Leave releases everything that the worker owns and deletes its lease. It does nothing once another process
	// has joined under the name. Only the name and the incarnation of worker count.
	Leave(ctx context.Context, worker Worker) error
}

// Worker is a process that runs projections, as it describes itself with every heartbeat.
type Worker struct {
	Name        string
	Incarnation string       // distinguishes processes of one name
	Projections []Membership // those that it runs
	Refused     []Refusal    // those that it cannot run
	Troubles    []Trouble    // segments that make no progress in its hands
	Segments    int          // the number of segments per projection that it asks for
}

// Membership is a projection that a worker runs.
type Membership struct {
	ProjectionID
	// Segments is the number of segments that the worker asks for, where it asks for another one than for the others.
	Segments int `json:"segments,omitempty"`
}

// Runs reports that the worker runs a projection.
func (w *Worker) Runs(projection ProjectionID) bool {
	return slices.ContainsFunc(w.Projections, func(m Membership) bool { return m.ProjectionID == projection })
}

// Asks returns the number of segments that the worker asks for, or 0 when it asks for none or does not run the
// projection.
func (w *Worker) Asks(projection ProjectionID) int {
	at := slices.IndexFunc(w.Projections, func(m Membership) bool { return m.ProjectionID == projection })
	if at < 0 {
		return 0
	}
	return cmp.Or(w.Projections[at].Segments, w.Segments)
}

// Durability says whether the commits of a projection wait for the disk.
type Durability int8

const (
	// DurabilityOfStore is the option of the store.
	DurabilityOfStore Durability = iota
	// Durable commits wait for the disk.
	Durable
	// Volatile commits do not wait: a crash of the server, or on SQLite of the machine, may take the last ones back,
	// rows and checkpoint together.
	Volatile
)

// Waits reports whether commits wait for the disk, in a store with an option for all.
func (d Durability) Waits(option bool) bool { return d == Durable || d == DurabilityOfStore && option }
