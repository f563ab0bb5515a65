package mysql

import (
	"context"

	"github.com/pupwasm/pupwasm/migrations"
)

// Migrate makes the tables of this version in the store's database, or brings those of an earlier one up to it. Several
// programs may call it at once. With nothing to do it changes nothing.
//
// # Errors
//
// [store.ErrTransient]; those of the database, when the account may not create tables. After an error a call goes on
// where this one ended: MariaDB commits each table by itself.
func (s *Store) Migrate(ctx context.Context) error {
	migrator, err := migrations.New(s.db, migrations.MySQL, s.options.Schema)
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return s.translate(ctx, err)
	}
	return nil
}
