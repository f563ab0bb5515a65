package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.MainWithoutLeaks(m)) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Driver{
		Dialect: store.DialectPostgres,
		New: func(t testing.TB) storetest.Database {
			t.Helper()
			return describe(pgtest.New(t))
		},
	})
}

// TestStore_schemasStandBesideEachOther runs two stores in one database, one in a schema that is a word of SQL.
func TestStore_schemasStandBesideEachOther(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	handle, err := sql.Open("pgx", db.DSN)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	migrator, err := migrations.New(handle, migrations.Postgres, "select")
	must(t, err)
	_, err = migrator.Up(t.Context())
	must(t, err)
	ctx := t.Context()
	first := open(t, db)
	second := open(t, pgtest.Database{DSN: db.DSN, Schema: "select", Server: db.Server})
	must(t, second.Ping(ctx))
	appendOne(t, first, "a")
	tx := begin(t, db.Connect(t))
	insertIn(t, tx, "b", 1) // holds the first log back and not the second
	for range 3 {
		appendOne(t, second, "a")
	}
	if h := horizonOf(t, second); h != (store.Horizon{Position: 3, Head: 3}) {
		t.Errorf("the second horizon is %+v", h)
	}
	if h := horizonOf(t, first); h.Position != 1 || h.Head != 2 {
		t.Errorf("the first horizon is %+v", h)
	}
	end(t, tx, false)

	p := sums()
	catalogue, err := second.Install(ctx, p, 1)
	must(t, err)
	must(t, second.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute))
	claims, err := second.Claim(ctx, store.ClaimRequest{Projection: "sums", Worker: "w", Limit: 1})
	must(t, err)
	unit := catalogue.Begin(claims[0])
	must(t, unit.Commit(ctx, store.Commit{Through: 3, Steps: store.NewFolder(p).Fold([]store.Mutation{add("a", 1)}), Log: claims[0].Applied.Log}))
	unit.Rollback()
	_, err = first.Install(ctx, sums(), 1)
	var fault *store.CatalogueError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "not the projection's") {
		t.Errorf("a projection of the same name in the other store: %v", err)
	}
	must(t, second.Leave(ctx, "w"))
	must(t, second.Reset(ctx, "sums"))
	_, err = first.Install(ctx, sums(), 1)
	must(t, err)
}

// describe makes a database known to the suite.
func describe(db pgtest.Database) storetest.Database {
	return storetest.Database{
		Open:  func(t testing.TB) store.Store { t.Helper(); return open(t, db) },
		Table: func(projection, table string) string { return pgx.Identifier{projection, table}.Sanitize() },
		Query: func(t testing.TB, sql string) [][]string { t.Helper(); return query(t, db.Connect(t), sql) },
		HoldAppend: func(t testing.TB, stream store.Stream) func(commit bool) {
			t.Helper()
			tx := begin(t, db.Connect(t))
			_, err := open(t, db).AppendTx(context.Background(), tx, store.AppendOptions{},
				store.StreamAppend{Stream: stream, Events: []store.Event{{Type: "held"}}})
			must(t, err)
			return func(commit bool) {
				if commit {
					must(t, tx.Commit(context.Background()))
				} else {
					must(t, tx.Rollback(context.Background()))
				}
			}
		},
		Clock: func(t testing.TB, s store.Store) func(since time.Duration) {
			t.Helper()
			s.(*postgres.Store).UseClock("(SELECT at FROM public.test_clock)")
			conn := db.Connect(t)
			execute(t, conn, "CREATE TABLE IF NOT EXISTS test_clock (at timestamptz NOT NULL)")
			execute(t, conn, "INSERT INTO test_clock SELECT to_timestamp(1e9) WHERE NOT EXISTS (SELECT FROM test_clock)")
			return func(since time.Duration) {
				t.Helper()
				execute(t, conn, "UPDATE test_clock SET at = to_timestamp(1e9) + $1::interval", since)
			}
		},
	}
}

func open(t testing.TB, db pgtest.Database) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(db.DSN, postgres.Options{Schema: db.Schema})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t testing.TB, conn *pgx.Conn) pgx.Tx {
	t.Helper()
	tx, err := conn.Begin(context.Background())
	must(t, err)
	return tx
}

// query returns all rows as text.
func query(t testing.TB, conn *pgx.Conn, sql string, args ...any) [][]string {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	must(t, err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		values := row.RawValues()
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = "NULL"
			if v != nil {
				texts[i] = string(v)
			}
		}
		return texts, nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
	return all
}

func execute(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}

// wantRows compares what a query returns: values parted by a blank, rows by a semicolon.
func wantRows(t testing.TB, db pgtest.Database, sql, want string) {
	t.Helper()
	var lines []string
	for _, row := range query(t, db.Connect(t), sql) {
		lines = append(lines, strings.Join(row, " "))
	}
	if got := strings.Join(lines, ";"); got != want {
		t.Errorf("%s: %q, want %q", sql, got, want)
	}
}

func stream(id string) store.Stream {
	return store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: id}
}

func events(n int) []store.Event {
	all := make([]store.Event, n)
	for i := range all {
		all[i] = store.Event{Type: "placed", Payload: fmt.Appendf(nil, `{"n":%d}`, i+1)}
	}
	return all
}
