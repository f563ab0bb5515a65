package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Handler makes a [store.Handler] of a function that writes by database/sql. It must not end the transaction, nor run
// what ends it, as MariaDB's CREATE TABLE and its like do; savepoints are its own. It closes its rows, and leaves no
// temporary table and no lock of GET_LOCK behind, since others use the connection after it. What it writes is committed
// with the checkpoint, or not at all. Errors of the connection, and deadlocks, are retried. So is a batch that has met a
// limit of time, or has left the connection closed, until that has happened three times in a row.
func Handler(handle func(ctx context.Context, tx *sql.Tx, events []store.RecordedEvent) error) store.Handler {
	return func(ctx context.Context, native any, events []store.RecordedEvent) error {
		tx, is := native.(*sql.Tx)
		if !is {
			return fmt.Errorf("the handler is for MariaDB, and the database has transactions of type %T", native)
		}
		err := handle(ctx, tx, events)
		if err != nil && ctx.Err() == nil {
			return handlerError(err)
		}
		return err
	}
}

// handlerError tells errors that may pass from those of the handler, which it returns as they are. What may be either
// is a limit.
func handlerError(err error) error {
	found, answered := verdictsOn(err)
	switch {
	case isNumber(err, erStatementTimeout), errors.Is(err, context.DeadlineExceeded):
		return &store.LimitError{
			Statement: "the handler", Limit: "met a limit: " + reason(err), Remedy: "raise it, or have fewer events in a batch",
		}
	case isNumber(err, erDeadlock):
		return fmt.Errorf("%w (%s)", store.ErrDeadlock, reason(err))
	case isNumber(err, erCheckRead):
		return fmt.Errorf("%w (%s)", store.ErrSerialization, reason(err))
	case isNumber(err, erLockWaitTimeout):
		return fmt.Errorf("%w: %w: %w", store.ErrTransient, store.ErrLocked, err)
	case answered && found.Own == waits, ofTheConnection(err):
		return fmt.Errorf("%w: %w", store.ErrTransient, err)
	}
	return err
}
