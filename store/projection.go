package store

import (
	"context"
	"fmt"
	"time"
)

// Projections installs projections and reports their state.
type Projections interface {
	// Install makes the projection ready to run. It creates the tables and segments of a new projection, with indexes
	// and with the views under the plain name by which the tables are read (see [PlaceOf]), checks every statement of
	// the catalogue against the database, and clears the errors of failed segments. Indexes that tables lack which are
	// there already are for BuildIndexes, where they would hold commits up, and so are all of a version beside the live
	// one, whose building they would slow down. Two hosts may install at once. segments is the number of segments of a
	// new projection; an existing layout stays.
	//
	// A known version must be as it was installed: its declaration (see [Projection.Declaration]), and its
	// tables in the database. Columns that old rows may lack, by [BackfillNone], are the exception: one that the tables
	// lack is added, where it is declared behind all that they have, and one that the projection lacks is left alone.
	// While no event is applied and the tables are empty, another declaration or a later version replaces them, and
	// earlier claims are fenced. Otherwise a later version than the live one is a candidate: it has tables, segments
	// and checkpoints of its own, begins with the first event, and readers do not see it (see [Versions]).
	//
	// # Errors
	//
	// [*CatalogueError] when the declaration does not fit the database or differs from what was installed, when
	// somebody has changed a table by hand, or when the version is not installed and older than the live one;
	// [ErrTransient], with [ErrLocked] when a transaction has a lock on a table that gets a column; [ErrNotMigrated].
	Install(ctx context.Context, projection *Projection, segments int) (Catalogue, error)

	// InstallBeside is Install for a host that runs an earlier version too, which is left alone also while nothing of it
	// is applied.
	InstallBeside(ctx context.Context, projection *Projection, segments int) (Catalogue, error)

	// BuildIndexes makes the declared indexes that the tables of an installed version lack and that Install has left
	// out. Commits and readers go on meanwhile, however long it takes. One host at a
	// time builds indexes of a projection. A build that ends early, by ctx or with its host, is begun again by the next
	// call. told, which may be nil, is called when each index begins to be built and when it is there.
	//
	// # Errors
	//
	// [ErrTransient], with [ErrLocked] while another host builds; [*CatalogueError] when the database refuses an index;
	// ctx's.
	BuildIndexes(ctx context.Context, projection *Projection, told func(IndexBuild)) error

	// Status returns the known projections in order of name, or only those that are named. Segments are in order
	// of their numbers. The caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Status(ctx context.Context, only ...string) ([]ProjectionStatus, error)

	// Installed returns the installed versions of a projection in order, each with its tables as they are now. There is
	// none when the projection is not known. It changes nothing, and the caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Installed(ctx context.Context, projection string) (Versioned, error)

	// Published returns an installed projection as readers see it: its name, the live version, and its tables, with its views
	// behind them, as tables without a key; Views tells which these are. Columns of views have the types that the
	// database knows, or text where these are none of a declaration; on SQLite they have [KindNull], and values of
	// whatever kind is stored. Views that are not there are left out. The result is for ReadRows, and the caller owns it.
	//
	// # Errors
	//
	// [*InputError] when the projection is not known; [ErrTransient].
	Published(ctx context.Context, projection string) (*Projection, error)

	// ReadRows fills rows, which the caller owns and may reuse, with rows of a table of an installed projection, as the
	// views for readers show them: the values of all columns in the order of the declaration. It changes nothing, also
	// where a view of a module would. Rows have no order unless it is asked for.
	//
	// # Errors
	//
	// [*InputError] when the declaration has no such table or column; [*StatementError] when the database has other
	// columns than the declaration; [*RejectedError] when the rows exceed [ResultBytesMax]; [ErrTransient].
	ReadRows(ctx context.Context, request RowsRequest, rows *Rows) error

	// Reshard changes the layout of a projection in one transaction, after the commits in flight and before all
	// later ones. change gets the layout and alters it by its methods; Reshard may call it again after a conflict.
	// Every altered segment loses its owner, and earlier claims on it are fenced. If change returns an error,
	// Reshard alters nothing and returns it.
	//
	// # Errors
	//
	// [*InputError] when the projection is not installed in this version, [ErrTransient], and those of change.
	Reshard(ctx context.Context, projection ProjectionID, change func(*Layout) error) error

	// Recover lets segments that have failed go on, those that are named or all, and returns how many had. A host
	// that runs the projection claims them again.
	//
	// # Errors
	//
	// [ErrTransient].
	Recover(ctx context.Context, projection ProjectionID, segments ...int) (int, error)

	// SetPaused pauses all versions of a projection, so that no segment of it is given to a worker, or resumes it. It reports whether
	// that is a change. Workers give up the segments that they have when they see it in the status. One whose lease has
	// ended loses them at once, also when it was paused before: it cannot commit any more. A projection stays
	// paused when it is installed again, also in a later version, and not when it is reset.
	//
	// # Errors
	//
	// [*InputError] when the projection is not known; [ErrTransient].
	SetPaused(ctx context.Context, projection string, paused bool) (changed bool, err error)

	// Reset deletes the tables and checkpoints of all versions of the projection, and the views by which it is read, in
	// one transaction, and nothing of others. What was granted on the views is granted again by the next Install, which
	// begins at position 0. A database that cannot drop tables in a transaction forgets the projection in one, and drops
	// them behind it: where that fails, the next Reset or Install goes on.
	//
	// # Errors
	//
	// [*InputError] when the projection is not known, a live worker owns one of its segments, or others have built
	// upon its tables or views, as far as the database knows; [ErrTransient].
	Reset(ctx context.Context, projection string) error
}

