package store

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrStreamNotFound says that a stream has no event.
	ErrStreamNotFound = errors.New("the stream does not exist")

	// ErrFenced says that the claim no longer holds its segment at the position it was read at: another worker has
	// it, or an earlier commit went through. Nothing was written. Drop the claim and claim again.
	ErrFenced = errors.New("the segment is no longer held by this worker")

	// ErrNameTaken says that another process has joined under the worker's name. Nothing was changed.
	ErrNameTaken = errors.New("another process has started under the name of this worker")

	// ErrOtherLog says that what was read is of another log than the database has now: another server took its
	// place, or its log was replaced. Nothing was written. Drop what was read, check the checkpoint by
	// [CheckCheckpoints], and read again.
	ErrOtherLog = errors.New("the log is another one than was read")

	// ErrTransient wraps every failure that may pass by itself: a lost connection, a deadlock, a server that starts or
	// is read-only. Nothing can be said of the transaction; the stored checkpoint tells.
	ErrTransient = errors.New("the database is not available")

	// ErrDeadlock says that the database ended the transaction because others waited for it and it for them.
	// Nothing was written, and the same transaction may be tried again at once. It is an ErrTransient.
	ErrDeadlock = fmt.Errorf("%w: deadlock", ErrTransient)

	// ErrReadOnly says that the database takes no writes: a standby before it is promoted, or a setting. It comes
	// with ErrTransient.
	ErrReadOnly = errors.New("it is read-only")

	// ErrNotMigrated says that the database lacks the tables of this version.
	ErrNotMigrated = errors.New("the database is not set up for this version: run 'pupwasm migrate up'")
)

// VersionConflictError says that a stream was not at the expected version. Nothing was appended.
type VersionConflictError struct {
	Stream   Stream
	Expected Expected
	Actual   int64 // the stream's last version, or -1 when another append won while this one ran
}

func (e *VersionConflictError) Error() string {
	if e.Actual < 0 {
		return fmt.Sprintf("version conflict on stream %s: another append came first", e.Stream)
	}
	return fmt.Sprintf("version conflict on stream %s: expected %s, it is at version %d", e.Stream, e.Expected,
		e.Actual)
}

// VersionConflicts is more than one conflict of one append, in the order of its streams. [errors.As] finds the first.
type VersionConflicts []*VersionConflictError

// Err returns the only conflict as what it is, several together, and nil for none.
func (e VersionConflicts) Err() error {
	switch len(e) {
	case 0:
		return nil
	case 1:
		return e[0]
	}
	return e
}

func (e VersionConflicts) Error() string {
	return fmt.Sprintf("%s, and %d more conflicts", e[0], len(e)-1)
}

// Unwrap returns every conflict.
func (e VersionConflicts) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// DuplicateEventError says that an event id is stored already. Nothing was appended.
type DuplicateEventError struct {
	ID UUID // zero when the database did not say
}

func (e *DuplicateEventError) Error() string {
	return fmt.Sprintf("event id %s is stored already", e.ID)
}

// InputError says what was asked for wrongly: a field of an append that cannot be stored, a segment that cannot be
// split. Nothing was changed.
type InputError struct {
	Field  string
	Reason string
}

func (e *InputError) Error() string { return e.Field + " " + e.Reason }

// RejectedError says that the database refused what a projection wrote or asked, and will refuse it again: a
// constraint, a value out of range, a missing column. The transaction was rolled back.
type RejectedError struct {
	Statement string // the name of the write or query in the catalogue
	Reason    string // the database's own words
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the database refuses %s: %s", e.Statement, e.Reason)
}

// LimitError says that SQL of a projection has met a limit of time, memory or disk. Nothing was written. The
// database may only have been busy, so that it is an [ErrTransient] too; what meets its limit each time that the
// same events are tried is at fault itself.
type LimitError struct {
	Statement string // the name of the write or query in the catalogue, or of several
	Limit     string // what it has done, with the limit: "ran for longer than 1m0s"
	Remedy    string // how the limit is raised
}

func (e *LimitError) Error() string { return e.Statement + " " + e.Limit + ": " + e.Remedy }

