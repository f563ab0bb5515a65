package pupwasm_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// database is a kind of database with a table "seen" of events, in the order in which consumers wrote them.
type database struct {
	opened
	// handler makes a handler that calls before for each event, which may fail, and writes its payload.
	handler func(before func(*store.RecordedEvent) error) store.Handler
	// rows returns what was written, by stream.
	rows func(t *testing.T) map[string][]string
}

// opened is a database as an application has it.
type opened interface {
	pupwasm.Database
	store.Appender
}

const seenTable = "CREATE TABLE seen (n INTEGER, stream text, payload text)"

func onSQLite(t *testing.T) database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sqlite.Open(path, sqlite.Options{})
	must(err)
	t.Cleanup(db.Close)
	must(db.Migrate(t.Context()))
	handle, err := sqlite.OpenSQL(path)
	must(err)
	t.Cleanup(func() { handle.Close() })
	_, err = handle.Exec(seenTable)
	must(err)
	return database{
		opened: db,
		handler: func(before func(*store.RecordedEvent) error) store.Handler {
			return sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
				for i := range events {
					if err := before(&events[i]); err != nil {
						return err
					}
					if err := seenOnSQLite(conn, &events[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
		rows: func(t *testing.T) map[string][]string {
			t.Helper()
			rows, err := handle.QueryContext(t.Context(), "SELECT stream, payload FROM seen ORDER BY rowid") //nolint:rowserrcheck // collect asks for it
			must(err)
			defer rows.Close()
			return collect(t, rows.Next, rows.Scan, rows.Err)
		},
	}
}

func onPostgres(t *testing.T) database {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.New(t).DSN)
	must(err)
	t.Cleanup(pool.Close)
	db, err := postgres.New(pool, postgres.Options{})
	must(err)
	t.Cleanup(db.Close)
	_, err = pool.Exec(t.Context(), strings.Replace(seenTable, "n INTEGER", "n bigint, id bigserial", 1))
	must(err)
	return database{
		opened: db,
		handler: func(before func(*store.RecordedEvent) error) store.Handler {
			return postgres.Handler(func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error {
				for i := range events {
					if err := before(&events[i]); err != nil {
						return err
					}
					if err := seenOnPostgres(ctx, tx, &events[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
		rows: func(t *testing.T) map[string][]string {
			t.Helper()
			rows, err := pool.Query(t.Context(), "SELECT stream, payload FROM seen ORDER BY id")
			must(err)
			defer rows.Close()
			return collect(t, rows.Next, rows.Scan, rows.Err)
		},
	}
}

func onMariaDB(t *testing.T) database {
	t.Helper()
	at := mariadbtest.New(t)
	db, err := mysql.Open(at.URL, mysql.Options{})
	must(err)
	t.Cleanup(db.Close)
	handle, err := mysql.OpenSQL(at.URL)
	must(err)
	t.Cleanup(func() { handle.Close() })
	_, err = handle.ExecContext(t.Context(), strings.Replace(seenTable, "n INTEGER", "n bigint, id bigint AUTO_INCREMENT PRIMARY KEY", 1))
	must(err)
	return database{
		opened: db,
		handler: func(before func(*store.RecordedEvent) error) store.Handler {
			return mysql.Handler(func(ctx context.Context, tx *sql.Tx, events []store.RecordedEvent) error {
				for i := range events {
					if err := before(&events[i]); err != nil {
						return err
					}
					if err := seenOnMariaDB(ctx, tx, &events[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
		rows: func(t *testing.T) map[string][]string {
			t.Helper()
			rows, err := handle.QueryContext(t.Context(), "SELECT stream, payload FROM seen ORDER BY id") //nolint:rowserrcheck // collect asks for it
			must(err)
			defer rows.Close()
			return collect(t, rows.Next, rows.Scan, rows.Err)
		},
	}
}

// seenOnMariaDB writes an event.
func seenOnMariaDB(ctx context.Context, tx *sql.Tx, e *store.RecordedEvent) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO seen (n, stream, payload) VALUES (?, ?, ?)", e.Position, e.AggregateID,
		string(e.Payload))
	return err
}

// seenOnSQLite writes an event.
func seenOnSQLite(conn *sqlite3.Conn, e *store.RecordedEvent) error {
	insert, _, err := conn.Prepare("INSERT INTO seen VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	err = errors.Join(insert.BindInt64(1, e.Position), insert.BindText(2, e.AggregateID),
		insert.BindText(3, string(e.Payload)))
	if err != nil {
		return err
	}
	return insert.Exec()
}

// seenOnPostgres writes an event.
func seenOnPostgres(ctx context.Context, tx pgx.Tx, e *store.RecordedEvent) error {
	_, err := tx.Exec(ctx, "INSERT INTO seen (n, stream, payload) VALUES ($1, $2, $3)", e.Position, e.AggregateID,
		string(e.Payload))
	return err
}

func collect(t *testing.T, next func() bool, scan func(...any) error, end func() error) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for next() {
		var stream, payload string
		if err := scan(&stream, &payload); err != nil {
			t.Fatal(err)
		}
		all[stream] = append(all[stream], payload)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return all
}

// onAll runs a test on all databases.
func onAll(t *testing.T, test func(t *testing.T, db database)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, onSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, onPostgres(t))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, onMariaDB(t))
	})
}

// orders appends so many events to each of some streams, in turns: their payloads count up within the stream.
func orders(t *testing.T, db store.Appender, streams, events int) (last int64) {
	t.Helper()
	for n := range events {
		var appends []store.StreamAppend
		for s := range streams {
			appends = append(appends, store.StreamAppend{
				Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: fmt.Sprintf("order-%d", s)},
				Events: []store.Event{{Type: "Placed", Payload: fmt.Appendf(nil, `{"n":%d}`, n)}},
			})
		}
		appended, err := db.Append(t.Context(), store.AppendOptions{}, appends...)
		must(err)
		last = appended[len(appended)-1].Position
	}
	return last
}

func fine(*store.RecordedEvent) error { return nil }

// quickly are settings for tests that retry.
func quickly() segments.Options {
	return segments.Options{RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond, Rebalance: 20 * time.Millisecond}
}

// runHost runs a host until the test ends.
func runHost(t *testing.T, db pupwasm.Database, options pupwasm.Options) *pupwasm.Host {
	t.Helper()
	options.Logger = discard()
	h, err := pupwasm.NewHost(db, options)
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return h
}

// wantAll checks that every event of every stream was written once, in order.
func wantAll(t *testing.T, db database, streams, events int) {
	t.Helper()
	rows := db.rows(t)
	for s := range streams {
		var want []string
		for n := range events {
			want = append(want, fmt.Sprintf(`{"n":%d}`, n))
		}
		name := fmt.Sprintf("order-%d", s)
		if got := strings.ReplaceAll(strings.Join(rows[name], " "), ": ", ":"); got != strings.Join(want, " ") {
			t.Errorf("%s has %s", name, got)
		}
	}
}
