package store

import "context"

// NativeTx is what a [Tx] offers when a program may write in it by itself, with SQL of its own, beside the rows of a [Commit] or instead of
// them.
type NativeTx interface {
	// Native begins the transaction, unless it has begun, and returns the database's own handle of it: a pgx.Tx for store/postgres, a
	// *sqlite3.Conn (github.com/ncruces/go-sqlite3) for store/sqlite, which has the only writer of the file until the end. The
	// handle is valid until the Tx ends. Who has it must not end the transaction.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Native(ctx context.Context) (any, error)
}
