package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Driver{Dialect: store.DialectMySQL, New: newDatabase})
}

func newDatabase(t testing.TB) storetest.Database {
	t.Helper()
	at := mariadbtest.New(t)
	db, err := mysql.OpenSQL(at.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return storetest.Database{
		Open: func(t testing.TB) store.Store {
			return open(t, at.URL, mysql.Options{StatementTimeout: 20 * time.Second}) // the machine may have more to do
		},
		Table: func(projection, table string) string {
			if projection == "pupwasm" {
				return projection + "__" + table // of the store
			}
			return fmt.Sprintf("`%s__%s`.`%s`", at.Name, projection, table)
		},
		Query: func(t testing.TB, text string) [][]string { return queryText(t, db, text) },
		Prepare: func(t testing.TB, text string) func() [][]string {
			t.Helper()
			statement, err := db.PrepareContext(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = statement.Close() })
			return func() [][]string {
				t.Helper()
				return storetest.CollectText(t, func() (*sql.Rows, error) { return statement.QueryContext(t.Context()) })
			}
		},
		Exec: func(ctx context.Context, handle any, text string) error {
			_, err := handle.(*sql.Tx).ExecContext(ctx, text)
			return err
		},
		Transactions: transactions(at),
		HoldAppend:   func(t testing.TB, stream store.Stream) (finish func(commit bool)) { return holdAppend(t, at, stream) },
		BeginAfter: func(t testing.TB, position int64) {
			t.Helper()
			execute(t, db, fmt.Sprintf("ALTER TABLE pupwasm__events AUTO_INCREMENT = %d", position+1))
		},
		Clock: func(t testing.TB, s store.Store) func(since time.Duration) {
			t.Helper()
			s.(mysql.Backend).UseClock("(SELECT at FROM test_clock)")
			execute(t, db, "CREATE TABLE IF NOT EXISTS test_clock (at BIGINT NOT NULL)")
			execute(t, db, "INSERT INTO test_clock SELECT 1000000000000000 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM test_clock)")
			return func(since time.Duration) {
				t.Helper()
				execute(t, db, "UPDATE test_clock SET at = 1000000000000000 + ?", since.Microseconds())
			}
		},
	}
}

// transactions are those of a store, and of database/sql with the settings of a caller of its own.
func transactions(at mariadbtest.Database) map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error {
	return map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error{
		"in_tx": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			return s.(mysql.Backend).InTx(t.Context(), func(tx *mysql.Tx) error { return fn(tx.Streams()) })
		},
		"database_sql": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			tx, err := foreign(t, at).BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := fn(s.(mysql.Backend).StreamsTx(tx)); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		},
	}
}

// foreign is a handle of another program: in another database, with the driver's and the server's own settings or worse.
func foreign(t testing.TB, at mariadbtest.Database) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/mysql?charset=latin1&parseTime=true&"+
		"sql_mode='ANSI,EMPTY_STRING_IS_NULL'&time_zone='%%2B05:00'", at.Server.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func holdAppend(t testing.TB, at mariadbtest.Database, stream store.Stream) (finish func(commit bool)) {
	t.Helper()
	tx, err := foreign(t, at).BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, at.URL, mysql.Options{}).AppendTx(t.Context(), tx, store.AppendOptions{},
		store.StreamAppend{Stream: stream, Events: []store.Event{{Type: "held"}}})
	if err != nil {
		t.Fatal(err)
	}
	return func(commit bool) {
		t.Helper()
		end := tx.Rollback
		if commit {
			end = tx.Commit
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t testing.TB, url string, options mysql.Options) mysql.Backend {
	t.Helper()
	s, err := mysql.OpenBackend(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What tests ask past the store.
var (
	queryText = storetest.QueryText
	execute   = storetest.Execute
)

func TestOpen_ping(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	if err := open(t, at.URL, mysql.Options{}).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}
