package sqlite

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"

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
		err = c.waitForDisk(x.claim.Durability.Waits(s.options.Durable))
		if err == nil {
			_, err = c.exec(beginWrite)
		}
		if err != nil {
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
		return s.writeWith(ctx, x.claim.Durability, fn)
	}
	defer x.Rollback()
	x.held.db.SetInterrupt(ctx)
	err := x.held.guard(func() error {
		if err := x.held.takeBack(); err != nil {
			return err
		}
		return x.held.finish(fn)
	})
	if errors.Is(err, sqlite3.READONLY) { // its BEGIN IMMEDIATE could write
		x.held.broken = true
		return errReadOnly
	}
	return s.translate(ctx, err)
}

// errReadOnly says that a program has left its connection so that nothing can be written.
var errReadOnly = &store.RejectedError{
	Statement: "the transaction", Reason: "was made read-only by the program, as PRAGMA query_only does, and the " +
		"checkpoint is written in it",
}

// Rollback ends the unit of work. Without Native, nothing is held between its calls.
func (x *tx) Rollback() {
	c := x.held
	if c == nil {
		return
	}
	x.held = nil
	if _ = c.takeBack(); !c.db.GetAutocommit() {
		c.rollback()
	}
	x.catalogue.store.writer.release(c)
}

var _ store.NativeTx = (*tx)(nil)
