package sqlite

import (
	"context"
	"errors"

	"github.com/pupwasm/pupwasm/migrations"
)

// Migrate makes the file, if it is missing, and the tables of this version, or brings those of an earlier one up
// to it. Several programs may call it at once. With nothing to do it changes nothing.
//
// # Errors
//
// [store.ErrTransient]; those of the file. Nothing is half done after an error.
func (s *Store) Migrate(ctx context.Context) (err error) {
	db, err := OpenSQL(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	migrator, err := migrations.New(db, migrations.SQLite, s.options.Schema)
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return s.translate(ctx, err)
	}
	return nil
}
