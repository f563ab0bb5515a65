package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver that migrations use

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
)

// Database is a fresh database of its own for one test, with the pupwasm schema in it.
type Database struct {
	DSN    string
	Schema string
	Server *Server
}

var databases atomic.Int64

var logsBegin int64

// LogsBeginAfter makes the log of every migrated database begin after a position: where a number of 32 bits, or one
// that went through a float, is wrong after a few events. TestMain calls it before the tests.
func LogsBeginAfter(position int64) { logsBegin = position }

// At is the n-th position of such a log.
func At(n int64) int64 { return logsBegin + n }

// Empty creates a database without any table.
func Empty(t testing.TB) Database {
	t.Helper()
	return Shared(t).Database(t)
}

// New creates a migrated database.
func New(t testing.TB) Database {
	t.Helper()
	return Shared(t).New(t)
}

// New creates a migrated database on the server: a copy of one that was migrated once, with a log of its own.
func (s *Server) New(t testing.TB) Database {
	t.Helper()
	s.migrated.Do(func() {
		s.exec(t, "CREATE DATABASE "+migrated)
		s.named(migrated).WithSchema(t, "pupwasm").BeginAfter(t, logsBegin)
	})
	name := nextName()
	s.exec(t, "CREATE DATABASE "+name+" TEMPLATE "+migrated+s.Copying)
	s.dropAtTheEnd(t, name)
	db := s.named(name)
	db.exec(t, "UPDATE pupwasm.log SET id = gen_random_uuid()")
	return db
}

// migrated is the database that others are copies of.
const migrated = "migrated"

// WithSchema adds a migrated schema and returns the database with it.
func (d Database) WithSchema(t testing.TB, schema string) Database {
	t.Helper()
	db := Database{DSN: d.DSN, Schema: schema, Server: d.Server}
	handle, err := sql.Open("pgx", db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	migrator, err := migrations.New(handle, migrations.Postgres, db.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Database creates a database on the server and drops it when the test ends.
func (s *Server) Database(t testing.TB) Database {
	t.Helper()
	name := nextName()
	s.exec(t, "CREATE DATABASE "+name+s.Copying)
	s.dropAtTheEnd(t, name)
	return s.named(name)
}

func nextName() string { return fmt.Sprintf("test_%d", databases.Add(1)) }

func (s *Server) named(name string) Database {
	return Database{DSN: strings.Replace(s.DSN, "/postgres?", "/"+name+"?", 1), Schema: "pupwasm", Server: s}
}

func (s *Server) dropAtTheEnd(t testing.TB, name string) {
	t.Helper()
	t.Cleanup(func() {
		if !s.standby {
			s.exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	})
}

func (s *Server) exec(t testing.TB, statement string) {
	t.Helper()
	s.named("postgres").exec(t, statement)
}

func (d Database) exec(t testing.TB, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.DSN)
	if err != nil {
		t.Errorf("connecting for %q: %v", statement, err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// ReadOnly makes every transaction of the server that begins from now on read-only, as a failover may, or ends that. It
// returns when new transactions notice.
func (s *Server) ReadOnly(t testing.TB, on bool) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		t.Errorf("connecting: %v", err)
		return
	}
	defer conn.Close(ctx)
	// ALTER SYSTEM itself is no write to a table, and runs in a read-only session too.
	if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER SYSTEM SET default_transaction_read_only = %t", on)); err != nil {
		t.Errorf("changing the setting: %v", err)
		return
	}
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		t.Errorf("reloading the settings: %v", err)
		return
	}
	for now := !on; now != on; {
		setting := conn.QueryRow(ctx, "SELECT current_setting('default_transaction_read_only')::boolean")
		if err := setting.Scan(&now); err != nil {
			t.Errorf("reading the setting: %v", err)
			return
		}
	}
}

// Socket returns the database's DSN over the server's Unix socket.
func (d Database) Socket() string {
	host := fmt.Sprintf("@127.0.0.1:%d/", d.Server.Port)
	return strings.Replace(d.DSN, host, "@/", 1) +
		fmt.Sprintf("&host=%s&port=%d", url.QueryEscape(d.Server.Folder), d.Server.Port)
}

// Connect opens a connection that closes when the test ends.
func (d Database) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// BeginAfter makes the log of the database, which is empty, begin after a position, as if so many events had come and
// gone.
func (d Database) BeginAfter(t testing.TB, position int64) {
	t.Helper()
	if position == 0 {
		return
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SELECT setval($1, $2)", d.Schema+".events_global_position_seq", position); err != nil {
		t.Fatal(err)
	}
}

// Table is the quoted name of a projection's table itself, beside the default schema: for tests that write it, lock
// it or change it. Readers use the plain name.
func Table(projection string, version int, table string) string {
	place := store.PlaceOf(store.DefaultSchema, store.ProjectionID{Name: projection, Version: version})
	return pgx.Identifier{place.Tables, table}.Sanitize()
}
