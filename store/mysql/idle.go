package mysql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"
)

// idleMax is when the server ends a transaction of the store that has nothing to do: a host that is stopped, or cut off,
// in the middle must not keep others from rows until it comes back. A transaction of a caller, who may think in between,
// has the limits of the server.
const idleMax = 10 * time.Second

// idleOfCaller are the limits of the server.
const idleOfCaller = `SET SESSION idle_transaction_timeout = DEFAULT, idle_write_transaction_timeout = DEFAULT,
	idle_readonly_transaction_timeout = DEFAULT`

// idleWithin limits transactions to whole seconds. The other limits would come before it.
func idleWithin(limit time.Duration) string {
	return fmt.Sprintf("SET SESSION idle_transaction_timeout = %d, idle_write_transaction_timeout = 0, "+
		"idle_readonly_transaction_timeout = 0", int(limit.Seconds()))
}

// wholeConn is what connections of the driver are.
type wholeConn interface {
	rawConn
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// pooledConn is a connection of the store. Its transactions of database/sql are those of callers: the store begins its
// own by a statement.
type pooledConn struct {
	wholeConn
	idle string // limits the transactions of the store
	used bool   // it has the limits of callers
}

// BeginTx begins a transaction of a caller, mostly in one round trip.
func (c *pooledConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	text := idleOfCaller
	if options == (driver.TxOptions{}) {
		text += "; START TRANSACTION"
	}
	c.used = true
	_, err := c.ExecContext(ctx, text, nil)
	if err == nil && options != (driver.TxOptions{}) {
		_, err = c.wholeConn.BeginTx(ctx, options)
	}
	if err != nil {
		return nil, err
	}
	return callersTx{c}, nil
}

// IsValid reports whether the connection may be used again.
func (c *pooledConn) IsValid() bool { return !c.used && c.wholeConn.IsValid() }

// callersTx is a transaction of a caller.
type callersTx struct{ conn *pooledConn }

// Commit commits, with the limit of the store again.
func (t callersTx) Commit() error { return t.end("COMMIT; ") }

// Rollback rolls back, with the limit of the store again.
func (t callersTx) Rollback() error { return t.end("ROLLBACK; ") }

// end ends the transaction. A session that does not get our limits back is not used again.
func (t callersTx) end(text string) error {
	_, err := t.conn.ExecContext(context.Background(), text+t.conn.idle, nil)
	t.conn.used = err != nil
	return err
}