// Is makes it an [ErrTransient].
func (e *LimitError) Is(target error) bool { return target == ErrTransient }

// The limits that every store has words for.
const (
	raiseStatement   = "--statement-timeout raises the limit"
	raiseTransaction = "--transaction-timeout raises the limit, and a smaller --batch needs less of it"
)

// StatementTooLong says that a statement or query of a module ran for longer than it may.
func StatementTooLong(statement string, limit time.Duration) error {
	return &LimitError{
		Statement: statement, Limit: fmt.Sprintf("ran for longer than %s", limit),
		Remedy: raiseStatement,
	}
}

// TransactionTooLong says that the statements and queries of a batch took longer than they may together.
func TransactionTooLong(statement string, limit time.Duration) error {
	return &LimitError{
		Statement: statement, Limit: fmt.Sprintf("ran when all statements and queries of the batch had taken "+
			"longer than %s", limit),
		Remedy: raiseTransaction,
	}
}

// LogError says that a checkpoint does not belong to the log that the database has: to go on would leave events
// out, or apply others to rows that they do not fit.
type LogError struct {
	Projection string
	Reason     string // what differs
}

func (e *LogError) Error() string {
	return fmt.Sprintf("%s: restore the log that the rows were built from and start the projection again, or "+
		"rebuild it: 'pupwasm reset %s' deletes its rows, and the next run applies this log from the first event",
		e.Reason, e.Projection)
}

// CatalogueError says what of a projection's declaration cannot be installed. It is found at load, before any event.
type CatalogueError struct {
	Item   string // for example `write "total"` or `table "fines"`
	Reason string
}

func (e *CatalogueError) Error() string { return e.Item + ": " + e.Reason }

// VersionMismatch says that another version of the projection has built what is in the database.
func VersionMismatch(projection string, installed, given int) error {
	remedy := fmt.Sprintf("keep version %d if the rows stay right, or stop all hosts that run it and 'pupwasm "+
		"reset %s', which deletes its rows; 'pupwasm run' then builds them again from the first event",
		installed, projection)
	if given < installed {
		remedy = fmt.Sprintf("use the module of version %d; to go back, 'pupwasm reset %s' deletes the rows of "+
			"version %d, and 'pupwasm run' then builds them again from the first event",
			installed, projection, installed)
	}
	return &CatalogueError{
		Item: fmt.Sprintf("projection %q", projection),
		Reason: fmt.Sprintf("its tables were built by version %d, the module is version %d: %s", installed, given,
			remedy),
	}
}

// TableChanged says that somebody has changed a table of a projection behind its checkpoints.
func TableChanged(projection, table, change string) error {
	return &CatalogueError{
		Item: fmt.Sprintf("table %q", table),
		Reason: fmt.Sprintf("%s: put it back as it was, with its rows, or run 'pupwasm reset %s', which deletes "+
			"all rows of the projection; 'pupwasm run' then builds them again from the first event",
			change, projection),
	}
}

// NotTheProjections says that the place of a projection's tables holds something that is not its own.
func NotTheProjections(projection, what string) error {
	return &CatalogueError{
		Item:   fmt.Sprintf("projection %q", projection),
		Reason: fmt.Sprintf("the database has %s that is not the projection's: choose another name", what),
	}
}

// SharedPlace says that a projection cannot be reset, since what would be deleted is not its own alone.
func SharedPlace(projection, place string) error {
	return &InputError{
		Field:  "projection " + projection,
		Reason: fmt.Sprintf("has its tables among those of another --schema, %s: drop them by hand", place),
	}
}

// StillOwned says that a projection cannot be reset while a worker runs it.
func StillOwned(projection, worker string) error {
	return &InputError{Field: "projection " + projection, Reason: "is run by worker " + worker +
		": stop that host, or take the module out of the folder of its 'run --watch', and reset then; a host " +
		"that was killed counts until its lease is over"}
}

// UnknownProjection says that no projection of that name was ever installed.
func UnknownProjection(projection string) error {
	return &InputError{Field: "projection " + projection, Reason: "is not known: 'pupwasm status' lists those that are"}
}
