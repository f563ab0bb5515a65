package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// Handler makes a [store.Handler] of a function that writes by the connection that has the transaction. It must
// not end the transaction; savepoints are its own. It closes its statements, and leaves no PRAGMA and no
// temporary table behind, since others use the connection after it. It has the only writer of the file, which
// all others wait for. What it writes is committed with the checkpoint, or not at all. Errors of the disk are
// retried.
func Handler(handle func(ctx context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error) store.Handler {
	return func(ctx context.Context, native any, events []store.RecordedEvent) error {
		conn, is := native.(*sqlite3.Conn)
		if !is {
			return fmt.Errorf("the handler is for SQLite, and the database has transactions of type %T", native)
		}
		interrupt := conn.SetInterrupt(ctx)
		defer conn.SetInterrupt(interrupt)
		err := handle(ctx, conn, events)
		if errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.FULL) {
			return fmt.Errorf("%w: %w", store.ErrTransient, err)
		}
		return err
	}
}
