package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// The kinds of databases that tests range over.
const (
	onPostgres = "postgres"
	onSQLite   = "sqlite"
	onMariaDB  = "mariadb"
)

// database is an empty database of a kind.
type database struct {
	pgtest.Database // has the DSN on the other kinds too, and nothing else there

	kind  string
	maria mariadbtest.Database
	path  string
}

// newDatabase makes one without tables.
func newDatabase(t *testing.T, kind string) database {
	t.Helper()
	switch kind {
	case onPostgres:
		return postgresDatabase(pgtest.Empty(t))
	case onMariaDB:
		return mariaDatabase(mariadbtest.Empty(t))
	}
	path := filepath.Join(t.TempDir(), "events.db")
	return database{Database: pgtest.Database{DSN: "sqlite:" + path}, kind: onSQLite, path: path}
}

func postgresDatabase(db pgtest.Database) database { return database{Database: db, kind: onPostgres} }

func mariaDatabase(db mariadbtest.Database) database {
	return database{Database: pgtest.Database{DSN: db.URL, Schema: "pupwasm"}, kind: onMariaDB, maria: db}
}

var named = regexp.MustCompile(`\{(\w+)\}`)

// names puts the names of tables into a statement: {own}events is a table of pupwasm's own, {fine_balance}fines one that
// readers know.
func (d database) names(text string) string {
	return named.ReplaceAllStringFunc(text, func(name string) string {
		name = strings.Trim(name, "{}")
		own := name == "own"
		if own {
			name = "pupwasm"
		}
		switch {
		case d.kind == onPostgres:
			return name + "."
		case d.kind == onMariaDB && !own:
			return d.maria.Name + "__" + name + "."
		}
		return name + "__"
	})
}

// table is the name of a table that readers know, quoted.
func (d database) table(projection, table string) string {
	switch d.kind {
	case onPostgres:
		return projection + `."` + table + `"`
	case onMariaDB:
		return d.names("{"+projection+"}") + "`" + table + "`"
	}
	return projection + "__" + table
}

// beginAfter makes the log, which is empty, begin after a position.
func (d database) beginAfter(t *testing.T, position int64) {
	t.Helper()
	switch d.kind {
	case onPostgres:
		d.BeginAfter(t, position)
	case onMariaDB:
		d.exec(t, fmt.Sprintf("ALTER TABLE {own}events AUTO_INCREMENT = %d", position+1))
	default:
		beginAfter(t, d.path, position)
	}
}

// handle opens the database for SQL. Each statement has a connection of its own, so that none is lost with a server.
func (d database) handle(t *testing.T) *sql.DB {
	t.Helper()
	var handle *sql.DB
	var err error
	switch d.kind {
	case onPostgres:
		handle, err = sql.Open("pgx", d.DSN)
	case onMariaDB:
		handle, err = mysql.OpenSQL(d.DSN)
	default:
		handle, err = sqlite.OpenSQL(d.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxIdleConns(0)
	t.Cleanup(func() { handle.Close() })
	return handle
}

// one reads one row. See names.
func (d database) one(t *testing.T, text string, into ...any) {
	t.Helper()
	text = d.names(text)
	if err := d.handle(t).QueryRowContext(t.Context(), text).Scan(into...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// each reads rows, after each of which it calls do. See names.
func (d database) each(t *testing.T, text string, do func(), into ...any) {
	t.Helper()
	text = d.names(text)
	rows, err := d.handle(t).QueryContext(context.WithoutCancel(t.Context()), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		do()
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// exec runs a statement. See names.
func (d database) exec(t *testing.T, text string) {
	t.Helper()
	text = d.names(text)
	if _, err := d.handle(t).ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// applicationStore is what these tests use of a store on a server.
type applicationStore interface {
	store.Appender
	Backend() store.Store
	Close()
}

// open opens the store of a server. It is closed when the test ends.
func (d database) open(t *testing.T) applicationStore {
	t.Helper()
	if d.kind == onPostgres {
		return openPostgres(t, d.Database)
	}
	s, err := mysql.Open(d.DSN, mysql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
