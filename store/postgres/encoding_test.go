package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestEncoding_isUTF8WhateverTheClientsAre appends in every way, on connections that were to speak another encoding.
func TestEncoding_isUTF8WhateverTheClientsAre(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]struct{ sql, url string }{
		"url":      {url: "&client_encoding=LATIN1"},
		"options":  {url: "&options=-c%20client_encoding%3DLATIN1"},
		"database": {sql: "ALTER DATABASE %[1]s SET client_encoding = LATIN1"},
		"role": {
			sql: "CREATE ROLE %[1]s SUPERUSER LOGIN; ALTER ROLE %[1]s SET client_encoding = 'SQL_ASCII'",
			url: "&user=%[1]s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			admin := db.Connect(t)
			database := admin.Config().Database
			if setting.sql != "" {
				execute(t, admin, fmt.Sprintf(setting.sql, database))
			}
			if name == "role" {
				t.Cleanup(func() { execute(t, admin, "DROP ROLE "+database) })
				db.DSN = strings.Replace(db.DSN, "postgres@", database+"@", 1)
			} else {
				db.DSN += setting.url
			}
			s := open(t, db)
			const zoe = "Zoë 🦀"
			for _, way := range []appendFunc{s.Append, s.AppendBulk} {
				_, err := way(t.Context(), store.AppendOptions{},
					store.StreamAppend{Stream: stream(zoe), Events: events(300)})
				must(t, err)
			}
			got := query(t, admin, "SELECT DISTINCT aggregate_id FROM pupwasm.events")
			if len(got) != 1 || got[0][0] != zoe {
				t.Errorf("stored %q", got)
			}
			recorded, err := s.ReadStream(t.Context(), stream(zoe), 600, 0)
			must(t, err)
			if len(recorded) != 1 || recorded[0].AggregateID != zoe {
				t.Errorf("read %+v", recorded)
			}
			listen(t, s)
		})
	}
}

type appendFunc func(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended,
	error)

func TestAppendTx_refusesAnotherClientEncoding(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	conn := db.Connect(t)
	for encoding, wrong := range map[string]bool{"LATIN1": true, "UTF8": false} {
		execute(t, conn, "SET client_encoding = "+encoding)
		tx := begin(t, conn)
		_, err := s.AppendTx(t.Context(), tx, store.AppendOptions{},
			store.StreamAppend{Stream: stream("Zoë"), Events: events(1)})
		if wrong != (err != nil) || wrong && !strings.Contains(err.Error(), "client_encoding LATIN1") {
			t.Errorf("%s: %v", encoding, err)
		}
		end(t, tx, err == nil)
	}
	wantRows(t, db, "SELECT octet_length(aggregate_id) FROM pupwasm.events", "4")
}

func TestEncoding_ofTheServerMustBeUTF8(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			admin := db.Connect(t)
			database := admin.Config().Database + "_" + strings.ToLower(encoding)
			execute(t, admin, fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LOCALE 'C' TEMPLATE template0", database,
				encoding))
			t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+database+" WITH (FORCE)") })
			dsn := strings.Replace(db.DSN, "/"+admin.Config().Database+"?", "/"+database+"?", 1)
			want := "the database has the encoding " + encoding + ", pupwasm needs UTF8"

			handle, err := sql.Open("pgx", dsn)
			must(t, err)
			defer handle.Close()
			migrator, err := migrations.New(handle, migrations.Postgres, "pupwasm")
			must(t, err)
			if _, err := migrator.Up(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("migrating: %v", err)
			}
			script, err := migrations.Script(migrations.Postgres, "pupwasm", false)
			must(t, err)
			conn, err := pgx.Connect(t.Context(), dsn)
			must(t, err)
			defer conn.Close(context.Background())
			if _, err := conn.Exec(t.Context(), script); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the script by hand: %v", err)
			}
			s, err := postgres.OpenBackend(dsn, postgres.Options{})
			must(t, err)
			defer s.Close()
			if err := s.Ping(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("opening: %v", err)
			}
		})
	}
}