// Catalogue is an installed projection, ready for transactions. It is safe for concurrent use.
type Catalogue interface {
	// Begin opens a transaction for the claim. It takes no connection before the first Query or Commit.
	Begin(claim Claim) Tx
}

// Tx is one transaction of a segment: any number of queries, then one commit of rows and checkpoint. One goroutine
// uses it. It ends with Commit or Rollback.
type Tx interface {
	// Query runs the entry of the catalogue with the index query and fills rows, which the caller owns and may
	// reuse. arguments are the entry's parameters, in order and of the declared types (see
	// [Projection.Signature]). The query sees the committed rows, which are those at the claim's position while
	// the claim holds.
	//
	// # Errors
	//
	// [*RejectedError] when the database refuses the arguments, or the result is too large; [*LimitError];
	// [ErrTransient].
	Query(ctx context.Context, query int, arguments []Value, rows *Rows) error

	// Commit applies the steps in order and moves the checkpoint from the claim's position to commit.Through, in
	// one transaction. It succeeds only while the claim holds, and only if commit.Log is the log of the checkpoint,
	// by id and timeline. Where the log is in the same database, that must still have it: with this id and
	// timeline, with the event of the checkpoint (see [Applied]), and with the last event of the commit. Where it
	// is elsewhere, it must not be the database's own (see [Tables]).
	//
	// # Errors
	//
	// [ErrFenced], [ErrOtherLog], [ErrSameDatabase], [*RejectedError], [*LimitError], [ErrTransient];
	// [ErrNotParked] when a key of Noted is not parked; [*ParkedMaxError]. After an error nothing was written,
	// with one exception: after an ErrTransient that is no LimitError, or when ctx ended, the commit may
	// have succeeded. A new claim has the position then.
	Commit(ctx context.Context, commit Commit) error

	// Retry applies events of a parked key, which the checkpoint has passed, instead of Commit. It succeeds only
	// while the worker has the claim; the checkpoint may have moved since. It reports whether the key is parked no
	// longer. Errors are those of Commit, and [ErrNotParked].
	Retry(ctx context.Context, retry Retry) (unparked bool, err error)

	// Rollback ends the transaction. After Commit or Retry it does nothing.
	Rollback()
}

