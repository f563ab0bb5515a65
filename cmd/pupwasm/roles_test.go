package main_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// rolesTest is a database whose roles are those of deploy/postgres/roles.sql, and the commands that each runs.
type rolesTest struct {
	schema string
	db     pgtest.Database
	roles  string // the file
}

func newRolesTest(t *testing.T, schema string) *rolesTest {
	t.Helper()
	server, err := pgtest.Start() // whose roles are its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	file, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	return &rolesTest{schema: schema, db: server.Database(t), roles: strings.ReplaceAll(string(file), "pupwasm", schema)}
}

// as is the database as a role sees it.
func (r *rolesTest) as(role string) string {
	return strings.Replace(r.db.DSN, "postgres@", r.schema+"_"+role+"@", 1)
}

// run runs a command by a role, which exits with a code.
func (r *rolesTest) run(t *testing.T, role string, code int, args ...string) string {
	t.Helper()
	p := start(t, r.as(role), append(args, "--schema", r.schema)...)
	if got := p.wait(t); got != code {
		t.Fatalf("%v by %s exits with %d, want %d: %s", args, role, got, code, p.output)
	}
	return p.output.String()
}

// set up does what docs/deploy.md says: the roles, the tables by the migrator, the roles again, and a projection's.
func (r *rolesTest) setUp(t *testing.T) {
	t.Helper()
	mustRun(t, r.db.DSN, r.roles)
	r.run(t, "migrator", 0, "migrate", "up")
	for range 2 { // it may be run again
		mustRun(t, r.db.DSN, r.roles)
	}
	mustRun(t, r.db.DSN, r.run(t, "host", 0, "grant", "user_counter", "--to", r.schema+"_host"))
}

// TestRoles_eachDoesItsWorkAndNothingElse runs every command with just the rights of its role.
func TestRoles_eachDoesItsWorkAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"pupwasm", "store2"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			r := newRolesTest(t, schema)
			r.setUp(t)
			folder := t.TempDir()
			few, many := filepath.Join(folder, "few.jsonl"), filepath.Join(folder, "many.jsonl")
			const line = `{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"UserRegistered","payload":{}}` + "\n"
			write(t, few, []byte(line))
			write(t, many, []byte(strings.Repeat(line, 2000))) // which COPY loads
			r.run(t, "writer", 0, "append", few)
			r.run(t, "writer", 0, "append", few) // a repeat doubles nothing
			r.run(t, "writer", 0, "append", many)
			mustRun(t, r.as("writer"), "SELECT "+schema+".append('Shop', 'User', 'u2', '[{\"event_type\":\"UserRegistered\"}]', -1)")

			r.keepsSnapshots(t)
			r.sendsMessages(t)

			modules := t.TempDir()
			writeModule(t, modules, "user_counter.wasm", guestbuild.Example(t, guestbuild.Auto, "user_counter"))
			r.run(t, "host", 0, "run", "--once", modules, "--migrate=false", "--isolation", "role")
			host := start(t, r.as("host"), "run", modules, "--isolation", "role", "--schema", schema)
			host.awaitLog(t, "caught up")
			r.run(t, "writer", 0, "append", many, "--batch", "100")

			if said := r.run(t, "reader", 0, "wait", "user_counter"); strings.Contains(said, "denied") {
				t.Errorf("wait: %s", said)
			}
			if said := r.run(t, "reader", 0, "events", "--limit", "1"); !strings.Contains(said, "UserRegistered") {
				t.Errorf("events: %s", said)
			}
			r.run(t, "reader", 0, "stream", "u1")
			r.run(t, "reader", 0, "status", "--check")
			r.run(t, "reader", 0, "parked", "list")
			elsewhere := start(t, "sqlite:"+filepath.Join(folder, "rows.db"), "run", modules, "--events", r.as("follower"),
				"--schema", schema)
			elsewhere.awaitLog(t, "caught up")
			testwait.Until(t, "the follower listens", func() bool {
				var listening bool
				query(t, r.db, "SELECT count(*) = 2 FROM "+schema+".listeners", &listening)
				return listening
			})
			if strings.Contains(host.output.String()+elsewhere.output.String(), "denied") {
				t.Errorf("a host is denied something: %s\n%s", host.output, elsewhere.output)
			}
			r.forbids(t)
		})
	}
}

