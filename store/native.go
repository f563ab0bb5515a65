package store

import "context"

// NativeTx is what a [Tx] offers when a program may write in it by itself, with SQL of its own, beside the rows
// of a [Commit] or instead of them.
type NativeTx interface {
	// Native begins the transaction, unless it has begun, and returns the database's own handle of it: a pgx.Tx
	// for store/postgres, a *sql.Tx for store/mysql, a *sqlite3.Conn (github.com/ncruces/go-sqlite3) for store/sqlite,
	// which has the only writer of the file until the end. The handle is valid until the Tx ends. Who has it must not end the
	// transaction.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Native(ctx context.Context) (any, error)
}

// Handler is what a program does with a batch of events in the transaction that moves the checkpoint over them.
// Make one by Handler of package store/postgres, store/mysql or store/sqlite, which give the function the database's
// own type.
//
// The events are in order of position, at least one, shared with others and read-only; they and their payloads
// are valid during the call. A batch whose commit does not go through is handled again, in a new transaction.
//
// # Errors
//
// An [ErrTransient] is retried. Any other is a fault of the events: the segment stops, and status shows it.
type Handler func(ctx context.Context, handle any, events []RecordedEvent) error
