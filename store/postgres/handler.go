package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Handler makes a [store.Handler] of a function that writes by pgx. It must not end the transaction; savepoints
// (tx.Begin) are its own. What it writes is committed with the checkpoint, or not at all. Errors of the
// connection, and deadlocks, are retried.
func Handler(handle func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error) store.Handler {
	return func(ctx context.Context, native any, events []store.RecordedEvent) error {
		tx, is := native.(pgx.Tx)
		if !is {
			return fmt.Errorf("the handler is for PostgreSQL, and the database has transactions of type %T", native)
		}
		err := handle(ctx, tx, events)
		var pg *pgconn.PgError
		switch transient := translate(err); {
		case err == nil && tx.Conn().PgConn().IsBusy():
			return errors.New("the handler has left a query open: close its rows, or its batch")
		case errors.As(err, &pg) && pg.Code == stateCancelled && ctx.Err() == nil:
			return &store.LimitError{Statement: "the handler", Limit: "met a limit: " + pg.Message, Remedy: "raise it, or have fewer events in a batch"}
		case errors.Is(transient, store.ErrTransient):
			return transient
		}
		return err
	}
}
