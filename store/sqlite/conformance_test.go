package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
	"github.com/pupwasm/pupwasm/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Driver{Dialect: store.DialectSQLite, New: newDatabase})
}

func newDatabase(t testing.TB) storetest.Database {
	path := migrated(t)
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return storetest.Database{
		Open:  func(t testing.TB) store.Store { return open(t, path, sqlite.Options{}) },
		Table: func(projection, table string) string { return `"` + projection + "__" + table + `"` },
		Query: func(t testing.TB, text string) [][]string { return queryText(t, db, text) },
		Prepare: func(t testing.TB, text string) func() [][]string {
			t.Helper()
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			statement, err := conn.PrepareContext(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return func() [][]string {
				t.Helper()
				return storetest.CollectText(t, func() (*sql.Rows, error) { return statement.QueryContext(t.Context()) })
			}
		},
		Exec:         func(_ context.Context, handle any, text string) error { return handle.(*sqlite3.Conn).Exec(text) },
		Transactions: transactions(path),
		// HoldAppend stays nil: an open append keeps other writers waiting.
		BeginAfter: func(t testing.TB, position int64) {
			t.Helper()
			execute(t, db, "INSERT INTO sqlite_sequence VALUES ('pupwasm__events', ?)", position)
		},
		Clock: func(t testing.TB, s store.Store) func(since time.Duration) {
			t.Helper()
			s.(sqlite.Backend).UseClock("(SELECT at FROM test_clock)")
			execute(t, db, "CREATE TABLE IF NOT EXISTS test_clock (at INTEGER NOT NULL)")
			execute(t, db, "INSERT INTO test_clock SELECT 1e15 WHERE NOT EXISTS (SELECT 1 FROM test_clock)")
			return func(since time.Duration) {
				t.Helper()
				execute(t, db, "UPDATE test_clock SET at = 1e15 + ?", since.Microseconds())
			}
		},
	}
}

// transactions are those of a store and of database/sql.
func transactions(path string) map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error {
	return map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error{
		"in_tx": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			return s.(sqlite.Backend).InTx(t.Context(), func(tx *sqlite.Tx) error { return fn(tx.Streams()) })
		},
		"database_sql": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			db, err := sqlite.OpenSQL(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			tx, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Close()
			execute := func(text string) error {
				_, err := tx.ExecContext(t.Context(), text)
				return err
			}
			if err := execute("BEGIN IMMEDIATE"); err != nil {
				return err
			}
			err = tx.Raw(func(conn any) error {
				return fn(s.(sqlite.Backend).StreamsConn(conn.(interface{ Raw() *sqlite3.Conn }).Raw()))
			})
			if err != nil {
				return errors.Join(err, execute("ROLLBACK"))
			}
			return execute("COMMIT")
		},
	}
}

// What tests ask past the store.
var (
	queryText = storetest.QueryText
	execute   = storetest.Execute
)
