// Package mariadbtest gives tests a private MariaDB server and a fresh database each.
//
//	func TestMain(m *testing.M) { os.Exit(mariadbtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		db := mariadbtest.New(t) // db.URL, db.Name
//	}
//
// Package mariadbserver starts the server, when the first test asks.
package mariadbtest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/migrations"
)

// Database is a fresh database of its own for one test, with the tables of pupwasm in it.
type Database struct {
	URL    string // as the superuser
	Name   string
	Server *mariadbserver.Server
}

var shared struct {
	sync.Mutex
	server *mariadbserver.Server
	err    error
}

var databases atomic.Int64

// Main runs the tests of a package and stops the server afterwards. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	Stop()
	return code
}

// Stop stops the server of this test process, if it has one.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Stop()
		shared.server = nil
	}
}

// Shared returns the server of this test process.
func Shared(t testing.TB) *mariadbserver.Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = mariadbserver.Start()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New creates a migrated database.
func New(t testing.TB) Database {
	t.Helper()
	db := Empty(t)
	db.Migrate(t, "pupwasm")
	return db
}

// Empty creates a database without any table. It and the databases of its projections are dropped when the test ends.
func Empty(t testing.TB) Database {
	t.Helper()
	return On(t, Shared(t))
}

// On is Empty on a server of the test's own.
func On(t testing.TB, server *mariadbserver.Server) Database {
	t.Helper()
	db := Database{Name: fmt.Sprintf("test_%d", databases.Add(1)), Server: server}
	db.URL = server.URL(db.Name)
	db.exec(t, "", "CREATE DATABASE "+db.Name)
	t.Cleanup(func() { db.drop(t) })
	return db
}

// Migrate makes the tables of this version with a prefix.
func (d Database) Migrate(t testing.TB, schema string) {
	t.Helper()
	handle := d.Connect(t)
	migrator, err := migrations.New(handle, migrations.MySQL, schema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Connect returns a handle on the database, as the superuser and with several statements in a text. It is closed when
// the test ends.
func (d Database) Connect(t testing.TB) *sql.DB {
	t.Helper()
	handle, err := sql.Open("mysql", d.Server.DSN(d.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = handle.Close() })
	return handle
}

// drop removes the database, those of its projections, and their roles.
func (d Database) drop(t testing.TB) {
	t.Helper()
	handle, err := sql.Open("mysql", d.Server.DSN(""))
	if err != nil {
		t.Error(err)
		return
	}
	defer handle.Close()
	escaped := strings.ReplaceAll(d.Name, "_", `\_`) + `\_\_`
	rows, err := handle.Query("SELECT CONCAT('DATABASE IF EXISTS `', schema_name, '`') FROM information_schema.schemata "+
		"WHERE schema_name = ? OR schema_name LIKE ? UNION ALL SELECT DISTINCT CONCAT('ROLE `', user, '`') FROM mysql.db "+
		"WHERE host = '' AND LEFT(db, CHAR_LENGTH(?)) = ?", d.Name, escaped+"%", escaped, escaped)
	if err != nil {
		return // the test has ended the server
	}
	var gone []string
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			t.Error(err)
		}
		gone = append(gone, what)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	_ = rows.Close()
	for _, what := range gone {
		d.exec(t, "", "DROP "+what)
	}
}

func (d Database) exec(t testing.TB, in, statement string) {
	t.Helper()
	handle, err := sql.Open("mysql", d.Server.DSN(in))
	if err != nil {
		t.Error(err)
		return
	}
	defer handle.Close()
	if _, err := handle.Exec(statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}
