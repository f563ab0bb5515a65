package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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
		if transient := translate(err); errors.Is(transient, store.ErrTransient) {
			return transient
		}
		return err
	}
}
