package mysql

import (
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// holder is who holds the horizon back at a position, as far as it can be known.
type holder struct {
	position int64
	asked    time.Time
	process  int
	prepared string
}

// holderPause is how long an answer is good for while the horizon stays where it is.
const holderPause = time.Second

// name tells who holds the horizon back. The server does not show who has a lock that nobody waits for: it is likely to be
// the transaction in this database that has locked rows for the longest time. Users without the right PROCESS do not see
// it. While the horizon moves on it does not matter who it is, and each question costs the server more than a look.
func (w *watch) name(c *conn, q *horizonQueries, prepared bool, h *store.Horizon) error {
	recent := clock.Since(w.who.asked) < holderPause
	known := recent && w.who.position == h.Position && prepared == (w.who.prepared != "")
	switch {
	case known:
	case prepared:
		name, err := c.preparedTransaction(q)
		if err != nil {
			return err
		}
		w.who = holder{position: h.Position, asked: clock.Now(), prepared: name}
	case w.blind || recent:
		return nil
	default:
		process, err := c.oldestWriter(q)
		if w.blind = isDenied(err); err != nil && !w.blind {
			return err
		}
		w.who = holder{position: h.Position, asked: clock.Now(), process: process}
	}
	h.Holder, h.Prepared = w.who.process, w.who.prepared
	return nil
}

// preparedTransaction names a transaction that is prepared, "" where none is left.
func (c *conn) preparedTransaction(q *horizonQueries) (name string, err error) {
	count := 0
	err = c.query(q.xids, func(r *row) error {
		if count++; count == 1 {
			name = r.text(3)
		}
		return nil
	})
	switch {
	case count == 0:
		return "", err
	case count == 1:
		return fmt.Sprintf("prepared transaction %s: end it with XA COMMIT %s or XA ROLLBACK %s", name, name, name), err
	}
	return fmt.Sprintf("one of %d prepared transactions, which XA RECOVER FORMAT='SQL' lists: end them with XA COMMIT or "+
		"XA ROLLBACK, the first is %s", count, name), err
}

// oldestWriter returns the process of the transaction in this database that has locked rows for the longest time.
func (c *conn) oldestWriter(q *horizonQueries) (process int, err error) {
	err = c.query(q.holder, func(r *row) error {
		process = r.int(0)
		return nil
	})
	return process, err
}
