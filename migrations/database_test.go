package migrations_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestMain(m *testing.M) {
	code := pgtest.MainWithoutLeaks(m)
	mariadbtest.Stop()
	os.Exit(code)
}

// database is an empty database of one dialect.
type database struct {
	dialect migrations.Dialect
	open    func(t *testing.T) *sql.DB // another handle on it
	table   func(schema, table string) string
	objects string // counts everything in it that a migration could have made
}

// steps returns the migrations of the dialect.
func (db database) steps(t *testing.T) []migrations.Migration {
	t.Helper()
	steps, err := migrations.Load(db.dialect, "pupwasm")
	must(t, err)
	return steps
}

// upTo is what [applied] prints when the first n migrations are applied.
func (db database) upTo(t *testing.T, n int) string {
	t.Helper()
	var parts []string
	for _, step := range db.steps(t) {
		if step.Number > n {
			parts = append(parts, fmt.Sprint(-step.Number))
		} else {
			parts = append(parts, fmt.Sprint(step.Number))
		}
	}
	return strings.Join(parts, " ")
}

// all is what [applied] prints when everything is applied.
func (db database) all(t *testing.T) string { t.Helper(); return db.upTo(t, len(db.steps(t))) }

func postgresDatabase(t *testing.T) database {
	t.Helper()
	db := pgtest.Empty(t)
	return database{
		dialect: migrations.Postgres,
		open: func(t *testing.T) *sql.DB {
			t.Helper()
			return closed(t)(sql.Open("pgx", db.DSN))
		},
		table: func(schema, table string) string { return fmt.Sprintf("%q.%s", schema, table) },
		objects: `SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace)
			+ (SELECT count(*) FROM pg_proc WHERE oid >= 16384) + (SELECT count(*) FROM pg_namespace
			WHERE oid >= 16384)`,
	}
}

func sqliteDatabase(t *testing.T) database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	return database{
		dialect: migrations.SQLite,
		open: func(t *testing.T) *sql.DB {
			t.Helper()
			return closed(t)(sqlite.OpenSQL(path))
		},
		table:   func(schema, table string) string { return schema + "__" + table },
		objects: "SELECT count(*) FROM sqlite_master",
	}
}

func mariadbDatabase(t *testing.T) database {
	t.Helper()
	db := mariadbtest.Empty(t)
	return database{
		dialect: migrations.MySQL,
		open: func(t *testing.T) *sql.DB {
			t.Helper()
			return closed(t)(mysql.OpenSQL(db.URL))
		},
		table: func(schema, table string) string { return schema + "__" + table },
		objects: `SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE())
			+ (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = DATABASE())
			+ (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE())`,
	}
}

func closed(t *testing.T) func(*sql.DB, error) *sql.DB {
	return func(db *sql.DB, err error) *sql.DB {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return db
	}
}

// onEach runs a test on an empty database of each dialect.
func onEach(t *testing.T, test func(t *testing.T, db database)) {
	t.Helper()
	for name, create := range map[string]func(*testing.T) database{
		"postgres": postgresDatabase,
		"sqlite":   sqliteDatabase,
		"mariadb":  mariadbDatabase,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func migrator(t *testing.T, db database, handle *sql.DB, schema string) *migrations.Migrator {
	t.Helper()
	m, err := migrations.New(handle, db.dialect, schema)
	must(t, err)
	return m
}

// count runs a query for one number.
func count(t *testing.T, handle *sql.DB, query string) (n int) {
	t.Helper()
	must(t, handle.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// applied prints the status: "1 2" when both are applied, "1 -2" when the second is not.
func applied(t *testing.T, m *migrations.Migrator) string {
	t.Helper()
	states, err := m.Status(t.Context())
	must(t, err)
	parts := make([]string, len(states))
	for i, s := range states {
		parts[i] = fmt.Sprint(s.Number)
		if !s.Applied {
			parts[i] = "-" + parts[i]
		}
	}
	return strings.Join(parts, " ")
}
