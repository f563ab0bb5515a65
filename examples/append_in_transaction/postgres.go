package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// onPostgres buys in a transaction of the application's own pool.
func onPostgres(pool *pgxpool.Pool, db *postgres.Store) buy {
	return func(ctx context.Context, order, article string) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }() // does nothing after Commit
		if _, err := db.AppendTx(ctx, tx, store.AppendOptions{}, shop.Order(order, shop.Placed("ann", 1250))); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "UPDATE stock SET pieces = pieces - 1 WHERE article = $1 AND pieces > 0", article)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errSoldOut // the event is rolled back, too
		}
		return tx.Commit(ctx)
	}
}
