package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestGrant_givesAHostThatMayDoNothingAProjectionWithARole has an administrator run what the command prints.
func TestGrant_givesAHostThatMayDoNothingAProjectionWithARole(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"pupwasm", "shop"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			host := "host_of_" + schema
			server, err := pgtest.Start() // whose roles are its own
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
			db := server.Database(t)
			mustRun(t, db.DSN, "CREATE ROLE "+host+" LOGIN")
			asHost := strings.Replace(db.DSN, "postgres@", host+"@", 1)
			run := func(dsn string, code int, args ...string) string {
				t.Helper()
				p := start(t, dsn, append(args, "--schema", schema)...)
				if got := p.wait(t); got != code {
					t.Fatalf("%v exits with %d, want %d: %s", args, got, code, p.output)
				}
				return p.output.String()
			}
			modules := t.TempDir()
			writeModule(t, modules, "user_counter.wasm", guestbuild.Example(t, guestbuild.Auto, "user_counter"))
			events := t.TempDir() + "/events.jsonl"
			write(t, events, []byte(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"UserRegistered","payload":{}}`+"\n"))
			run(db.DSN, 0, "append", events)
			mustRun(t, db.DSN, fmt.Sprintf(`GRANT USAGE ON SCHEMA %[1]s TO %[2]s; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s;
				GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s`, schema, host))

			role := schema + "__user_counter"
			said := run(asHost, 1, "run", "--once", modules, "--isolation", "role")
			if !strings.Contains(said, "there is no role "+role) || !strings.Contains(said, "'pupwasm grant user_counter'") {
				t.Errorf("without the role: %s", said)
			}
			said = run(asHost, 1, "run", "--once", modules)
			if !strings.Contains(said, "which this role may not create") {
				t.Errorf("without the role, by itself: %s", said)
			}
			sql := run(asHost, 0, "grant", "user_counter")
			mustRun(t, db.DSN, sql)
			mustRun(t, db.DSN, sql) // again, as for another database of the server
			for range 2 {
				run(asHost, 0, "run", "--once", modules, "--isolation", "role")
				place := "user_counter"
				if schema != "pupwasm" {
					place = role
				}
				wantOne(t, db, "SELECT count(*) = 1 AND bool_and(pg_get_userbyid(c.relowner) = '"+role+"') FROM pg_class c WHERE c.oid = '"+place+".users'::regclass")
				wantOne(t, db, "SELECT count(*) = 1 AND bool_and(pg_get_userbyid(c.relowner) = '"+role+"') FROM pg_class c WHERE c.oid = '"+place+"__v1.users'::regclass")
				wantOne(t, db, "SELECT count(*) = 1 FROM "+place+".users")
				run(asHost, 0, "rebuild", "user_counter", "--no-wait")
				run(asHost, 0, "run", "--once", modules, "--isolation", "role")
				run(asHost, 0, "promote", "user_counter", "1b2")
				run(asHost, 0, "retire", "user_counter", "1", "--yes")
				wantOne(t, db, "SELECT count(*) = 1 AND bool_and(pg_get_userbyid(c.relowner) = '"+role+"') FROM pg_class c WHERE c.oid = '"+place+"__v1b2.users'::regclass")
				wantOne(t, db, "SELECT count(*) = 1 FROM "+place+".users")
				run(asHost, 0, "reset", "user_counter", "--yes")
				wantOne(t, db, "SELECT count(*) = 0 FROM pg_namespace WHERE nspname LIKE '"+place+"%'")
			}
			// A later version and a build need no new grant, and nobody gets a schema but those of the projection.
			mustRun(t, asHost, "SELECT "+schema+".make_schema('user_counter', '__v2')")
			mustRun(t, asHost, "SELECT "+schema+".make_schema('user_counter', '__v2b999')")
			for _, bad := range []string{
				"'user_counter', '_v2'", "'user_counter', '__v2; DROP'", "'others', ''", "'public', ''",
				"'user_counter__v3', ''", "'pg_mine', ''", "'v1', ''", "'user_counter', '__v123456789'", "'user_counter', '__v02'",
			} {
				if err := runSQL(t, asHost, "SELECT "+schema+".make_schema("+bad+")"); err == nil {
					t.Errorf("make_schema(%s) has made one", bad)
				}
			}
			mustRun(t, db.DSN, "DROP OWNED BY "+role+"; DROP ROLE "+role)
		})
	}
}

// TestGrant_givesAHostOnMariaDBAProjectionWithARole has an administrator run what the command prints.
func TestGrant_givesAHostOnMariaDBAProjectionWithARole(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, onMariaDB)
	host := "host_of_" + db.maria.Name
	db.exec(t, "CREATE USER "+host)
	asHost := strings.Replace(db.DSN, "root@", host+"@", 1)
	run := func(dsn string, code int, args ...string) string {
		t.Helper()
		p := start(t, dsn, args...)
		if got := p.wait(t); got != code {
			t.Fatalf("%v exits with %d, want %d: %s", args, got, code, p.output)
		}
		return p.output.String()
	}
	modules := testModules(t, "two_statements")
	events := t.TempDir() + "/events.jsonl"
	write(t, events, []byte(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"UserRegistered","payload":{}}`+"\n"))
	run(db.DSN, 0, "append", events)
	db.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON "+db.maria.Name+".* TO "+host)
	said := run(asHost, 1, "run", "--once", modules)
	if !strings.Contains(said, "'pupwasm grant two_statements'") {
		t.Errorf("without the rights: %s", said)
	}
	script := run(asHost, 0, "grant", "two_statements", "--to", host)
	admin := db.maria.Connect(t) // which takes several statements in a text
	for range 2 {
		if _, err := admin.ExecContext(t.Context(), script); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
	}
	holds := func(text string) {
		t.Helper()
		so := false
		if db.one(t, text, &so); !so {
			t.Errorf("not so: %s", text)
		}
	}
	for range 2 {
		run(asHost, 0, "run", "--once", modules)
		holds("SELECT count(*) = 1 AND sum(events) = 1 FROM {two_statements}counts")
		holds(`SELECT count(*) > 0 AND min(definer LIKE 'pup%') FROM information_schema.routines
			WHERE routine_schema = '` + db.maria.Name + `__two_statements__v1'`)
		run(asHost, 0, "rebuild", "two_statements", "--no-wait")
		run(asHost, 0, "run", "--once", modules)
		run(asHost, 0, "promote", "two_statements", "1b2")
		run(asHost, 0, "retire", "two_statements", "1", "--yes")
		holds("SELECT count(*) = 1 AND sum(events) = 1 FROM {two_statements}counts")
		run(asHost, 0, "reset", "two_statements", "--yes")
		holds("SELECT count(*) = 0 FROM information_schema.schemata WHERE schema_name LIKE '" + db.maria.Name + "|_|_%' ESCAPE '|'")
	}
}

func TestGrant_refusesWhatHasNoRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ database, projection, want string }{
		{"sqlite:a.db", "fines", "has no roles"},
		{"postgres://host@localhost/shop", `fines"; DROP`, "is not a name"},
		{"postgres://host@localhost/shop", "public", "reserved name"},
	} {
		p := start(t, c.database, "grant", c.projection)
		if code := p.wait(t); code != 2 || !strings.Contains(p.output.String(), c.want) {
			t.Errorf("%s of %s: %d, %s", c.projection, c.database, code, p.output)
		}
	}
}

// runSQL runs statements as the simple protocol takes them.
func runSQL(t *testing.T, dsn, sql string) error {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql).ReadAll()
	return err
}

func mustRun(t *testing.T, dsn, sql string) {
	t.Helper()
	if err := runSQL(t, dsn, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func wantOne(t *testing.T, db pgtest.Database, sql string) {
	t.Helper()
	holds := false
	if query(t, db, sql, &holds); !holds {
		t.Errorf("not so: %s", sql)
	}
}
