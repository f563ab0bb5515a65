package sqlite

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Native returns the connection of the transaction, a *sqlite3.Conn. See [store.NativeTx].
func (x *tx) Native(ctx context.Context) (any, error) {
	if x.held == nil {
		s := x.catalogue.store
		c, err := s.writer.acquire(ctx)
		if err != nil {
			return nil, s.translate(ctx, err)
		}
		if _, err := c.exec(beginWrite); err != nil {
			s.writer.release(c)
			return nil, s.translate(ctx, err)
		}
		c.lend()
		x.held = c
	}
	return x.held.db, nil
}

// write runs fn in the transaction, at the end of it, and commits.
func (x *tx) write(ctx context.Context, fn func(c *conn) error) error {
	s := x.catalogue.store
	if x.held == nil {
		return s.write(ctx, fn)
	}
	defer x.Rollback()
	x.held.db.SetInterrupt(ctx)
	return s.translate(ctx, x.held.guard(func() error {
		if err := x.held.takeBack(); err != nil {
			return err
		}
		return x.held.finish(fn)
	}))
}

// Rollback ends the unit of work. Without Native, nothing is held between its calls.
func (x *tx) Rollback() {
	c := x.held
	if c == nil {
		return
	}
	x.held = nil
	if c.takeBack() == nil {
		c.rollback()
	}
	x.catalogue.store.writer.release(c)
}

var _ store.NativeTx = (*tx)(nil)
