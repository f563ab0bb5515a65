package aggregate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestMain has a PostgreSQL for the examples.
func TestMain(m *testing.M) {
	server, err := pgtest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("DATABASE_URL", server.DSN)
	code := pgtest.MainWithoutLeaks(m)
	server.Stop()
	mariadbtest.Stop()
	os.Exit(code)
}

// database is a database of an application, with the ways in which it has a transaction of its own. One is committed
// when fn returns nil.
type database struct {
	db        store.Streams
	handle    *sql.DB // past the store
	events    string  // the names of tables
	snapshots string
	marks     bool // parameters are question marks
	inTx      map[string]func(ctx context.Context, fn func(tx appTx) error) error
}

// appTx is a transaction of the application: its streams, and its own rows.
type appTx struct {
	store.StreamsTx
	exec func(text string) error
}

// kinds are those of databases.
var kinds = map[string]func(testing.TB) *database{"postgres": onPostgres, "sqlite": onSQLite, "mariadb": onMariaDB}

// onEach runs a test on an empty database of each kind.
func onEach(t *testing.T, test func(t *testing.T, d *database)) {
	t.Helper()
	for name, create := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t))
		})
	}
}

func onPostgres(t testing.TB) *database {
	t.Helper()
	dsn := pgtest.New(t).DSN
	pool, err := pgxpool.New(t.Context(), dsn)
	must(t, err)
	t.Cleanup(pool.Close)
	db, err := postgres.New(pool, postgres.Options{})
	must(t, err)
	t.Cleanup(db.Close)
	handle, err := sql.Open("pgx", dsn)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	d := &database{db: db, handle: handle, events: "pupwasm.events", snapshots: "pupwasm.snapshots"}
	d.inTx = map[string]func(ctx context.Context, fn func(tx appTx) error) error{
		"pgx": func(ctx context.Context, fn func(tx appTx) error) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				return fn(appTx{db.StreamsTx(tx), func(text string) error {
					_, err := tx.Exec(ctx, text)
					return err
				}})
			})
		},
		"database/sql": func(ctx context.Context, fn func(tx appTx) error) error {
			tx, err := handle.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			err = fn(appTx{db.StreamsSQLTx(tx), func(text string) error {
				_, err := tx.ExecContext(ctx, text)
				return err
			}})
			if err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		},
	}
	return d
}

func onSQLite(t testing.TB) *database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sqlite.Open(path, sqlite.Options{})
	must(t, err)
	t.Cleanup(db.Close)
	must(t, db.Migrate(t.Context()))
	handle, err := sqlite.OpenSQL(path)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	d := &database{db: db, handle: handle, events: "pupwasm__events", snapshots: "pupwasm__snapshots"}
	d.inTx = map[string]func(ctx context.Context, fn func(tx appTx) error) error{
		"sqlite": func(ctx context.Context, fn func(tx appTx) error) error {
			return db.InTx(ctx, func(tx *sqlite.Tx) error { return fn(appTx{tx.Streams(), tx.Conn().Exec}) })
		},
	}
	return d
}

func onMariaDB(t testing.TB) *database {
	t.Helper()
	at := mariadbtest.New(t)
	db, err := mysql.Open(at.URL, mysql.Options{})
	must(t, err)
	t.Cleanup(db.Close)
	handle := at.Connect(t)
	d := &database{db: db, handle: handle, events: "pupwasm__events", snapshots: "pupwasm__snapshots", marks: true}
	own := func(ctx context.Context, tx *sql.Tx, streams store.StreamsTx) appTx {
		return appTx{streams, func(text string) error {
			_, err := tx.ExecContext(ctx, text)
			return err
		}}
	}
	d.inTx = map[string]func(ctx context.Context, fn func(tx appTx) error) error{
		"mariadb": func(ctx context.Context, fn func(tx appTx) error) error {
			return db.InTx(ctx, func(tx *mysql.Tx) error { return fn(own(ctx, tx.SQL(), tx.Streams())) })
		},
		"database/sql": func(ctx context.Context, fn func(tx appTx) error) error {
			tx, err := handle.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if err := fn(own(ctx, tx, db.StreamsTx(tx))); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		},
	}
	return d
}

var parameter = regexp.MustCompile(`\$[0-9]`)

// sql has the parameters as the database writes them. Each comes once, in order.
func (d *database) sql(text string) string {
	if d.marks {
		return parameter.ReplaceAllString(text, "?")
	}
	return text
}

// exec runs SQL past the store.
func (d *database) exec(t failing, text string, args ...any) {
	t.Helper()
	_, err := d.handle.ExecContext(context.Background(), d.sql(text), args...)
	must(t, err)
}

// number is the result of a query.
func (d *database) number(t failing, query string, args ...any) (n int64) {
	t.Helper()
	must(t, d.handle.QueryRowContext(context.Background(), d.sql(query), args...).Scan(&n))
	return n
}

// snapshotOf is the version of a stream's snapshot, or 0.
func (d *database) snapshotOf(t failing, id string) int64 {
	t.Helper()
	return d.number(t, "SELECT coalesce(max(aggregate_version), 0) FROM "+d.snapshots+" WHERE aggregate_id = $1", id)
}

// failing is a test, or a check of a property.
type failing interface {
	Helper()
	Fatal(args ...any)
}

func must(t failing, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
