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
	storetest.Run(t, driver)
}

var driver = storetest.Driver{
	Dialect: store.DialectPostgres,
	New: func(t testing.TB) storetest.Database {
		t.Helper()
		return describe(pgtest.New(t))
	},
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
}

// TestStore_schemasRunTheSameProjection has a schema a tenant, with names as long as they may be.
func TestStore_schemasRunTheSameProjection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ctx, long := t.Context(), strings.Repeat("x", 30)
	p := sums()
	p.Version = 99_999_999
	p.Name, p.Tables[0].Name, p.Tables[0].Indexes = long, "t"+long[1:], [][]string{{"n"}}
	for i := range p.Writes {
		p.Writes[i].Table = strings.ReplaceAll(p.Writes[i].Table, "total", p.Tables[0].Name)
		p.Writes[i].SQL = nil
	}
	p.Writes, p.Queries = p.Writes[:2], nil
	p.Tables = append(p.Tables, store.Table{
		Name: "own", Key: []string{"id"}, Columns: []store.Column{
			{Name: "id", Type: typed("text")},
			{Name: "up", Type: typed("text"), Generated: anySQL("upper(id)")},
		},
		Checks: []store.Check{{Name: "c" + long[1:], SQL: anySQL("{own}.id <> ''")}},
	})
	p.Views = []store.View{{Name: "v" + long[1:], SQL: anySQL("SELECT own.up FROM {own} AS own")}}
	schemas := []string{"pupwasm", "select", "s" + long[1:16], long[:16]}
	claims := make([]store.Claim, len(schemas))
	stores := make([]postgres.Backend, len(schemas))
	commit := func(i int, catalogue store.Catalogue) error {
		unit := catalogue.Begin(claims[i])
		defer unit.Rollback()
		return unit.Commit(ctx, store.Commit{
			Through: claims[i].Position + 1, Steps: store.NewFolder(p).Fold([]store.Mutation{add("a",
				int64(i)+1)}), Log: claims[i].Applied.Log,
		})
	}
	for i, schema := range schemas {
		stores[i] = open(t, db.WithSchema(t, schema))
		for range 2 {
			appendOne(t, stores[i], "a")
		}
		catalogue, err := stores[i].Install(ctx, p, 1)
		must(t, err)
		must(t, stores[i].Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute))
		held, err := stores[i].Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
		must(t, err)
		claims[i] = held[0]
		must(t, commit(i, catalogue))
	}
	// One store's reset leaves the others alone.
	must(t, stores[1].Leave(ctx, store.Worker{Name: "w"}))
	must(t, stores[1].Reset(ctx, p.Name))
	wantRows(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'select%'", "1")
	for i, schema := range schemas {
		if i == 1 {
			continue
		}
		catalogue, err := stores[i].Install(ctx, p, 1)
		must(t, err)
		claims[i].Position = 1
		must(t, commit(i, catalogue))
		wantRows(t, db, "SELECT n FROM "+pgx.Identifier{
			store.PlaceOf(schema, p.ID()).Readers,
			p.Tables[0].Name,
		}.Sanitize(), fmt.Sprint(2*(i+1)))
	}
	if got, want := store.PlaceOf("pupwasm",
		p.ID()), (store.Place{Tables: long + "__v99999999", Readers: long}); got != want {
		t.Errorf("beside the default schema the places are %+v", got)
	}
	if got := len(store.PlaceOf(schemas[2], p.ID()).Tables); got != 59 {
		t.Errorf("the longest name has %d bytes, which leaves no 4 beside the version", got)
	}
}

// TestReset_keepsTheEventsOfASchemaOfTheSameName has a schema be made for events that is already that of a
// projection's readers.
func TestReset_keepsTheEventsOfASchemaOfTheSameName(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	other := open(t, db.WithSchema(t, "sums"))
	appendOne(t, other, "a")
	must(t, s.Reset(t.Context(), "sums"))
	wantRows(t, db, "SELECT count(*) FROM sums.events", "1")
	wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relname = 'total'", "0")
	_, err = s.Install(t.Context(), sums(), 1)
	must(t, err)
	wantRows(t, db, "SELECT count(*) FROM sums.total", "0")
}

// describe makes a database known to the suite.
func describe(db pgtest.Database) storetest.Database {
	return storetest.Database{
		Open:  func(t testing.TB) store.Store { t.Helper(); return open(t, db) },
		Table: func(projection, table string) string { return pgx.Identifier{projection, table}.Sanitize() },
		Query: func(t testing.TB, sql string) [][]string { t.Helper(); return ask(t, db, sql) },
		Prepare: func(t testing.TB, sql string) func() [][]string {
			t.Helper()
			conn := db.Connect(t)
			execute(t, conn, "PREPARE reader AS "+sql)
			return func() [][]string { t.Helper(); return query(t, conn, "EXECUTE reader") }
		},
		Exec: func(ctx context.Context, handle any, sql string) error {
			_, err := handle.(pgx.Tx).Exec(ctx, sql)
			return err
		},
		Transactions: transactions(db),
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
		BeginAfter: func(t testing.TB, position int64) { t.Helper(); db.BeginAfter(t, position) },
		Clock: func(t testing.TB, s store.Store) func(since time.Duration) {
			t.Helper()
			s.(postgres.Backend).UseClock("(SELECT at FROM public.test_clock)")
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

// transactions are those of pgx and of database/sql.
func transactions(db pgtest.Database) map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error {
	return map[string]func(testing.TB, store.Store, func(store.StreamsTx) error) error{
		"pgx": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			return pgx.BeginFunc(t.Context(), db.Connect(t), func(tx pgx.Tx) error {
				return fn(s.(postgres.Backend).StreamsTx(tx))
			})
		},
		"database_sql": func(t testing.TB, s store.Store, fn func(store.StreamsTx) error) error {
			t.Helper()
			handle, err := sql.Open("pgx", db.DSN)
			must(t, err)
			defer handle.Close()
			tx, err := handle.BeginTx(t.Context(), nil)
			must(t, err)
			if err := fn(s.(postgres.Backend).StreamsSQLTx(tx)); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		},
	}
}

func open(t testing.TB, db pgtest.Database) postgres.Backend {
	t.Helper()
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{Schema: db.Schema, Lazy: true})
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

// ask is query on a connection of its own, which it closes: tests that wait ask again and again.
func ask(t testing.TB, db pgtest.Database, sql string) [][]string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), db.DSN)
	must(t, err)
	defer conn.Close(context.Background())
	return query(t, conn, sql)
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
	for _, row := range ask(t, db, sql) {
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
