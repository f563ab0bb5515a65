package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver that migrations use

	"github.com/pupwasm/pupwasm/migrations"
)

// Database is a fresh database of its own for one test, with the pupwasm schema in it.
type Database struct {
	DSN    string
	Schema string
	Server *Server
}

var databases atomic.Int64

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

// New creates a migrated database on the server.
func (s *Server) New(t testing.TB) Database {
	t.Helper()
	return s.Database(t).WithSchema(t, "pupwasm")
}

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
	name := fmt.Sprintf("test_%d", databases.Add(1))
	s.exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if !s.standby {
			s.exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	})
	return Database{DSN: strings.Replace(s.DSN, "/postgres?", "/"+name+"?", 1), Schema: "pupwasm", Server: s}
}

func (s *Server) exec(t testing.TB, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		t.Errorf("connecting for %q: %v", statement, err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
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
