package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// ClaimRelays makes the worker the relay of projections. See [store.Outbox].
func (s backend) ClaimRelays(
	ctx context.Context, worker store.Worker, projections []string, target string,
) (own []string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.outbox.relays, worker.Name, worker.Incarnation, projections, target)
	if err != nil {
		return nil, translate(err)
	}
	var name string
	var is bool
	var free []string
	if _, err := pgx.ForEachRow(rows, []any{&name, &is}, func() error {
		if is {
			own = append(own, name)
		} else {
			free = append(free, name)
		}
		return nil
	}); err != nil {
		return nil, translate(err)
	}
	if len(free) > 0 {
		taken, err := s.takeRelays(ctx, worker, free, target)
		if err != nil {
			return nil, translate(err)
		}
		own = append(own, taken...)
		slices.Sort(own)
	}
	return own, nil
}

// takeRelays makes the worker the relay of those of the projections that are still free. It decides once it has the
// locks: what another worker has taken before it, and the lease of that one, is seen then.
func (s backend) takeRelays(
	ctx context.Context, worker store.Worker, free []string, target string,
) (taken []string, err error) {
	err = pgx.BeginTxFunc(ctx, s.control, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		for _, statement := range []string{s.queries.outbox.addRelays, s.queries.outbox.lockRelays} {
			if _, err := tx.Exec(ctx, statement, free); err != nil {
				return fmt.Errorf("locking relays: %w", err)
			}
		}
		rows, err := tx.Query(ctx, s.queries.outbox.takeRelays, free, worker.Name, worker.Incarnation, target)
		if err != nil {
			return fmt.Errorf("taking relays: %w", err)
		}
		taken, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return taken, err
}

// ReleaseRelays gives up projections of which the worker is the relay. See [store.Outbox].
func (s backend) ReleaseRelays(ctx context.Context, worker store.Worker, projections []string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.control.Exec(ctx, s.queries.outbox.releaseRelay, append([]string{}, projections...), worker.Name,
		worker.Incarnation)
	return translate(err)
}
