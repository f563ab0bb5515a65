package pupwasm_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestConsumer_mistakesInARetry has a handler fail at a key that is a member of the payload, of several streams, and
// then do what it must not when the key is tried again. The key stays parked with the reason, nothing of the try is
// kept, others go on, and the next try has every event once.
func TestConsumer_mistakesInARetry(t *testing.T) {
	t.Parallel()
	const streams = 3
	for name, mistake := range map[string]struct {
		onPostgres func(ctx context.Context, tx pgx.Tx) error
		onSQLite   func(conn *sqlite3.Conn) error
		onMariaDB  func(ctx context.Context, tx *sql.Tx) error
		want       string
	}{
		"rolled back and begun": {
			onPostgres: func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "ROLLBACK AND CHAIN")
				return err
			},
			onSQLite: func(conn *sqlite3.Conn) error { return conn.Exec("ROLLBACK; BEGIN") },
			onMariaDB: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "ROLLBACK AND CHAIN")
				return err
			},
			want: "was ended by",
		},
		"a panic": {
			onPostgres: func(context.Context, pgx.Tx) error { panic("no such order") },
			onSQLite:   func(*sqlite3.Conn) error { panic("no such order") },
			onMariaDB:  func(context.Context, *sql.Tx) error { panic("no such order") },
			want:       "no such order",
		},
		"its goroutine ended": {
			onPostgres: func(context.Context, pgx.Tx) error { runtime.Goexit(); return nil },
			onSQLite:   func(*sqlite3.Conn) error { runtime.Goexit(); return nil },
			onMariaDB:  func(context.Context, *sql.Tx) error { runtime.Goexit(); return nil },
			want:       "has ended its goroutine",
		},
		"an error ignored": { // on MariaDB, where it is the statement's alone, the whole transaction
			onPostgres: func(ctx context.Context, tx pgx.Tx) error {
				_, _ = tx.Exec(ctx, "SELECT 1 / 0")
				return nil
			},
			onSQLite: func(conn *sqlite3.Conn) error { return conn.Exec("PRAGMA query_only = ON") },
			onMariaDB: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "ROLLBACK")
				return err
			},
			want: "within it|was made read-only|was ended by",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(t *testing.T, db database) {
				var tries, good atomic.Int64
				try := func(events []store.RecordedEvent, doWrong func() error) error {
					for i := range events {
						switch {
						case string(events[i].Payload) != `{"n":1}` || good.Load() > 0:
						case tries.Add(1) == 1:
							return errors.New("not now")
						default:
							return doWrong()
						}
					}
					return nil
				}
				var handler store.Handler
				switch db.opened.(type) {
				case *sqlite.Store:
					handler = sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
						for i := range events {
							if err := seenOnSQLite(conn, &events[i]); err != nil {
								return err
							}
						}
						return try(events, func() error { return mistake.onSQLite(conn) })
					})
				case *mysql.Store:
					handler = mysql.Handler(func(ctx context.Context, tx *sql.Tx, events []store.RecordedEvent) error {
						for i := range events {
							if err := seenOnMariaDB(ctx, tx, &events[i]); err != nil {
								return err
							}
						}
						return try(events, func() error { return mistake.onMariaDB(ctx, tx) })
					})
				default:
					handler = postgres.Handler(func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error {
						for i := range events {
							if err := seenOnPostgres(ctx, tx, &events[i]); err != nil {
								return err
							}
						}
						return try(events, func() error { return mistake.onPostgres(ctx, tx) })
					})
				}
				last := orders(t, db, streams, 4)
				h := runHost(t, db, pupwasm.Options{Worker: quickly(), Consumers: []pupwasm.Consumer{{
					Name: "mistaken", Partition: pupwasm.ByJSON("n"), Handle: handler,
				}}})
				must(h.Wait(t.Context(), "mistaken", last))
				tables := db.Backend()
				parked := func() []store.ParkedKey {
					keys, err := tables.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
					must(err)
					return keys
				}
				first := parked()
				if len(first) != 1 || string(first[0].Key) != "1" || first[0].Events != streams {
					t.Fatalf("parked are %+v", first)
				}
				must(tables.Order(t.Context(), first[0].ParkedID, store.ActionRetry))
				testwait.Until(t, "the key has failed again", func() bool {
					keys := parked()
					return len(keys) == 1 && keys[0].Attempts > 1
				})
				again := parked()
				reasons := strings.Split(mistake.want, "|")
				if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(again[0].Error, reason) }) {
					t.Errorf("the key is parked for %q", again[0].Error)
				}
				last = orders(t, db, streams, 1)
				must(h.Wait(t.Context(), "mistaken", last))
				if n := rowsOf(db.rows(t)); n != streams*4 {
					t.Errorf("%d rows while the key is parked, must be %d", n, streams*4)
				}
				good.Store(1)
				must(tables.Order(t.Context(), first[0].ParkedID, store.ActionRetry))
				testwait.Until(t, "nothing is parked", func() bool { return len(parked()) == 0 })
				if n := rowsOf(db.rows(t)); n != streams*5 {
					t.Errorf("%d rows in the end, must be %d", n, streams*5)
				}
			})
		})
	}
}

func rowsOf(streams map[string][]string) (rows int) {
	for _, payloads := range streams {
		rows += len(payloads)
	}
	return rows
}
