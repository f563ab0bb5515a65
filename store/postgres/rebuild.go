package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// Rebuild asks for another build of the live version. See [store.Versions].
func (s backend) Rebuild(ctx context.Context, projection string) (id store.ProjectionID, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		versions, err := readVersions(ctx, tx, &s.queries, projection)
		if err != nil {
			return err
		}
		var ask bool
		if id, ask, err = versions.Rebuild(projection); err != nil || !ask {
			return err
		}
		return askRebuild(ctx, tx, &s.queries, projection, id.Build)
	})
	if err != nil {
		return store.ProjectionID{}, translate(err)
	}
	return id, nil
}

// askRebuild notes which build of the live version is asked for; 0 for none.
func askRebuild(ctx context.Context, tx pgx.Tx, queries *queries, projection string, build int) error {
	if _, err := tx.Exec(ctx, queries.askRebuild, projection, build); err != nil {
		return fmt.Errorf("asking for a build: %w", err)
	}
	return nil
}
