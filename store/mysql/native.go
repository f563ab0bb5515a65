package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// lent is a transaction of the store in the hands of a program.
type lent struct {
	conn *sql.Conn
	tx   *sql.Tx
}

// rollbackTimeout bounds the wait for a server that no longer answers.
const rollbackTimeout = 5 * time.Second

// The mark of a transaction is a savepoint, which goes with the transaction, whichever way that ends.
const (
	markTransaction = "SAVEPOINT pupwasm_batch"
	checkMark       = "RELEASE SAVEPOINT pupwasm_batch"
)

// Native returns the transaction as a *sql.Tx. See [store.NativeTx].
func (x *tx) Native(ctx context.Context) (any, error) {
	if x.held != nil {
		return x.held.tx, nil
	}
	s := x.catalogue.store
	held, err := s.db.Conn(ctx)
	if err != nil {
		return nil, s.translate(ctx, err)
	}
	// The transaction outlives the call, and so the call's context does not end it.
	begun, err := held.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		_ = held.Close()
		return nil, s.translate(ctx, err)
	}
	x.held = &lent{conn: held, tx: begun}
	err = x.held.raw(ctx, func(c *conn) error {
		_, err := c.exec(markTransaction)
		return err
	})
	if err != nil {
		x.Rollback()
		return nil, s.translate(ctx, err)
	}
	return begun, nil
}

// What the commit says of a transaction that the program has changed.
var (
	errEnded = &store.RejectedError{
		Statement: "the transaction",
		Reason: "was ended by SQL of the program, or by a deadlock of which it has not returned the error: take out its " +
			"COMMIT, its ROLLBACK, and what commits by itself, as CREATE TABLE does; what it has committed stays in the " +
			"database, without the checkpoint",
	}
	errClosed = &store.LimitError{
		Statement: "the program", Limit: "has left the connection of its transaction closed, or rows of a query open",
		Remedy: "it must close its rows, and return the error of the statement that failed",
	}
)

// writeHeld is write in a transaction that a program has had. What it may have changed of the session is put back before,
// as far as the statements depend on it.
func (x *tx) writeHeld(ctx context.Context, explains bool, fn func(b *batch) error) error {
	s := x.catalogue.store
	defer x.Rollback()
	err := x.held.raw(ctx, func(c *conn) error {
		b := batch{tx: x, conn: c, explains: explains}
		return b.transact("USE "+quote(s.database)+"; "+modes+"; "+idleWithin(s.options.idleMax)+"; "+checkMark+"; ", fn)
	})
	switch {
	case isNumber(err, erNoSuchRoutine) && strings.Contains(err.Error(), "SAVEPOINT"):
		return errEnded
	case err != nil && ofTheConnection(err) && ctx.Err() == nil:
		return errClosed
	}
	return s.translate(ctx, err)
}

// Rollback ends the unit of work. Without Native, nothing is held between its calls. The session is as it was before the
// program had it, or is not used again.
func (x *tx) Rollback() {
	held := x.held
	if held == nil {
		return
	}
	x.held = nil
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	s := x.catalogue.store
	err := held.raw(ctx, func(c *conn) error {
		_, err := c.exec("ROLLBACK; USE " + quote(s.database) + "; " + unlimited + "; " + settings)
		return err
	})
	_ = held.tx.Rollback() // for database/sql, which waits for it
	if err != nil {
		_ = held.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes the connection
	}
	_ = held.conn.Close()
}

// raw runs fn on the connection, which has an open transaction of database/sql.
func (l *lent) raw(ctx context.Context, fn func(c *conn) error) error {
	var own error
	err := l.conn.Raw(func(driverConn any) error {
		c, err := connOf(ctx, driverConn)
		if err == nil {
			own = fn(c)
		}
		return err
	})
	return errors.Join(own, err)
}

var _ store.NativeTx = (*tx)(nil)
