package store

import (
	"context"
	"time"
)

// Claim is the right of one worker to advance one segment: it holds while the stored owner and epoch are these, and a commit
// also demands the position.
type Claim struct {
	Projection string
	Segment    int
	Range      HashRange
	Position   int64 // the checkpoint: everything up to it is applied
	Worker     string
	Epoch      int64 // grows with every claim, also by the same worker
}

// Projections installs projections and tells how they stand.
type Projections interface {
	// Install makes the projection ready to run: it creates what is missing (schema, tables, segments), checks every
	// statement of the catalogue against the database, and clears the error of segments that failed. Two hosts may
	// install at once. segments is the number to create when the projection is new; an existing layout stays.
	//
	// # Errors
	//
	// [*CatalogueError] when the declaration does not fit the database or another version of the projection owns the
	// tables; [ErrTransient]; [ErrNotMigrated].
	Install(ctx context.Context, projection *Projection, segments int) (Catalogue, error)

	// Status returns every known projection by name, each with its segments in order. The caller owns the result.
	Status(ctx context.Context) ([]ProjectionStatus, error)

	// Reset forgets the projection: its tables, checkpoints and version, in one transaction. The next Install starts at
	// position 0. A projection with a live owner is refused as an [*InputError].
	Reset(ctx context.Context, projection string) error
}

// Catalogue is an installed projection, ready for transactions. It is safe for concurrent use.
type Catalogue interface {
	// Begin opens a unit of work for the claim. It takes no connection before the first Query or Commit.
	Begin(claim Claim) Tx
}

// Tx is one unit of work: optional queries, then one commit of rows and checkpoint. It is used by one goroutine, and ends
// with Commit or Rollback.
type Tx interface {
	// Query runs an entry of the catalogue and fills rows, which the caller owns. It sees the state at the claim's
	// position.
	//
	// # Errors
	//
	// [*RejectedError] when the database refuses the arguments, [ErrTransient].
	Query(ctx context.Context, query int, arguments []Value, rows *Rows) error

	// Commit applies the steps in order and moves the checkpoint from the claim's position to through, in one
	// transaction that a lost claim cannot pass.
	//
	// # Errors
	//
	// [ErrFenced], [*RejectedError], [ErrTransient]. Nothing was written, except that after ErrTransient, or when ctx ended,
	// the commit may have arrived: a new claim tells the position.
	Commit(ctx context.Context, through int64, steps []Step) error

	// Rollback ends the unit of work. After Commit it does nothing.
	Rollback()
}

// Rows is the result of a query: Width values a row, row by row.
type Rows struct {
	Width  int
	Values []Value
}

// ClaimRequest asks for segments of a projection.
type ClaimRequest struct {
	Projection string
	Worker     string // must have a lease that has not run out, or nothing is given
	Held       []int  // segments that the worker is at work on: they are left alone
	Limit      int    // at most so many
}

// Leases says which worker may advance which segment. All times are the database's.
type Leases interface {
	// Heartbeat registers the worker or renews it: until ttl from now its segments are not given to another.
	Heartbeat(ctx context.Context, worker string, ttl time.Duration) error

	// Claim gives segments that no other live worker owns and that have not failed. A segment that the worker owns
	// already but does not hold (after a lost connection, say) is given again, with a new epoch that fences its older claim.
	Claim(ctx context.Context, request ClaimRequest) ([]Claim, error)

	// Release gives the segment up. A claim that no longer holds is left alone.
	Release(ctx context.Context, claim Claim) error

	// Fail records why the segment cannot go on and releases it. It is not claimed again before the next Install.
	// A claim that no longer holds is left alone.
	Fail(ctx context.Context, claim Claim, reason string) error

	// Leave releases everything that the worker owns and forgets it.
	Leave(ctx context.Context, worker string) error
}

// ProjectionStatus is how a projection stands.
type ProjectionStatus struct {
	Name     string
	Version  int
	Segments []SegmentStatus
}

// SegmentStatus is how a segment stands.
type SegmentStatus struct {
	Segment   int
	Range     HashRange
	Position  int64
	Epoch     int64
	Owner     string // "" when nobody owns it
	Live      bool   // the owner's lease has not run out
	Failure   string // "" unless the segment failed
	UpdatedAt time.Time
}

// Store is one database.
type Store interface {
	Appender
	Reader
	Projections
	Leases

	// Ping tells whether the database answers and is set up: nil, [ErrNotMigrated] or [ErrTransient].
	Ping(ctx context.Context) error

	// Close waits for connections in use and closes all.
	Close()
}
