package store

import (
	"context"
	"fmt"
	"time"
)

// Claim is the right of one worker to advance one segment: it holds while the stored owner and epoch are these,
// and a commit also demands the position.
type Claim struct {
	Projection string
	Segment    int
	Range      HashRange
	Position   int64 // the checkpoint: everything up to it is applied
	Applied    Applied
	MergeAt    int64 // the position that it must not pass, since the segment is being merged there; 0 for none
	Worker     string
	Epoch      int64 // grows with every claim, also by the same worker
}

// Projections installs projections and tells how they stand.
type Projections interface {
	// Install makes the projection ready to run: it creates its tables and segments when it is new, and makes
	// indexes that are missing; it checks every statement of the catalogue against the database, and clears the
	// error of segments that failed. Two hosts may install at once. segments is the number to create when the
	// projection is new; an existing layout stays.
	//
	// A projection that is known has to be as it was installed: its declaration (see [Projection.Declaration]),
	// and its tables in the database. As long as no event is applied and the tables are empty, another declaration
	// or a later version takes their place, and claims of before are fenced.
	//
	// # Errors
	//
	// [*CatalogueError] when the declaration does not fit the database or differs from what was installed, when
	// somebody has changed a table by hand, or when another version of the projection owns the tables;
	// [ErrTransient]; [ErrNotMigrated].
	Install(ctx context.Context, projection *Projection, segments int) (Catalogue, error)

	// Status returns the known projections by name, or those of them that are named, each with its segments in
	// order of their numbers. The caller owns the result.
	Status(ctx context.Context, only ...string) ([]ProjectionStatus, error)

	// Reshard changes a projection's layout in one transaction, after the commits under way and before all later
	// ones. change gets the layout and alters it by its methods; it may be called again after a conflict. Every
	// segment that it alters loses its owner, and claims of before are fenced. An error of change leaves
	// everything as it is and is returned.
	//
	// # Errors
	//
	// [*InputError] when the projection is not known, [ErrTransient], and those of change.
	Reshard(ctx context.Context, projection string, change func(*Layout) error) error

	// Reset forgets the projection: its tables, checkpoints and version, in one transaction. The next Install starts at
	// position 0. A projection with a live owner is refused as an [*InputError].
	Reset(ctx context.Context, projection string) error
}

// Catalogue is an installed projection, ready for transactions. It is safe for concurrent use.
type Catalogue interface {
	// Begin opens a unit of work for the claim. It takes no connection before the first Query or Commit.
	Begin(claim Claim) Tx
}

// Tx is one unit of work: optional queries, then one commit of rows and checkpoint. It is used by one goroutine,
// and ends with Commit or Rollback.
type Tx interface {
	// Query runs an entry of the catalogue and fills rows, which the caller owns. It sees the state at the claim's
	// position.
	//
	// # Errors
	//
	// [*RejectedError] when the database refuses the arguments, or the result is too large; [*LimitError];
	// [ErrTransient].
	Query(ctx context.Context, query int, arguments []Value, rows *Rows) error

	// Commit applies the steps in order and moves the checkpoint from the claim's position to the commit's, in one
	// transaction that a lost claim cannot pass, nor what was read of another log than the checkpoint is of. The
	// database has the log too: it must be this very log, with the event that ties the checkpoint to it, see
	// [Applied], and the last one of the commit. The last event up to where the checkpoint goes ties it from then
	// on.
	//
	// # Errors
	//
	// [ErrFenced], [ErrOtherLog], [*RejectedError], [*LimitError], [ErrTransient]. Nothing was written, except
	// that after an ErrTransient that is no LimitError, or when ctx ended, the commit may have arrived: a new
	// claim tells the position.
	Commit(ctx context.Context, commit Commit) error

	// Rollback ends the unit of work. After Commit it does nothing.
	Rollback()
}

// Commit is what one transaction writes.
type Commit struct {
	Through int64 // where the checkpoint goes
	Steps   []Step
	Log     LogID // whose events were read, see [Page]
	// LastPosition and LastEvent are of the last event that was read for it; zero when there is none.
	LastPosition int64
	LastEvent    UUID
}

// Rows is the result of a query: Width values a row, row by row.
type Rows struct {
	Width  int
	Values []Value
	bytes  int // that the values take in memory, about
}

const (
	// ResultBytesMax bounds what a query of a projection may bring into the host's memory.
	ResultBytesMax = 64 << 20
	// valueBytes is about what a value takes besides its bytes.
	valueBytes = 64
)

// Reset empties the result for another one, of so many values a row.
func (r *Rows) Reset(width int) { r.Width, r.Values, r.bytes = width, r.Values[:0], 0 }

