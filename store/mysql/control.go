package mysql

import (
	"context"
	"time"
)

// silenceMax is how long, beyond the limit of a statement, its answer is waited for.
const silenceMax = 10 * time.Second

// controlled is change on the connections for what must not queue behind batches, and not for ever: a server that has
// lost its power tells no connection.
func (s *Store) controlled(ctx context.Context, fn func(c *conn) error) error {
	if s.options.StatementTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.options.StatementTimeout+silenceMax)
		defer cancel()
	}
	return s.changeFrom(ctx, s.control, fn)
}

// controlledWrite is controlled, in a transaction.
func (s *Store) controlledWrite(ctx context.Context, fn func(c *conn) error) error {
	return s.controlled(ctx, func(c *conn) error { return c.transact(fn) })
}

// controlledExec is controlled with one statement. It returns how many rows that found to change.
func (s *Store) controlledExec(ctx context.Context, text string, args ...any) (found int64, err error) {
	err = s.controlled(ctx, func(c *conn) (err error) {
		found, err = c.exec(text, args...)
		return err
	})
	return found, err
}
