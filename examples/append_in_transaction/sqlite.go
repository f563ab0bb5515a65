package main

import (
	"context"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// onSQLite buys in a transaction on the store's writer.
func onSQLite(db *sqlite.Store) buy {
	return func(ctx context.Context, order, article string) error {
		return db.InTx(ctx, func(tx *sqlite.Tx) error {
			if _, err := tx.Append(store.AppendOptions{}, shop.Order(order, shop.Placed("ann", 1250))); err != nil {
				return err
			}
			statement, _, err := tx.Conn().Prepare("UPDATE stock SET pieces = pieces - 1 WHERE article = ? AND pieces > 0")
			if err != nil {
				return err
			}
			defer statement.Close()
			if err := statement.BindText(1, article); err != nil {
				return err
			}
			if err := statement.Exec(); err != nil {
				return err
			}
			if tx.Conn().Changes() == 0 {
				return errSoldOut // the event is rolled back, too
			}
			return nil
		})
	}
}
