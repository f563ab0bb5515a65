package sqlite

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// BeginSending decides from where on a projection sends. See [store.Outbox].
func (s backend) BeginSending(
	ctx context.Context, projection *store.Projection, log store.LogID, after int64,
) error {
	return s.ofLive(ctx, projection, func(c *conn) error {
		before, err := c.sentBefore(&s.queries, projection.Name)
		if err != nil {
			return err
		}
		if before.OfAnotherLog(log.ID) {
			if forgotten, err := c.forgetSent(&s.queries, projection.ID()); err != nil || !forgotten {
				return err
			}
			before.Ranges = nil
		}
		if len(before.Ranges) == 0 {
			if _, err := c.exec(s.queries.outbox.forgetUnsent, projection.Name); err != nil {
				return fmt.Errorf("forgetting what is to be sent: %w", err)
			}
			return c.setSentBefore(&s.queries, projection.Name, store.SentAfter(projection, log.ID, after))
		}
		if before.Begun && before.Log == log.ID && before.Partition == projection.DivisionText() {
			return nil
		}
		before.Log, before.Begun = log.ID, true
		return c.divideSentBefore(&s.queries, projection, before)
	})
}

// SentBefore returns what is not the live version's to send. See [store.Outbox].
func (s backend) SentBefore(ctx context.Context, projection string) (before store.SentBefore, err error) {
	err = s.read(ctx, func(c *conn) error {
		before, err = c.sentBefore(&s.queries, projection)
		return err
	})
	return before, err
}

// ForgetSent forgets it, where it is of another log. See [store.Outbox].
func (s backend) ForgetSent(ctx context.Context, projection *store.Projection) error {
	return s.ofLive(ctx, projection, func(c *conn) error {
		if forgotten, err := c.forgetSent(&s.queries, projection.ID()); err != nil || !forgotten {
			return err
		}
		return c.setSentBefore(&s.queries, projection.Name, store.SentBefore{})
	})
}

// ofLive changes what is to be sent by a version, if that is the live one.
func (s backend) ofLive(ctx context.Context, projection *store.Projection, change func(*conn) error) error {
	return s.write(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries, projection.Name)
		if err != nil {
			return err
		}
		installed, err := versions.Known(projection.ID())
		if err != nil || !installed.Live {
			return err
		}
		return change(c)
	})
}

// forgetSent deletes what there is of another log, unless the version has applied events of that. What was sent and kept
// has the ids of messages that are still to come, as what waits to be sent.
func (c *conn) forgetSent(q *queries, of store.ProjectionID) (forgotten bool, err error) {
	applied, err := c.some(q.outbox.hasApplied, of.Name, of.Number())
	if err != nil || applied {
		return false, err
	}
	unsent, err := c.some(q.outbox.unsent, of.Name)
	if err == nil && unsent {
		err = &store.StaleMessagesError{Projection: of.Name}
	}
	for _, statement := range []string{q.outbox.deleteKept, q.outbox.forgetUnsent} {
		if err == nil {
			_, err = c.exec(statement, of.Name)
		}
	}
	return err == nil, err
}

// handOver makes the next version the one that sends. Both stand still.
func (c *conn) handOver(q *queries, live *store.Installed, layout *store.Layout, next *store.Installed) error {
	before, err := c.passOn(q, live, layout)
	if err != nil {
		return err
	}
	if err := c.divideSentBefore(q, &next.Projection, before); err != nil {
		return err
	}
	for _, statement := range []string{q.outbox.dropTwice, q.outbox.dropSent, q.outbox.letGo} {
		if _, err := c.exec(statement, next.Name, next.ID().Number()); err != nil {
			return fmt.Errorf("letting messages go that are held: %w", err)
		}
	}
	return nil
}

// keepSent keeps what a projection has sent for the next version that is installed, before it is forgotten.
func (c *conn) keepSent(q *queries, live *store.Installed) error {
	stored := layoutOf{conn: c, queries: q, projection: live.ID()}
	layout, err := stored.read()
	if err != nil {
		return err
	}
	before, err := c.sentBefore(q, live.Name)
	if err != nil {
		return err
	}
	if len(before.Ranges) > 0 {
		if before, err = c.passOn(q, live, layout); err != nil {
			return err
		}
		if err := c.setSentBefore(q, live.Name, before); err != nil {
			return err
		}
	}
	_, err = c.exec(q.outbox.dropHeld, live.Name, 0)
	return err
}

// passOn returns what is not to be sent by the version that comes after the live one, and makes the exceptions to it those
// of that version. See [store.SentBefore].
func (c *conn) passOn(q *queries, live *store.Installed, layout *store.Layout) (store.SentBefore, error) {
	before, err := c.sentBefore(q, live.Name)
	if err != nil {
		return before, err
	}
	forgotten := len(before.Ranges) == 0 || before.OfAnotherLog(layout.Log())
	statements := []string{q.outbox.keepUnsent, q.outbox.addUnsent}
	if !forgotten {
		err = c.divideSentBefore(q, &live.Projection, before)
		before, _ = before.DividedBy(&live.Projection)
	} else {
		_, err = c.exec(q.outbox.forgetUnsent, live.Name)
		statements = nil
	}
	for _, statement := range statements {
		if err == nil {
			_, err = c.exec(statement, live.Name, live.ID().Number())
		}
	}
	if err != nil {
		return before, fmt.Errorf("finding what is to be sent: %w", err)
	}
	return before.PassedOn(&live.Projection, layout), nil
}

// divideSentBefore stores what is not the live version's to send, as a projection divides events.
func (c *conn) divideSentBefore(q *queries, projection *store.Projection, before store.SentBefore) error {
	divided, changed := before.DividedBy(projection)
	if changed {
		if _, err := c.exec(q.outbox.unhashUnsent, projection.Name); err != nil {
			return err
		}
	}
	return c.setSentBefore(q, projection.Name, divided)
}

// sentBefore returns what is not the live version's to send.
func (c *conn) sentBefore(q *queries, projection string) (before store.SentBefore, err error) {
	err = c.query(q.outbox.sent, func(row *prepared) error {
		before.Log, before.Partition, before.Begun = row.uuid(0), row.ColumnText(1), row.ColumnBool(2)
		before.Ranges = append(before.Ranges, store.SentRange{
			Range:    store.HashRange{First: uint32(row.ColumnInt64(3)), Last: uint32(row.ColumnInt64(4))},
			Position: row.ColumnInt64(5), Last: store.Applied{Position: row.ColumnInt64(6), Event: row.uuid(7)},
		})
		return nil
	}, projection)
	if err != nil {
		return before, fmt.Errorf("reading what was sent: %w", err)
	}
	return before, nil
}

func (c *conn) setSentBefore(q *queries, projection string, before store.SentBefore) error {
	if _, err := c.exec(q.outbox.deleteRanges, projection); err != nil {
		return fmt.Errorf("noting what was sent: %w", err)
	}
	for _, r := range before.Ranges {
		if _, err := c.exec(q.outbox.insertRange, projection, before.Log, before.Partition, before.Begun,
			int64(r.Range.First), int64(r.Range.Last), r.Position, r.Last.Position, r.Last.Event); err != nil {
			return fmt.Errorf("noting what was sent: %w", err)
		}
	}
	return nil
}
