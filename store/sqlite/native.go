package sqlite

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Native returns the connection of the transaction, a *sqlite3.Conn. See [store.NativeTx].
func (u *unit) Native(ctx context.Context) (any, error) {
	if u.held == nil {
		s := u.catalogue.store
		c, err := s.writer.acquire(ctx)
		if err != nil {
			return nil, s.translate(ctx, err)
		}
		if _, err := c.exec(beginWrite); err != nil {
			s.writer.release(c)
			return nil, s.translate(ctx, err)
		}
		u.held = c
	}
	return u.held.db, nil
}

// write runs fn in the transaction, at the end of it, and commits.
func (u *unit) write(ctx context.Context, fn func(c *conn) error) error {
	s := u.catalogue.store
	if u.held == nil {
		return s.write(ctx, fn)
	}
	defer u.Rollback()
	u.held.db.SetInterrupt(ctx)
	return s.translate(ctx, u.held.guard(func() error { return u.held.finish(fn) }))
}

// Rollback ends the unit of work. Without Native, nothing is held between its calls.
func (u *unit) Rollback() {
	c := u.held
	if c == nil {
		return
	}
	u.held = nil
	if !c.db.GetAutocommit() {
		c.rollback()
	}
	u.catalogue.store.writer.release(c)
}

var _ store.NativeTx = (*unit)(nil)
