package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
	"github.com/pupwasm/pupwasm/store/storetest"
)

// TestStore_apart has the log in another database, of the same kind or of another.
func TestStore_apart(t *testing.T) {
	t.Parallel()
	pairs := map[string]struct{ log, tables storetest.Driver }{
		"postgres_to_postgres": {driver, driver},
		"postgres_to_sqlite":   {driver, fileDriver},
		"sqlite_to_postgres":   {fileDriver, driver},
		"sqlite_to_sqlite":     {fileDriver, fileDriver},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunApart(t, pair.log, pair.tables)
		})
	}
}

// fileDriver is the store on SQLite, as far as one half of a pair needs it.
var fileDriver = storetest.Driver{
	Dialect: store.DialectSQLite,
	New: func(t testing.TB) storetest.Database {
		t.Helper()
		path := filepath.Join(t.TempDir(), "test.db")
		db, err := sqlite.OpenSQL(path)
		must(t, err)
		t.Cleanup(func() { db.Close() })
		migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
		must(t, err)
		_, err = migrator.Up(t.Context())
		must(t, err)
		return storetest.Database{
			Open: func(t testing.TB) store.Store {
				t.Helper()
				s, err := sqlite.Open(path, sqlite.Options{})
				must(t, err)
				t.Cleanup(s.Close)
				return s.Backend()
			},
			Table: func(projection, table string) string { return projection + "__" + table },
			Query: func(t testing.TB, text string) [][]string { t.Helper(); return texts(t, db, text) },
			Exec:  func(_ context.Context, handle any, text string) error { return handle.(*sqlite3.Conn).Exec(text) },
			BeginAfter: func(t testing.TB, position int64) {
				t.Helper()
				_, err := db.ExecContext(t.Context(), "INSERT INTO sqlite_sequence VALUES ('pupwasm__events', ?)", position)
				must(t, err)
			},
		}
	},
}

// texts returns the rows of a query, with NULL as a word.
func texts(t testing.TB, db *sql.DB, query string) (all [][]string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, rows.Scan(into...))
		row := make([]string, len(columns))
		for i, value := range values {
			if row[i] = fmt.Sprint(value); value == nil {
				row[i] = "NULL"
			}
		}
		all = append(all, row)
	}
	must(t, rows.Err())
	return all
}