// keepsSnapshots does what an application does with aggregates: the writer keeps snapshots, and the reader reads them.
func (r *rolesTest) keepsSnapshots(t *testing.T) {
	t.Helper()
	open := func(role string) *postgres.Store {
		s, err := postgres.Open(r.as(role), postgres.Options{Schema: r.schema, Lazy: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	writer := open("writer")
	of := store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u3"}
	for state, expected := range []store.Expected{store.NoStream(), store.Exact(1)} { // the second one replaces the first
		appended, err := writer.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: of, Expected: expected, Events: []store.Event{{Type: "UserRegistered", Payload: []byte("{}")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		saved, err := writer.SaveSnapshot(t.Context(), store.Snapshot{
			Stream: of, AggregateVersion: appended[0].AggregateVersion, EventID: appended[0].ID, SchemaVersion: 1,
			State: []byte{byte(state)},
		})
		if err != nil || !saved {
			t.Fatalf("a writer keeps a snapshot: %t, %v", saved, err)
		}
	}
	if snapshot, err := open("reader").LoadSnapshot(t.Context(), of, 1); err != nil || string(snapshot.State) != "\x01" {
		t.Fatalf("a reader has %+v, %v", snapshot, err)
	}
}

// sendsMessages does what a host does with messages that wait, and what a reader sees of them.
func (r *rolesTest) sendsMessages(t *testing.T) {
	t.Helper()
	outbox := func(role string) store.Outbox {
		s, err := postgres.Open(r.as(role), postgres.Options{Schema: r.schema, Lazy: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s.Backend().(store.Outbox)
	}
	mustRun(t, r.db.DSN, strings.ReplaceAll(`INSERT INTO {s}.outbox_sent SELECT 'mail', 0, 4294967295, 0, id, '', true
		FROM {s}.log; INSERT INTO {s}.outbox (projection, position, n, version, type, subject, key, spread, content_type, data,
		trace_parent, event_at, held) SELECT 'mail', g, 0, 1, 'sent', 'mail.sent', '', 0, 'text/plain', '', '', now(), false
		FROM generate_series(1, 3) g`, "{s}", r.schema))
	host, reader, ctx := outbox("host"), outbox("reader"), t.Context()
	id := func(position int64) store.OutboxID {
		return store.OutboxID{MessageID: store.MessageID{Projection: "mail", Version: 1, Position: position}}
	}
	for _, step := range []struct { // in this order: no key may be failed at the end, or status --check says so
		name string
		try  func() error
	}{
		{"claim", func() error { _, err := host.ClaimRelays(ctx, store.Worker{Name: "w"}, nil, "stdout"); return err }},
		{"leave", func() error { return host.ReleaseRelays(ctx, store.Worker{Name: "w"}, []string{"mail"}) }},
		{"ask", func() error { _, err := host.Pending(ctx, "mail", 9, 9); return err }},
		{"send", func() error { return host.Sent(ctx, []store.OutboxID{id(1)}, true) }},
		{"fail", func() error { return host.Undelivered(ctx, []store.Undelivered{{OutboxID: id(2)}}) }},
		{"again", func() error { _, err := host.Resend(ctx, store.MessagesRequest{}); return err }},
		{"skip", func() error { return host.SkipMessage(ctx, id(2).MessageID) }},
		{"delete", func() error { _, err := host.DeleteSent(ctx, "mail", 0); return err }},
		{"look", func() error { _, err := reader.OutboxStatus(ctx); return err }},
		{"list", func() error { _, err := reader.Messages(ctx, store.MessagesRequest{}); return err }},
	} {
		if err := step.try(); err != nil {
			t.Errorf("a role may not %s: %v", step.name, err)
		}
	}
}

// forbids tries what no role but its own may do. {s} is the schema, {p} that of the projection.
func (r *rolesTest) forbids(t *testing.T) {
	t.Helper()
	const (
		insert    = "INSERT INTO {s}.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload) VALUES ('a', 'b', 'c', 1, 'd', '')"
		move      = "UPDATE {s}.segments SET position = 0"
		park      = "DELETE FROM {s}.parked"
		erase     = "DELETE FROM {s}.events"
		change    = "UPDATE {s}.events SET payload = ''"
		empty     = "TRUNCATE {s}.events CASCADE"
		table     = "CREATE TABLE {s}.mine ()"
		schema    = "CREATE SCHEMA mine"
		role      = "CREATE ROLE mine"
		place     = "SELECT {s}.make_schema('user_counter', '__v9')"
		drop      = "DROP TABLE {s}.streams CASCADE"
		trigger   = "ALTER TABLE {s}.events DISABLE TRIGGER ALL"
		payload   = "SELECT payload FROM {s}.events"
		metadata  = "SELECT metadata FROM {s}.events"
		rows      = "SELECT * FROM {p}.users"
		rewrite   = "UPDATE {p}__v1.users SET user_id = 'x'"
		state     = "SELECT * FROM {s}.segments"
		arm       = "SELECT {s}.arm('me', '1 hour', false)"
		sequence  = "SELECT setval('{s}.events_global_position_seq', 1)"
		migration = "UPDATE {s}.migration SET version = 0"
		secret    = "SELECT state FROM {s}.snapshots"
		snapshot  = "UPDATE {s}.snapshots SET state = ''"
		forget    = "DELETE FROM {s}.snapshots"
		message   = "SELECT data FROM {s}.outbox"
		silence   = "DELETE FROM {s}.outbox"
	)
	projection := "user_counter"
	if r.schema != "pupwasm" {
		projection = r.schema + "__user_counter"
	}
	for as, statements := range map[string][]string{
		"writer": {
			move, park, erase, change, empty, table, schema, role, place, drop, trigger, payload, metadata, rows, rewrite, state,
			arm, sequence, migration, secret, forget, message, silence,
		},
		"host":     {insert, erase, change, empty, table, schema, role, drop, trigger, sequence, migration, secret, snapshot, forget},
		"reader":   {insert, move, park, erase, change, empty, table, schema, role, place, drop, trigger, rows, rewrite, arm, sequence, migration, snapshot, forget, silence},
		"follower": {insert, move, park, erase, change, empty, table, schema, role, place, drop, trigger, rows, rewrite, sequence, migration, secret, snapshot, forget, message, silence},
		// The migrator owns the tables. It makes schemas for projections, and no roles.
		"migrator": {role, "CREATE DATABASE mine", "SELECT pg_read_file('/etc/passwd')"},
	} {
		for _, statement := range statements {
			sql := strings.NewReplacer("{s}", r.schema, "{p}", projection).Replace(statement)
			if err := runSQL(t, r.as(as), sql); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s may: %s (%v)", as, sql, err)
			}
		}
	}
	// What readers are granted on a projection's views is all that they need.
	mustRun(t, r.db.DSN, "GRANT USAGE ON SCHEMA "+projection+" TO "+r.schema+"_reader; GRANT SELECT ON ALL TABLES IN SCHEMA "+
		projection+" TO "+r.schema+"_reader")
	mustRun(t, r.as("reader"), strings.ReplaceAll(rows, "{p}", projection))
}

// TestRoles_asComposeSetsThemUp runs what the database of deploy/compose.yaml runs when it is made, and then its hosts.
func TestRoles_asComposeSetsThemUp(t *testing.T) {
	t.Parallel()
	r := newRolesTest(t, "pupwasm")
	psql := r.db.Server.Tool("psql")
	if psql == "" {
		t.Skip("psql is not installed")
	}
	mustRun(t, r.db.DSN, "CREATE DATABASE shop")
	at, err := url.Parse(r.db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	at.Path = "/shop"
	r.db.DSN = at.String()
	script, err := os.ReadFile("../../deploy/compose/passwords.sh")
	if err != nil {
		t.Fatal(err)
	}
	roles, err := filepath.Abs("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-c", strings.ReplaceAll(string(script), "/roles/roles.sql", roles))
	command.Env = append(os.Environ(), "PATH="+filepath.Dir(psql)+":"+os.Getenv("PATH"), "PGHOST=127.0.0.1",
		"PGPORT="+strconv.Itoa(r.db.Server.Port), "PUPWASM_PASSWORD=it's secret")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.run(t, "migrator", 0, "migrate", "up")
	mustRun(t, r.db.DSN, r.roles)
	appendRegistrations(t, r.as("writer"))
	modules := modulesFolder(t, "user_counter")
	r.run(t, "host", 0, "run", "--once", modules, "--migrate=false", "--isolation", "none")
	wantOne(t, r.db, "SELECT count(*) = 3 FROM user_counter.users")
	wantOne(t, r.db, "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256%') FROM pg_authid WHERE rolname LIKE 'pupwasm\\_%'")
}

// TestRoles_aRightTooManyIsTaken runs the file over a database in which somebody has been generous.
func TestRoles_aRightTooManyIsTaken(t *testing.T) {
	t.Parallel()
	r := newRolesTest(t, "pupwasm")
	r.setUp(t)
	mustRun(t, r.db.DSN, "GRANT ALL ON ALL TABLES IN SCHEMA pupwasm TO pupwasm_writer, pupwasm_reader")
	mustRun(t, r.as("writer"), "SELECT payload FROM pupwasm.events")
	mustRun(t, r.db.DSN, r.roles)
	for _, role := range []string{"writer", "reader"} {
		if err := runSQL(t, r.as(role), "UPDATE pupwasm.segments SET position = 0"); err == nil {
			t.Errorf("the %s may still write", role)
		}
	}
}
