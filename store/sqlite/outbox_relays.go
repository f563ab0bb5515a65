package sqlite

import (
	"context"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// ClaimRelays makes the worker the relay of projections. See [store.Outbox]. It takes the file's writer only when there
// is something to change.
func (s backend) ClaimRelays(
	ctx context.Context, worker store.Worker, projections []string, target string,
) (own []string, err error) {
	claim := false
	look := func(c *conn) (err error) {
		own, claim, err = c.relays(&s.queries, worker, projections, target)
		return err
	}
	err = s.read(ctx, func(c *conn) error { return c.transact(beginRead, look) })
	if err == nil && claim {
		err = s.write(ctx, func(c *conn) error {
			names, err := c.relayable(&s.queries, worker, projections)
			if err != nil || len(names) == 0 {
				own = nil
				return err
			}
			if _, err := c.exec(s.queries.outbox.claimRelays, jsonList(names), worker.Name, worker.Incarnation,
				target); err != nil {
				return err
			}
			return look(c)
		})
	}
	if err != nil {
		return nil, err
	}
	return own, nil
}

// relayable returns the projections of which a worker may be the relay: none when it has no lease.
func (c *conn) relayable(q *queries, worker store.Worker, projections []string) (names []string, err error) {
	alive := false
	err = c.query(q.outbox.alive, func(*prepared) error { alive = true; return nil }, worker.Name, worker.Incarnation)
	switch {
	case err != nil || !alive:
		return nil, err
	case projections != nil:
		return projections, nil
	}
	err = c.query(q.outbox.sending, func(row *prepared) error {
		names = append(names, row.ColumnText(0))
		return nil
	})
	return names, err
}

// relays returns those of projections of which a worker is the relay, in order, and whether it may become that of another
// or sends elsewhere now.
func (c *conn) relays(
	q *queries, worker store.Worker, projections []string, target string,
) (own []string, claim bool, err error) {
	names, err := c.relayable(q, worker, projections)
	if err != nil || len(names) == 0 {
		return nil, false, err
	}
	err = c.query(q.outbox.relays, func(row *prepared) error {
		mine, there, alive := row.ColumnBool(1), row.ColumnBool(2), row.ColumnBool(3)
		if mine {
			own = append(own, row.ColumnText(0))
		}
		claim = claim || !alive || mine && !there
		return nil
	}, jsonList(names), worker.Name, worker.Incarnation, target)
	slices.Sort(own)
	return slices.Compact(own), claim, err
}

// ReleaseRelays gives up projections. See [store.Outbox].
func (s backend) ReleaseRelays(ctx context.Context, worker store.Worker, projections []string) error {
	if len(projections) == 0 {
		return nil
	}
	return s.change(ctx, s.queries.outbox.releaseRelay, jsonList(projections), worker.Name, worker.Incarnation)
}
