package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

var sqliteDialect = dialect{
	name: migrations.SQLite, title: "SQLite", statements: store.DialectSQLite,
	schemes: []string{"sqlite"}, form: "sqlite:PATH",
	parse: parseSQLite, mustExist: fileMustExist, open: openSQLite, openSQL: openSQLiteSQL,
	tableName: func(_ target, schema, projection, table string) string {
		return store.PlaceOf(schema, store.ProjectionID{Name: projection}).Readers + "__" + table
	},
}

func parseSQLite(_, rest string) (target, error) {
	path := strings.TrimPrefix(rest, "//")
	if path == "" || strings.HasPrefix(path, ":memory:") || strings.Contains(path, "?") {
		return target{}, errors.New("sqlite needs the path of a file and no more")
	}
	return target{address: path, shown: "sqlite:" + path}, nil
}

// fileMustExist refuses a database file that does not exist: opening it would create an empty one.
func fileMustExist(at target) error {
	info, err := os.Stat(at.address)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: 'pupwasm append' or 'pupwasm migrate up' makes one, --%s names another", at,
			errNoDatabase, at.flag)
	case err != nil:
		return fmt.Errorf("opening the database: %w", err)
	case info.IsDir():
		return usagef("%s is a folder, not a database file", at)
	}
	return nil
}

func openSQLite(at target, globals *globalOptions) (store.Store, error) {
	opened, err := sqlite.Open(at.address, sqlite.Options{
		Schema: globals.schema, PayloadBytesMax: globals.payloadMax, Durable: globals.durable,
		StatementTimeout: globals.limits.statement, TransactionTimeout: globals.limits.transaction,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return opened.Backend(), nil
}

func openSQLiteSQL(at target) (*sql.DB, error) {
	db, err := sqlite.OpenSQL(at.address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return db, nil
}
