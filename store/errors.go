package store

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrStreamNotFound says that a stream has no event.
	ErrStreamNotFound = errors.New("the stream does not exist")

	// ErrFenced says that the claim no longer holds its segment at the claim's position: another worker has it, or an
	// earlier commit went through. Nothing was written. Drop the claim and claim again.
	ErrFenced = errors.New("the segment is no longer held by this worker")

	// ErrNameTaken says that another process has joined under the worker's name. Nothing was changed.
	ErrNameTaken = errors.New("another process has started under the name of this worker")

	// ErrOtherLog says that the log is no longer the one that was read: another server took its place, or it was
	// replaced. Nothing was written. Drop what was read, check the checkpoint by [CheckCheckpoints],
	// and read again.
	ErrOtherLog = errors.New("the log is another one than was read")

	// ErrSameDatabase says that a log was given as one in another database, and is that of the tables' own. Nothing
	// was written: such a commit would leave out its comparison with the log.
	ErrSameDatabase = errors.New("the log is in the same database as the tables, or that database is a copy of the log's")

	// ErrNotParked says that a key is not parked that was taken for parked. Nothing was written. Ask what is parked.
	ErrNotParked = errors.New("the key is not parked")

	// ErrTransient wraps every failure that may pass by itself: a lost connection, a deadlock, a server that starts or
	// is read-only. The transaction may have been committed or not; the stored checkpoint tells.
	ErrTransient = errors.New("the database is not available")

	// ErrDeadlock says that the database ended the transaction to resolve a deadlock. Nothing was written, and the same
	// transaction may be tried again at once. It is an ErrTransient.
	ErrDeadlock = fmt.Errorf("%w: deadlock", ErrTransient)

	// ErrSerialization says that the database ended the transaction because another one came first. It is as
	// ErrDeadlock otherwise.
	ErrSerialization = fmt.Errorf("%w: serialization failure", ErrTransient)

	// ErrLocked says that another session held a lock for too long. It comes with ErrTransient.
	ErrLocked = errors.New("a lock is held")

	// ErrReadOnly says that the database takes no writes: a standby before it is promoted, or a setting. It comes
	// with ErrTransient.
	ErrReadOnly = errors.New("it is read-only")

	// ErrNotMigrated says that the database lacks the tables of this version.
	ErrNotMigrated = errors.New("the database is not set up for this version: Store.Migrate sets it up")
)

// IsConflict reports that the database has rolled a transaction back for the sake of another one: it may be tried again
// at once. See [ErrDeadlock] and [ErrSerialization].
func IsConflict(err error) bool {
	return errors.Is(err, ErrDeadlock) || errors.Is(err, ErrSerialization)
}

// VersionConflictError says that a stream was not at the expected version. Nothing was appended.
type VersionConflictError struct {
	Stream   Stream
	Expected Expected
	Actual   int64 // the stream's last version, or -1 when another append won while this one ran
}

// Error names the stream and both versions.
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

// Error has the first conflict, and the number of the others.
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

// Error names the event.
func (e *DuplicateEventError) Error() string {
	return fmt.Sprintf("event id %s is stored already", e.ID)
}

// InputError says what is wrong with a request: a field of an append that cannot be stored, a segment that cannot be
// split. Nothing was changed.
type InputError struct {
	Field  string
	Reason string
}

// Error is the field, and what is wrong with it.
func (e *InputError) Error() string { return e.Field + " " + e.Reason }

// StatementError says that the database cannot run a statement of a projection, whatever the event is: somebody has
// changed its tables or taken a right away, or the database is damaged. The transaction was rolled back.
type StatementError struct {
	Statement string // the name of the write or query in the catalogue
	Reason    string // in the database's words
}

// Error names the statement, with the database's reason and what to do.
func (e *StatementError) Error() string {
	return fmt.Sprintf("the database cannot run %s, whatever the event is: %s: put the tables, their rights and what "+
		"others have added to them back as they were, then Store.Recover lets the segment go on", e.Statement, e.Reason)
}

// LimitError says that SQL of a projection exceeded a limit of time, memory or disk. Nothing was written. It is an
// [ErrTransient] too, since the database may only have been busy. SQL that exceeds its limit each time that the same
// events are tried is at fault itself.
type LimitError struct {
	Statement string // the name of the write or query in the catalogue, or of several
	Limit     string // what happened, with the limit: "ran for longer than 1m0s"
	Remedy    string // how to raise the limit, with the name of the option
}

// Error says what happened, and how to raise the limit.
func (e *LimitError) Error() string { return e.Statement + " " + e.Limit + ": " + e.Remedy }

// Is makes it an [ErrTransient].
func (e *LimitError) Is(target error) bool { return target == ErrTransient }

// The options that raise the limits of every store. Errors name settings and calls as in Go, also in texts that are
// stored: a command that shows them puts its flags in their place.
const (
	raiseStatement   = "Options.StatementTimeout raises the limit"
	raiseTransaction = "Options.TransactionTimeout raises the limit, and a smaller Options.BatchEvents needs less of it"
)

// StatementTooLong returns the error of a statement or query of a module that exceeded its time limit.
func StatementTooLong(statement string, limit time.Duration) error {
	return &LimitError{
		Statement: statement, Limit: fmt.Sprintf("ran for longer than %s", limit),
		Remedy: raiseStatement,
	}
}

