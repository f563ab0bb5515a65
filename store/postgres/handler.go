package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Handler makes a [store.Handler] of a function that writes by pgx. It must not end the transaction, nor make it
// read-only, and leaves it with the role that it had; savepoints (tx.Begin) are its own. What it writes is committed
// with the checkpoint, or not at all. Errors of the connection, and deadlocks, are retried. So is a batch that has met
// a limit of time, or has left the connection closed, until that has happened three times in a row.
func Handler(handle func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error) store.Handler {
	return func(ctx context.Context, native any, events []store.RecordedEvent) error {
		tx, is := native.(pgx.Tx)
		if !is {
			return fmt.Errorf("the handler is for PostgreSQL, and the database has transactions of type %T", native)
		}
		err := handle(ctx, tx, events)
		switch conn := tx.Conn().PgConn(); {
		case err != nil && ctx.Err() == nil:
			return handlerError(ctx, conn, err)
		case err == nil && conn.IsBusy() && !conn.IsClosed():
			return errors.New("the handler has left a query open: close its rows, or its batch")
		}
		return err
	}
}

// handlerError tells errors that may pass from those of the handler, which it returns as they are. What may be either
// is a limit.
func handlerError(ctx context.Context, conn *pgconn.PgConn, err error) error {
	limit := func(what, remedy string) error {
		return &store.LimitError{Statement: "the handler", Limit: what, Remedy: remedy}
	}
	var pg *pgconn.PgError
	answered := errors.As(err, &pg)
	switch transient := translate(err); {
	case answered && pg.Code == stateCancelled, errors.Is(err, context.DeadlineExceeded):
		return limit("met a limit: "+describeError(err), "raise it, or have fewer events in a batch")
	case answered && pg.Code == stateReadOnly && takesWrites(ctx, conn):
		return limit("met a read-only transaction, and the server takes writes: "+pg.Message,
			"it must not make its transaction read-only")
	case conn.IsClosed() && pgconn.SafeToRetry(err): // it was closed before the statement that failed
		return errClosed
	case errors.Is(transient, store.ErrTransient):
		return transient
	}
	return err
}

// takesWrites reports whether new transactions on the connection may write. It rolls back the one that has failed.
func takesWrites(ctx context.Context, conn *pgconn.PgConn) bool {
	results, err := conn.Exec(ctx, "ROLLBACK; SHOW transaction_read_only").ReadAll()
	if err != nil || len(results) != 2 || len(results[1].Rows) != 1 {
		return false
	}
	return string(results[1].Rows[0][0]) == "off"
}