// Reserve counts a value of so many bytes before memory is taken for it, with the elements that it has as an
// array, and refuses what is beyond [ResultBytesMax].
func (r *Rows) Reserve(bytes, elements int) error {
	if r.bytes += valueBytes*(1+elements) + bytes; r.bytes > ResultBytesMax {
		return fmt.Errorf("the result has more than %d MiB", ResultBytesMax>>20)
	}
	return nil
}

// ClaimRequest asks for segments of a projection.
type ClaimRequest struct {
	Projection string
	Version    int    // of the projection, which must be the installed one, or nothing is given; 0 for any
	Worker     string // must have a lease that has not run out, or nothing is given
	Held       []int  // segments that the worker is at work on: they are left alone
	Below      int64  // only segments that stand below this position; 0 for all
	Limit      int    // at most so many

	Incarnation string // of the process: one that lost its name to another is given nothing
}

// Leases says which worker may advance which segment. All times are the database's. A lease never holds for longer
// than twice its length, also when the database's clock is set back.
type Leases interface {
	// Join registers a process that starts. The name is its own from then on: everything that the worker of this
	// name owns is released, since most likely it was killed, and a process that does live under the name finds
	// out with its next heartbeat.
	Join(ctx context.Context, worker Worker, ttl time.Duration) error

	// Heartbeat registers the worker or renews it: until ttl from now its segments are not given to another.
	//
	// # Errors
	//
	// [ErrNameTaken], [ErrTransient].
	Heartbeat(ctx context.Context, worker Worker, ttl time.Duration) error

	// Workers returns the workers whose lease has not run out, by name. The caller owns the result.
	Workers(ctx context.Context) ([]Worker, error)

	// Claim gives segments that no other live worker owns, that have not failed and do not wait at their barrier.
	// A segment that the worker owns already but does not hold (after a lost connection, say) is given again, with
	// a new epoch that fences its older claim.
	Claim(ctx context.Context, request ClaimRequest) ([]Claim, error)

	// Adopt notes that the claim's checkpoint belongs to a log, which [CheckCheckpoints] has found out: that of a
	// new timeline, or any log for a segment that has not begun. A claim that no longer holds is [ErrFenced].
	Adopt(ctx context.Context, claim Claim, log LogID) error

	// Release gives the segment up. A claim that no longer holds is left alone.
	Release(ctx context.Context, claim Claim) error

	// Fail records why the segment cannot go on and releases it. It is not claimed again before the next Install.
	// A claim that no longer holds is [ErrFenced], and nothing is recorded.
	Fail(ctx context.Context, claim Claim, reason string) error

	// Leave releases everything that the worker owns and forgets it. It does nothing once another process has
	// joined under the name. Only the name and the incarnation of worker count.
	Leave(ctx context.Context, worker Worker) error
}

// Worker is a process that runs projections, as it describes itself with every heartbeat.
type Worker struct {
	Name        string
	Incarnation string    // tells processes of one name apart
	Projections []string  // those that it runs
	Refused     []Refusal // those that it cannot run
	Segments    int       // into how many segments it would have a projection divided
}

// Refusal is a projection that a worker cannot run.
type Refusal struct {
	Projection string `json:"projection"`
	Version    int    `json:"version"` // of the module
	Reason     string `json:"reason"`
}

// ProjectionStatus is how a projection stands.
type ProjectionStatus struct {
	Name     string
	Version  int
	Desired  int // the number of segments that was last asked for
	Segments []SegmentStatus
}

// SegmentStatus is how a segment stands.
type SegmentStatus struct {
	Segment   int
	Range     HashRange
	Position  int64
	Applied   Applied
	Epoch     int64
	Owner     string // "" when nobody owns it
	Live      bool   // the owner's lease has not run out
	Failure   string // "" unless the segment failed
	Merge     Merge  // the merge that it waits for
	UpdatedAt time.Time

	// BehindSince is the time of the first of the latest commits that did not reach the end of the log, and zero
	// when the last commit reached it, or there was none.
	BehindSince time.Time
}

// Waits tells whether the segment stands at its barrier, until the others of its merge have come up to it.
func (s *SegmentStatus) Waits() bool { return s.Merge.At > 0 && s.Position >= s.Merge.At }

// Store is one database.
type Store interface {
	Appender
	BulkAppender
	Reader
	Projections
	Leases
	LogChecker

	// Ping tells whether the database answers and is set up: nil, [ErrNotMigrated] or [ErrTransient].
	Ping(ctx context.Context) error

	// Close waits for connections in use and closes all.
	Close()
}
