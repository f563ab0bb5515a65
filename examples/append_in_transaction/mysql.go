package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// onMariaDB buys in a transaction of the application's own pool.
func onMariaDB(pool *sql.DB, db *mysql.Store) buy {
	return func(ctx context.Context, order, article string) error {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after Commit
		if _, err := db.AppendTx(ctx, tx, store.AppendOptions{}, shop.Order(order, shop.Placed("ann", 1250))); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, "UPDATE stock SET pieces = pieces - 1 WHERE article = ? AND pieces > 0", article)
		if err != nil {
			return err
		}
		if found, err := result.RowsAffected(); err != nil || found == 0 {
			return errors.Join(err, errSoldOut) // the event is rolled back, too
		}
		return tx.Commit()
	}
}
