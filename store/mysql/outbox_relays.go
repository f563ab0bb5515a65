package mysql

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// relayQueries are those of who sends.
type relayQueries struct {
	all     string
	named   string
	claim   string
	release string
}

func relayQueriesFor(in func(string) string) relayQueries {
	// Who has no lease is the relay of none. It locks nothing: mostly there is nothing to change.
	relays := func(names string) string {
		return in(`SELECT n.projection, COALESCE(r.owner = $1 AND r.incarnation = $2, FALSE),
				COALESCE(r.target = $3, FALSE), EXISTS (SELECT 1 FROM {schema}__workers AS w
					WHERE w.worker = r.owner AND w.incarnation = r.incarnation AND {alive})
			FROM (` + names + `) AS n LEFT JOIN {schema}__outbox_relays AS r ON r.projection = n.projection
			WHERE EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $1 AND w.incarnation = $2 AND {alive})
			ORDER BY n.projection`)
	}
	const named = `SELECT NULL AS projection FROM DUAL WHERE FALSE UNION VALUES $4`
	return relayQueries{
		all: relays(`SELECT DISTINCT t.projection FROM {schema}__outbox_sent AS t
			WHERE t.begun OR EXISTS (SELECT 1 FROM {schema}__outbox AS o WHERE o.projection = t.projection)`),
		named: relays(named),
		// The first statement locks the rows, so that the second one sees leases as they are while it has them.
		claim: in(`INSERT INTO {schema}__outbox_relays (projection, owner, incarnation, target)
				SELECT n.projection, '', '', '' FROM (` + named + `) AS n ORDER BY n.projection
				ON DUPLICATE KEY UPDATE projection = VALUES(projection);
			UPDATE {schema}__outbox_relays AS r SET r.owner = $1, r.incarnation = $2, r.target = $3
				WHERE r.projection IN $5
				AND EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $1 AND w.incarnation = $2 AND {alive})
				AND (r.owner = $1 AND r.incarnation = $2 OR NOT EXISTS (SELECT 1 FROM {schema}__workers AS w
					WHERE w.worker = r.owner AND w.incarnation = r.incarnation AND {alive}))`),
		release: in(`DELETE FROM {schema}__outbox_relays WHERE owner = $1 AND incarnation = $2 AND projection IN $3`),
	}
}

// ClaimRelays makes the worker the relay of projections. See [store.Outbox].
func (s backend) ClaimRelays(
	ctx context.Context, worker store.Worker, projections []string, target string,
) (mine []string, err error) {
	q := &s.queries.outbox.relays
	if projections != nil && len(projections) == 0 {
		return nil, nil
	}
	err = s.controlled(ctx, func(c *conn) error {
		var open []string
		if mine, open, err = c.relaysOf(q, worker, projections, target); err != nil || len(open) == 0 {
			return err
		}
		err := c.transact(func(c *conn) error {
			return c.last(q.claim, worker.Name, worker.Incarnation, target, rowsOf(open), open)
		})
		if err == nil {
			mine, _, err = c.relaysOf(q, worker, projections, target)
		}
		return err
	})
	return mine, err
}

func rowsOf(names []string) tuples {
	rows := make(tuples, len(names))
	for i, name := range names {
		rows[i] = []any{name}
	}
	return rows
}

// relaysOf returns those of some projections, or of all, of which a worker is the relay, and those of which it may
// become that, or that have another target.
func (c *conn) relaysOf(
	q *relayQueries, worker store.Worker, projections []string, target string,
) (mine, open []string, err error) {
	text, arguments := q.all, []any{worker.Name, worker.Incarnation, target}
	if projections != nil {
		text, arguments = q.named, append(arguments, rowsOf(projections))
	}
	err = c.query(text, func(r *row) error {
		owned, same, taken := r.bool(1), r.bool(2), r.bool(3)
		if owned {
			mine = append(mine, r.text(0))
		}
		if owned && !same || !owned && !taken {
			open = append(open, r.text(0))
		}
		return nil
	}, arguments...)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for relays: %w", err)
	}
	return mine, open, nil
}

// ReleaseRelays gives up projections. See [store.Outbox].
func (s backend) ReleaseRelays(ctx context.Context, worker store.Worker, projections []string) error {
	_, err := s.controlledExec(ctx, s.queries.outbox.relays.release, worker.Name, worker.Incarnation, projections)
	return err
}
