package mysql

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// slots is the number of rows of the append fence.
const slots = 64

// Horizon tells how far it is safe to read. It takes one round trip, besides the first one on a connection.
func (s *Store) Horizon(ctx context.Context) (h store.Horizon, err error) {
	err = s.look(ctx, func(c *conn) error {
		h, err = s.watch.horizon(c, &s.queries, "", nil)
		return err
	})
	return h, err
}

// look runs fn on the one connection that looks at the fence, and translates its error. An error may have left answers
// on the connection that nobody has read: it is given up.
func (s *Store) look(ctx context.Context, fn func(c *conn) error) error {
	return s.translate(ctx, lendFrom(ctx, s.looks, func(c *conn) error {
		err := fn(c)
		c.broken = c.broken || err != nil
		return err
	}))
}

// watch is what a store remembers of its looks at the append fence. Looks have one connection, so that they come one
// after the other, and what is remembered is of one run of one server: another connection begins anew.
//
// A look reads the head, which is the last position that is committed, and then which rows of the fence are free. Let p
// be at most the head, and T the transaction that it was given to. T had its lock before p was given, which was before the
// head was read. So when the rows were looked at, one of these was true:
//
//   - T had ended. Its events are visible to every statement that starts later, or it was rolled back. A commit is visible
//     before its locks are released.
//   - T held its row. The row was free at an earlier look, whose head floor has, or at none, when floor has 0. T took the
//     row later than that head was read, so that p is above floor.
//   - T was prepared, by XA PREPARE, which releases the lock and leaves the events: see uncommitted.
//
// So what is above neither the head nor the floor of a row that is held can no longer appear. The head must be of a row
// that is committed: what is given and not yet committed is given again after a crash, and goes back with a rollback.
type watch struct {
	of    session // the connection; nil before the first look
	log   store.UUID
	floor [slots]int64
	safe  int64 // the horizon of the last look
	head  int64 // of the last look
	blind bool  // who holds a row is not shown to this user
	who   holder

	applied string    // see [server]
	asked   time.Time // whether the server is a replica

	oneWriter bool // Options.GaleraSingleWriter
}

// horizon looks. more is a query that the same round trip runs behind it, for read.
func (w *watch) horizon(c *conn, q *queries, more string, read func(r *row) error) (store.Horizon, error) {
	for {
		if w.of != c.session {
			if err := w.begin(c, q); err != nil {
				return store.Horizon{}, err
			}
		}
		seen, err := c.lookAt(&q.horizon, w.safe, more, read)
		if err != nil {
			w.of = nil
			return store.Horizon{}, err
		}
		replica, err := w.meetsReplica(c, seen)
		if err != nil {
			w.of = nil
			return store.Horizon{}, err
		}
		switch {
		case replica:
			w.of = nil // begin tells more
		case seen.log != w.log || seen.head < w.head:
			w.of = nil // the log was replaced, or the server went back
		case seen.head < w.safe:
			w.safe = 0 // the checkpoints are of a log that was longer
		default:
			return w.settle(c, q, seen)
		}
	}
}

// meetsReplica reports that the server has become a replica. It asks only when something was applied, or from time to time.
func (w *watch) meetsReplica(c *conn, seen *sight) (bool, error) {
	if seen.applied == w.applied && clock.Since(w.asked) < replicaEvery {
		return false, nil
	}
	w.applied, w.asked = seen.applied, clock.Now()
	return c.replicates()
}

// begin forgets everything. A checkpoint was a horizon once: what is up to there is not held back by an append that was
// under way before the first look, of which nothing is known.
func (w *watch) begin(c *conn, q *queries) error {
	*w = watch{oneWriter: w.oneWriter}
	server, err := c.inspect(q)
	if err != nil {
		return err
	}
	if err := server.refusal(w.oneWriter); err != nil {
		return err
	}
	if server.log == (store.UUID{}) {
		return errNoLogID
	}
	w.of, w.log, w.safe = c.session, server.log, server.checkpoint
	w.applied, w.asked = server.applied, clock.Now()
	return nil
}

// settle remembers a look, and tells the horizon.
func (w *watch) settle(c *conn, q *queries, seen *sight) (store.Horizon, error) {
	h := store.Horizon{Head: seen.head, Position: seen.head, Log: store.LogID{ID: seen.log}}
	for slot := range w.floor {
		if seen.free>>slot&1 == 1 {
			w.floor[slot] = seen.head
		} else {
			h.Position = min(h.Position, w.floor[slot])
		}
	}
	h.Position = max(h.Position, w.safe)
	prepared, err := c.uncommitted(&q.horizon, &seen.rows, w.safe, &h.Position)
	if err != nil {
		w.of = nil
		return store.Horizon{}, err
	}
	w.safe, w.head = h.Position, seen.head
	if h.Position < h.Head {
		err = w.name(c, &q.horizon, prepared, &h)
	}
	return h, err
}
