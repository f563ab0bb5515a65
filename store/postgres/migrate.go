package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pupwasm/pupwasm/migrations"
)

// Migrate makes the tables of this version, in the store's schema, or brings those of an earlier one up to it.
// Several programs may call it at once. With nothing to do it changes nothing.
//
// # Errors
//
// [store.ErrTransient]; those of the database, when the role may not create tables. Nothing is half done after
// an error.
func (s *Store) Migrate(ctx context.Context) (err error) {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	migrator, err := migrations.New(db, migrations.Postgres, s.options.Schema)
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return translate(err)
	}
	return nil
}