// TransactionTooLong returns the error of a batch whose statements and queries together exceeded their time limit.
func TransactionTooLong(statement string, limit time.Duration) error {
	return &LimitError{
		Statement: statement, Limit: fmt.Sprintf("ran when all statements and queries of the batch had taken "+
			"longer than %s", limit),
		Remedy: raiseTransaction,
	}
}

// LogError says that a checkpoint does not belong to the log that the database has. To go on would skip events, or
// apply others to rows that they do not fit.
type LogError struct {
	Projection string
	Reason     string // what differs
	Other      UUID   // the id of the log that the rows were built from, where the one that was found has another
}

// Error says what differs, and what to do about it.
func (e *LogError) Error() string {
	remedy := "restore the log that the rows were built from"
	if e.Other != (UUID{}) {
		remedy = fmt.Sprintf("name the database of log %s with Options.Events, if that is another one, or %s", e.Other, remedy)
	}
	return fmt.Sprintf("%s: %s and start the projection again, or "+
		"rebuild it: Store.Reset(%q) deletes its rows, and the next run applies this log from the first event",
		e.Reason, remedy, e.Projection)
}

// ParkedMaxError says that so many keys of a projection would be parked that the fault is not in single events.
// Nothing was written.
type ParkedMaxError struct {
	Projection string
	Max        int
}

// Error names the limit and the option that raises it.
func (e *ParkedMaxError) Error() string {
	keys := "keys"
	if e.Max == 1 {
		keys = "key"
	}
	return fmt.Sprintf("more than %d %s of projection %s would be parked, the limit of Options.ParkedMax: the code is "+
		"at fault, and not single events", e.Max, keys, e.Projection)
}

// CatalogueError says which part of a declaration cannot be installed, and why. It is found at load, before any event.
type CatalogueError struct {
	Item   string // for example `write "total"` or `table "fines"`
	Reason string
}

// Error is the part, and the reason.
func (e *CatalogueError) Error() string { return e.Item + ": " + e.Reason }

// versionMismatch is the error for a version that cannot be built beside the live one.
func versionMismatch(given *Projection, live *Installed) error {
	remedy := fmt.Sprintf("a projection without tables of its own has one version at a time: keep version %d, or stop all "+
		"hosts that run it and use Store.Reset(%q), after which the next run begins with the first event", live.Version,
		given.Name)
	if given.Version < live.Version {
		remedy = fmt.Sprintf("remove this module and use that of version %[1]d; to go back to what version %[2]d did, give "+
			"it a version above %[1]d", live.Version, given.Version)
	}
	return &CatalogueError{
		Item: fmt.Sprintf("projection %q", given.Name),
		Reason: fmt.Sprintf("has version %d live, and version %d, which the module is, is not installed: %s", live.Version,
			given.Version, remedy),
	}
}

// TableChanged returns the error for a table that somebody has changed by hand.
func TableChanged(projection, table, change string) error {
	return &CatalogueError{
		Item: fmt.Sprintf("table %q", table),
		Reason: fmt.Sprintf("%s: put it back as it was, with its rows, or have them built again from the first event: "+
			"by Host.Rebuild(%q) beside those that are there, or by Store.Reset(%[2]q), which deletes all rows of the "+
			"projection, and the next run", change, projection),
	}
}

// NotTheProjections returns the error for something in the place of a projection's tables that is not its own.
func NotTheProjections(projection, what string) error {
	return &CatalogueError{
		Item:   fmt.Sprintf("projection %q", projection),
		Reason: fmt.Sprintf("the database has %s that is not the projection's: choose another name", what),
	}
}

// DependedOn returns the error of a reset that would delete, or break, what others have built on the projection.
func DependedOn(projection, what string) error {
	return &InputError{
		Field: "projection " + projection,
		Reason: fmt.Sprintf("has tables or views that others have built upon: %s: drop that first, and make it again "+
			"when the projection is installed again", what),
	}
}

// StillOwned returns the error of a reset while a worker runs the projection.
func StillOwned(projection, worker string) error {
	return &InputError{Field: "projection " + projection, Reason: "is run by worker " + worker +
		": stop that host, or take the module out of the folder that it watches, and reset then; a host " +
		"that was killed counts until its lease is over"}
}

// NotParked returns the error for an order to a key that is not parked.
func NotParked(id ParkedID) error {
	return &InputError{Field: fmt.Sprintf("key %q of projection %s", id.Key, id.Projection.Name), Reason: "is not parked"}
}

// NotToBeSent returns the error for a message that cannot be skipped.
func NotToBeSent(id MessageID) error {
	return &InputError{Field: "message " + id.String(), Reason: "is not among those that are to be sent"}
}

// UnknownProjection returns the error for a projection that is not installed.
func UnknownProjection(projection string) error {
	return &InputError{Field: "projection " + projection, Reason: "is not known: Store.Status lists those that are"}
}

// UnknownVersion returns the error for a version of a projection that is not installed.
func UnknownVersion(id ProjectionID) error {
	return &InputError{
		Field: "projection " + id.Name, Reason: fmt.Sprintf("has no version %s: Store.Status lists those that it has",
			id.VersionText()),
	}
}

// UnknownTable returns the error for a table that a projection does not declare.
func UnknownTable(projection, table string) error {
	return &InputError{Field: "table " + table, Reason: "is not one of projection " + projection}
}

// TableRows names the reading of a table's rows in a [*RejectedError] or a [*StatementError].
func TableRows(table string) string { return fmt.Sprintf("rows of table %q", table) }
