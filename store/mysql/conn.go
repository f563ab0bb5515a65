package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/pupwasm/pupwasm/store"
)

// conn runs our statements, on a connection of the store or in a transaction of a caller. It is used by one goroutine at
// a time. Statements have their parameters as $1, $2, …, each as often as it likes: they are written into the text as
// literals (literal.go), so that a statement, or several, takes one round trip.
type conn struct {
	ctx     context.Context
	session session
	opening string // what precedes the next text: the beginning of a transaction
	ended   bool   // the transaction is committed, see last
	broken  bool
}

// session is what runs a text.
type session interface {
	// query runs one statement and gives its rows to each.
	query(ctx context.Context, text string, each func(r *row) error) error
	// exec runs a text, of several statements on connections of the store, and returns the number of rows that its
	// last statement found.
	exec(ctx context.Context, text string) (found int64, err error)
}

// errBroken makes database/sql give a connection up.
var errBroken = driver.ErrBadConn

func connOf(ctx context.Context, driverConn any) (*conn, error) {
	raw, is := driverConn.(rawConn)
	if !is {
		return nil, fmt.Errorf("the driver's connection is a %T", driverConn)
	}
	return &conn{ctx: ctx, session: rawSession{raw}}, nil
}

// query runs one statement and gives each row to handle. A row is valid until handle returns. On connections of the store
// the text may have other statements, which give no rows.
func (c *conn) query(text string, handle func(r *row) error, args ...any) error {
	expanded, err := c.expand(text, args)
	if err != nil {
		return err
	}
	return c.session.query(c.ctx, expanded, handle)
}

// exec runs a statement, and returns how many rows it found to change, or inserted.
func (c *conn) exec(text string, args ...any) (found int64, err error) {
	expanded, err := c.expand(text, args)
	if err != nil {
		return 0, err
	}
	return c.session.exec(c.ctx, expanded)
}

// expand writes the arguments into a text, behind what precedes it.
func (c *conn) expand(text string, args []any) (string, error) {
	expanded, err := expand(text, args)
	if err == nil {
		expanded, c.opening = c.opening+expanded, ""
	}
	return expanded, err
}

// transact runs fn in a transaction, and commits. After an error it rolls back. The transaction begins with the first
// text of fn, in the same round trip.
func (c *conn) transact(fn func(c *conn) error) error {
	c.opening, c.ended = "START TRANSACTION; ", false
	err := fn(c)
	if c.opening != "" {
		c.opening = ""
		return err
	}
	if err == nil && !c.ended {
		_, err = c.exec("COMMIT")
	}
	if err != nil {
		c.rollback()
	}
	return err
}

// transactAgain is transact, and again where the server ends the transaction for the sake of another one: fn must be
// repeatable.
func (c *conn) transactAgain(fn func(c *conn) error) (err error) {
	for range deadlocksMax {
		if err = c.transact(fn); !isDeadlock(err) {
			break
		}
	}
	return err
}

// last runs the last statements of a transaction, and commits in the same round trip.
func (c *conn) last(text string, args ...any) error {
	_, err := c.exec(text+"; COMMIT", args...)
	c.ended = err == nil
	return err
}

// lastQuery is last, of statements one of which gives rows.
func (c *conn) lastQuery(text string, handle func(r *row) error, args ...any) error {
	err := c.query(text+"; COMMIT", handle, args...)
	c.ended = err == nil
	return err
}

// rollback ends the transaction although the context may be over.
func (c *conn) rollback() {
	if _, err := c.session.exec(context.WithoutCancel(c.ctx), "ROLLBACK"); err != nil {
		c.broken = true
	}
}

// abandon closes the connection with what it still has to say.
func (c *conn) abandon() {
	c.broken = true
	if raw, is := c.session.(rawSession); is {
		if raw, is := raw.conn.(driver.Conn); is {
			_ = raw.Close()
		}
	}
}

// isDeadlock reports that the server has ended a transaction for the sake of another one.
func isDeadlock(err error) bool { return isNumber(err, erDeadlock) }

// rawConn is a connection of the driver.
type rawConn interface {
	driver.QueryerContext
	driver.ExecerContext
}

type rawSession struct{ conn rawConn }

func (s rawSession) query(ctx context.Context, text string, each func(r *row) error) (err error) {
	rows, err := s.conn.QueryContext(ctx, text, nil)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	r := row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(&r); err != nil {
			return err
		}
	}
}

func (s rawSession) exec(ctx context.Context, text string) (int64, error) {
	result, err := s.conn.ExecContext(ctx, text, nil)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is one row of a result. What it returns of bytes is valid until the next row.
type row struct{ values []driver.Value }

func (r *row) null(at int) bool { return r.values[at] == nil }

func (r *row) int64(at int) int64 {
	switch v := r.values[at].(type) {
	case int64:
		return v
	case uint64:
		return int64(v)
	case []byte:
		return parseInt(v)
	}
	return 0
}

func (r *row) int(at int) int { return int(r.int64(at)) }

func (r *row) bool(at int) bool { return r.int64(at) != 0 }

// bytes is nil for NULL.
func (r *row) bytes(at int) []byte {
	switch v := r.values[at].(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	case nil:
		return nil
	default:
		return fmt.Append(nil, v)
	}
}

func (r *row) text(at int) string { return string(r.bytes(at)) }

func (r *row) uuid(at int) (id store.UUID) {
	copy(id[:], r.bytes(at))
	return id
}