// Commit is what one transaction writes.
type Commit struct {
	Through int64  // where the checkpoint goes
	Steps   []Step // see [Folder.Steps]
	Log     LogID  // the log that the events were read from, see [Page]
	// LastPosition and LastEvent are the position and id of the last event that was read; zero when there is none.
	// For tables apart from their log they are those of the last event up to Through, of whatever segment, as
	// [Reader.AppliedAt] has them: the checkpoint notes them.
	LastPosition int64
	LastEvent    UUID
	// Head is the last position of the log that is known. It matters for tables apart from their log only.
	Head int64
	// What becomes of events that are passed and not applied.
	Parked  []NewParked
	Noted   []ParkedEvent // of keys that are parked
	Skipped []SkippedEvent
	// Messages of the events that are applied, in order of position and index: see [Outbox].
	Messages []Message
	// ParkedMax is the most keys of the projection that may be parked; 0 for no limit.
	ParkedMax int
	// Explain has a [*RejectedError] name the row and the column, where the database can be made to tell. It costs
	// further statements after a rejection.
	Explain bool
}

// Rows is the result of a query: Width values per row, row by row.
type Rows struct {
	Width  int
	Values []Value
	bytes  int // about what the values take in memory
}

const (
	// ResultBytesMax bounds what a query of a projection may bring into the host's memory.
	ResultBytesMax = 64 << 20
	// valueBytes is about what a value takes besides its bytes.
	valueBytes = 64
)

// Reset empties the result for rows of width values.
func (r *Rows) Reset(width int) { r.Width, r.Values, r.bytes = width, r.Values[:0], 0 }

// Reserve counts a value of this many bytes, with its number of elements if it is an array, before memory is taken
// for it. It returns an error when the result would exceed [ResultBytesMax].
func (r *Rows) Reserve(bytes, elements int) error {
	if r.bytes += valueBytes*(1+elements) + bytes; r.bytes > ResultBytesMax {
		return fmt.Errorf("the result has more than %d MiB", ResultBytesMax>>20)
	}
	return nil
}

// Refusal is a projection that a worker cannot run.
type Refusal struct {
	Projection ProjectionID `json:"projection"` // of the module
	Reason     string       `json:"reason"`
}

// Trouble is a segment that a worker tries again and again without progress.
type Trouble struct {
	Projection ProjectionID `json:"projection"`
	Segment    int          `json:"segment"`
	Reason     string       `json:"reason"`
}

// ProjectionStatus is the state of a projection.
type ProjectionStatus struct {
	ProjectionID
	Desired int // the number of segments that was asked for last
	Parked  int // how many keys are parked
	// ParkedEvents is how many events wait for these keys, with those that failed.
	ParkedEvents int64
	// ParkedExhausted is how many of the keys are not tried again by themselves, and nobody has ordered anything.
	ParkedExhausted int
	PausedAt        time.Time // since when it is paused; zero when it is not
	Live            bool      // readers see this version
	// Replaced is the version that they saw before it, which a rollback goes back to; zero for none.
	Replaced ProjectionID
	// Rebuild is the build of the version that [Versions].Rebuild has asked for and that no worker has begun yet; 0 for none.
	Rebuild     int
	InstalledAt time.Time
	Code        string    // the digest of what ran it last, see [Code]
	PromotedAt  time.Time // when readers saw it first, the last time that they did; zero when never
	Segments    []SegmentStatus
}

// Paused reports that the projection is paused.
func (p *ProjectionStatus) Paused() bool { return !p.PausedAt.IsZero() }

// SegmentStatus is the state of a segment.
type SegmentStatus struct {
	Segment   int       // the segment's number
	Range     HashRange // the streams of the segment
	Position  int64     // the checkpoint
	Applied   Applied
	Epoch     int64
	Owner     string // the worker that owns it; "" when nobody does
	Live      bool   // the owner's lease has not expired
	Failure   string // why it cannot go on; "" when it can
	Merge     Merge  // the merge that it waits for
	UpdatedAt time.Time

	// BehindSince is the time of the first of the latest commits that did not reach the end of the log. It is zero
	// when the last commit reached it, or there was none.
	BehindSince time.Time
}

// Waits reports whether the segment has reached the position of its merge and waits there for the others.
func (s *SegmentStatus) Waits() bool { return s.Merge.At > 0 && s.Position >= s.Merge.At }
