package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// A host that changes the databases, tables or versions of a projection has the projection's lock, by
// GET_LOCK on the connection that does all of it: MariaDB commits each statement that defines something, so that no
// transaction could keep others away. With the connection goes the lock, and with the lock the right to go on.

const (
	// aloneWaitMax bounds how long a host waits for another one that has the lock.
	aloneWaitMax = 30 * time.Second
	// aloneIdleMax is when the server ends the connection of a host that has the lock and is stopped, or cut off.
	aloneIdleMax = 60 * time.Second
)

// alone runs fn on a connection while nobody else changes what there is of the projection, and translates its error. What
// hosts that have ended left is there still: see mend.
func (s *Store) alone(ctx context.Context, projection string, fn func(c *conn) error) error {
	return s.locked(ctx, "", projection, aloneWaitMax, fn)
}

// locked is alone for one of the locks of a projection.
func (s *Store) locked(ctx context.Context, kind, projection string, wait time.Duration, fn func(c *conn) error) error {
	name := s.lockName(kind, projection)
	return s.read(ctx, func(c *conn) error {
		got := false
		err := c.query("SELECT COALESCE(GET_LOCK($1, $2), 0)", func(r *row) error {
			got = r.bool(0)
			return nil
		}, name, int(wait.Seconds()))
		if err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		if !got {
			return fmt.Errorf("%w: %w: another host is changing projection %s", store.ErrTransient, store.ErrLocked, projection)
		}
		defer c.unlock(name)
		if _, err := c.exec("SET SESSION wait_timeout = $1, lock_wait_timeout = $2", int(aloneIdleMax.Seconds()),
			int(definitionWaitMax.Seconds())); err != nil {
			return err
		}
		return fn(c)
	})
}

// definitionWaitMax bounds how long a statement that defines something waits for those who use a table, since who comes
// later waits behind it.
const definitionWaitMax = 5 * time.Second

// unlock gives a lock back, and the connection up where that fails.
func (c *conn) unlock(name string) {
	// The settings of before are those of settings; wait_timeout is the server's.
	const back = "SET SESSION wait_timeout = DEFAULT, lock_wait_timeout = 60; DO RELEASE_LOCK($1)"
	text, err := expand(back, []any{name})
	if err == nil {
		_, err = c.session.exec(context.WithoutCancel(c.ctx), text)
	}
	if err != nil {
		c.broken = true
	}
}

// lockName is within the 64 characters of a lock's name, which is the server's.
func (s *Store) lockName(kind, projection string) string {
	sum := sha256.Sum256([]byte(s.database + "\x00" + s.options.Schema + "\x00" + projection + "\x00" + kind))
	return "pup." + hex.EncodeToString(sum[:16])
}

// killWithin bounds how long a host that gives a statement up tries to end it on the server.
const killWithin = 5 * time.Second

// killable runs fn, whose statements may take long, and ends what the server does for them when the context is over.
func (c *conn) killable(s *Store, fn func() error) error {
	id := int64(0)
	err := c.query("SELECT CONNECTION_ID()", func(r *row) error {
		id = r.int64(0)
		return nil
	})
	if err != nil {
		return err
	}
	err = fn()
	if c.ctx.Err() != nil {
		within, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), killWithin)
		defer cancel()
		_ = s.lend(within, func(other *conn) error {
			_, err := other.exec("KILL $1", id)
			return err
		})
	}
	return err
}
