package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func openIsolated(t *testing.T, db pgtest.Database, isolation postgres.Isolation) postgres.Backend {
	t.Helper()
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{Schema: db.Schema, Lazy: true, Isolation: isolation})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestIsolation_aProjectionsRoleOwnsItsSchemaAndNothingElse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openIsolated(t, db, postgres.IsolationRole)
	p := sums()
	p.Views = []store.View{{Name: "shown", SQL: anySQL("SELECT name FROM {total}")}}
	for range 2 {
		_, err := s.Install(t.Context(), p, 1)
		must(t, err)
	}
	wantRows(t, db, `SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles
		WHERE rolname = 'pupwasm__sums'`, "f f f f")
	wantRows(t, db, `SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relowner = 'pupwasm__sums'::regrole AND n.nspname !~ '^pg_toast' ORDER BY 1`, "sums;sums__v1")
	wantRows(t, db, `SELECT count(*) FROM pg_class WHERE relnamespace IN ('sums'::regnamespace, 'sums__v1'::regnamespace)
		AND relowner <> 'pupwasm__sums'::regrole`, "0")
	wantRows(t, db, `SELECT nspname FROM pg_namespace WHERE nspowner = 'pupwasm__sums'::regrole ORDER BY 1`,
		"sums;sums__v1")
	wantRows(t, db, `SELECT bool_and(prosecdef AND proowner = 'pupwasm__sums'::regrole
		AND NOT has_function_privilege('public', oid, 'EXECUTE'))
		FROM pg_proc WHERE pronamespace = 'sums__v1'::regnamespace`, "t")
	wantRows(t, db, `SELECT has_schema_privilege('pupwasm__sums', 'pupwasm', 'USAGE')`, "f")
}

// TestIsolation_theRoleHoldsWithoutTheChecks takes all checks off the SQL of a module. What it tries then ends in
// its own schema.
func TestIsolation_theRoleHoldsWithoutTheChecks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin := db.Connect(t)
	execute(t, admin, neighbours+`; INSERT INTO public.secrets VALUES ('kept', 7)`)
	s := openIsolated(t, db, postgres.IsolationRole)
	s.ChecksOff()
	appendOne(t, s, "a")
	appendOne(t, s, "a")
	fillOutbox(t, db, 0, 1, 1)
	const robbery = `WITH gone AS (DELETE FROM public.secrets RETURNING id, n) INSERT INTO {other} SELECT id, n
		FROM gone`
	const evil = `CREATE FUNCTION guest__v1.evil() RETURNS trigger LANGUAGE plpgsql
		AS 'BEGIN DELETE FROM public.secrets; RETURN NEW; END'`
	attacks := map[string][]string{
		"another table":             {robbery},
		"another table, read":       {`INSERT INTO {other} SELECT id, n FROM public.secrets`},
		"the checkpoints":           {`UPDATE pupwasm.segments SET position = 0`},
		"the events":                {`DELETE FROM pupwasm.events`},
		"the messages":              {`UPDATE pupwasm.outbox SET data = ''`},
		"the messages, all gone":    {`DELETE FROM pupwasm.outbox`},
		"the messages, by function": {`SELECT pupwasm.skip_message('sums', 1, 1, 0)`},
		"another's message": {`SELECT pupwasm.put_messages('sums', 1, ARRAY[9], ARRAY[0], ARRAY['t'], ARRAY['s'],
			ARRAY[''::bytea], ARRAY[0], ARRAY['text/plain'], ARRAY[''::bytea], ARRAY[''], ARRAY[now()])`},
		"what was sent":             {`DELETE FROM pupwasm.outbox_sent`},
		"a role by set_config":      {`SELECT set_config('role', 'postgres', false)`, robbery},
		"a role of the session":     {`SELECT set_config('session_authorization', 'postgres', false)`, robbery},
		"SET ROLE":                  {`SET ROLE postgres`, robbery},
		"RESET ROLE":                {`RESET ROLE`, robbery},
		"RESET ROLE behind a query": {`SELECT 1; RESET ROLE`, robbery},
		"a function's end":          {`SELECT 1; END; RESET ROLE; SELECT 1`, robbery},
		"a quote":                   {"SELECT ''" + "'; RESET ROLE; --'", robbery},
		"a block":                   {`DO 'BEGIN RESET ROLE; DELETE FROM public.secrets; END'`, robbery},
		"a trigger at the end": {
			evil, `CREATE CONSTRAINT TRIGGER t AFTER INSERT
			ON guest__v1.other DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION guest__v1.evil()`,
			`INSERT INTO {other} VALUES ('a', 1)`,
		},
		"a table dropped": {`DROP TABLE public.secrets`},
		"a program":       {`COPY public.secrets TO PROGRAM 'touch /tmp/pupwasm_hostile'`},
		"a file":          {`INSERT INTO {other} VALUES (pg_read_file('/etc/passwd'), 1)`},
		"a large object":  {`INSERT INTO {other} VALUES (lo_import('/etc/passwd')::text, 1)`},
		"passwords": {`INSERT INTO {other} SELECT rolname || coalesce(rolpassword, ''), 1
			FROM pg_authid`},
		"other sessions": {`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE usename = 'postgres'`},
		"a query in a text": {`SELECT query_to_xml('SELECT * FROM public.secrets', true, true, '')`},
		"a right":           {`GRANT postgres TO pupwasm__guest`, robbery},
		"a member":          {`ALTER ROLE pupwasm__guest SUPERUSER`, robbery},
		"a function of another's": {`CREATE OR REPLACE FUNCTION public.innocent(text) RETURNS text LANGUAGE sql
			AS 'SELECT $1'`},
		"a search path":            {`SELECT set_config('search_path', 'guest__v1, pg_catalog', false)`, robbery},
		"a search path that stays": {`SELECT set_config('search_path', 'guest__v1, pg_catalog', false)`},
		"a setting that stays": {`SELECT set_config('statement_timeout', '1', false),
			set_config('pupwasm.notify', 'off', false)`},
		"a lock that stays":            {`SELECT pg_advisory_lock(1)`},
		"a lock that a rollback keeps": {`SELECT pg_advisory_lock(1)`, `INSERT INTO {other} SELECT 'a', 1 / 0`},
		"an end of the transaction":    {`COMMIT`, robbery},
		"a table of the host's schema": {`CREATE TABLE pupwasm.mine (id text)`},
		"a place for temporary tables": {`CREATE TEMP TABLE secrets (id text)`, robbery},
	}
	computed := map[string]string{
		"a role":               `set_config('role', 'postgres', false) IS NOT NULL`,
		"a file":               `pg_read_file('/etc/passwd') IS NOT NULL`,
		"another table":        `EXISTS (SELECT FROM public.secrets)`,
		"a default":            `true) STORED, more text DEFAULT (set_config('role', 'postgres', false)`,
		"another statement":    `true) STORED); DROP TABLE public.secrets; --`,
		"other sessions":       `pg_terminate_backend(1)`,
		"a foreign key":        `true), FOREIGN KEY (id) REFERENCES public.secrets (id`,
		"a query in a text":    `query_to_xml('SELECT * FROM public.secrets', true, true, '') IS NOT NULL`,
		"a search path":        `set_config('search_path', 'guest__v1, pg_catalog', false) IS NOT NULL`,
		"a lock that stays":    `pg_try_advisory_lock(1)`,
		"the host's own table": `(SELECT count(*) FROM pupwasm.events) > 0`,
	}
	const state = `SELECT concat_ws(';', (SELECT string_agg(name || '=' || setting, ',' ORDER BY name)
		FROM pg_settings WHERE source = 'session'),
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))`
	kept := func(name string) {
		t.Helper()
		left, err := s.InSessions(t.Context(), state)
		must(t, err)
		if len(left) == 0 || slices.ContainsFunc(left, func(state string) bool { return state != "0" }) {
			t.Fatalf("%s left %q in the sessions", name, left)
		}
		var whole bool
		must(t, admin.QueryRow(t.Context(), `SELECT (SELECT array_agg(id || n)
			FROM public.secrets) = ARRAY['kept7'] AND (SELECT count(*) FROM pupwasm.events) = 2
			AND (SELECT array_agg(octet_length(data)) FROM pupwasm.outbox) = ARRAY[35]
			AND NOT EXISTS (SELECT FROM pg_class WHERE relname = 'mine') AND NOT EXISTS (SELECT FROM pg_proc
			WHERE proname = 'evil')
			AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'pupwasm__guest' AND (r.rolsuper
			OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid)))`).Scan(&whole))
		if !whole {
			t.Fatalf("%s got out", name)
		}
	}
	attack := func(name string, p *store.Projection) {
		t.Helper()
		catalogue, err := s.Install(t.Context(), p, 1)
		if err == nil {
			err = commitOnce(t, s, catalogue, p)
		}
		t.Logf("%s: %v", name, err)
		kept(name)
		if err := s.Reset(t.Context(), p.Name); err != nil {
			execute(t, admin, "DROP SCHEMA IF EXISTS guest, guest__v1 CASCADE") // the projection was not installed
		}
	}
	for name, statements := range attacks {
		p := subject("guest")
		p.Writes = nil
		for n, sql := range statements {
			p.Writes = append(p.Writes, store.Write{Name: fmt.Sprint("w", n), SQL: anySQL(sql)})
		}
		attack("writes: "+name, p)
		p = subject("guest")
		p.Queries = []store.Query{{Name: "q", SQL: anySQL(statements[0]), Results: []store.Type{typed("text")}}}
		attack("a query: "+name, p)
	}
	for name, sql := range computed {
		p := subject("guest")
		p.Tables[0].Checks = []store.Check{{Name: "made", SQL: anySQL(sql)}}
		p.Writes = []store.Write{{Name: "put", Action: store.InsertIgnore, Table: "row"}}
		attack("a check: "+name, p)
		p = subject("guest")
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
			Name: "made", Type: typed("bool"),
			Generated: anySQL(sql),
		})
		p.Writes = []store.Write{{Name: "put", Action: store.InsertIgnore, Table: "row"}}
		attack("a column: "+name, p)
	}
}

// commitOnce applies one row of every write, and runs every query.
func commitOnce(t *testing.T, s postgres.Backend, catalogue store.Catalogue, p *store.Projection) error {
	t.Helper()
	ctx := t.Context()
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute))
	defer func() { must(t, s.Leave(ctx, store.Worker{Name: "w"})) }()
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
	must(t, err)
	unit := catalogue.Begin(claims[0])
	defer unit.Rollback()
	for n := range p.Queries {
		var rows store.Rows
		if err := unit.Query(ctx, n, nil, &rows); err != nil {
			return err
		}
	}
	var steps []store.Step
	for n, w := range p.Writes {
		step := store.Step{Write: n, Count: 1}
		if w.SQL == nil {
			step.Width, step.Values = 1, []store.Value{store.Text("a")}
		}
		steps = append(steps, step)
	}
	return unit.Commit(ctx, store.Commit{Through: 1, Steps: steps, Log: claims[0].Applied.Log})
}

// TestIsolation_tablesOfBeforeAreHandedOver has a projection of a host without roles get one, with its rows.
func TestIsolation_tablesOfBeforeAreHandedOver(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := sums()
	p.Views = []store.View{{Name: "shown", SQL: anySQL("SELECT name FROM {total}")}}
	plain := openIsolated(t, db, postgres.IsolationNone)
	appendOne(t, plain, "a")
	_, err := plain.Install(t.Context(), p, 1)
	must(t, err)
	execute(t, db.Connect(t), "INSERT INTO "+sumsTotal+" (name, n) VALUES ('a', 1)")
	wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace IN ('sums'::regnamespace, 'sums__v1'::regnamespace) AND "+
		"pg_get_userbyid(relowner) = 'pupwasm__sums'", "0")
	isolated := openIsolated(t, db, postgres.IsolationAuto)
	_, err = isolated.Install(t.Context(), p, 1)
	must(t, err)
	wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace IN ('sums'::regnamespace, 'sums__v1'::regnamespace) AND "+
		"pg_get_userbyid(relowner) <> 'pupwasm__sums'", "0")
	wantRows(t, db, "SELECT name, n FROM sums.total", "a 1")
	_, err = plain.Install(t.Context(), p, 1) // a host of before goes on
	must(t, err)
	must(t, isolated.Reset(t.Context(), "sums"))
	wantRows(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sums%'", "0")
}

// TestIsolation_aRoleWithRightsOfItsOwnIsNotUsed has somebody else's role under the name.
func TestIsolation_aRoleWithRightsOfItsOwnIsNotUsed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin := db.Connect(t)
	for name, options := range map[string]string{
		"login": "LOGIN", "maker": "CREATEROLE",
		"member": "IN ROLE pg_read_all_data",
	} {
		p := sums()
		p.Name = "taken_" + name
		execute(t, admin, "CREATE ROLE pupwasm__"+p.Name+" "+options)
		t.Cleanup(func() { execute(t, db.Connect(t), "DROP ROLE pupwasm__"+p.Name) })
		_, err := openIsolated(t, db, postgres.IsolationRole).Install(t.Context(), p, 1)
		var fault *store.CatalogueError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(),
			"has rights of its own, or is a member of other roles") ||
			!strings.Contains(err.Error(), fmt.Sprintf("GrantSQL(%q)", p.Name)) {
			t.Errorf("%s: %v", name, err)
		}
		_, err = openIsolated(t, db, postgres.IsolationAuto).Install(t.Context(), p, 1)
		must(t, err)
		wantRows(t, db, "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE "+
			"r.rolname = 'pupwasm__"+p.Name+"'", "0")
		wantRows(t, db, "SELECT pg_get_userbyid(nspowner) = 'pupwasm__"+p.Name+"' FROM pg_namespace WHERE nspname LIKE '"+
			p.Name+"%'", "f;f")
	}
}

// TestIsolation_aSchemaThatSomebodyHasMadeIsLeftAlone has one that is empty today.
func TestIsolation_aSchemaThatSomebodyHasMadeIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin := db.Connect(t)
	for _, schema := range []string{"sums", "sums__v1"} {
		execute(t, admin, "CREATE SCHEMA "+schema)
		for _, isolation := range []postgres.Isolation{
			postgres.IsolationNone, postgres.IsolationAuto,
			postgres.IsolationRole,
		} {
			_, err := openIsolated(t, db, isolation).Install(t.Context(), sums(), 1)
			var fault *store.CatalogueError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(),
				"the database has a schema "+schema+" that is not the projection's") {
				t.Errorf("%s: %v", isolation, err)
			}
		}
		wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace = '"+schema+"'::regnamespace", "0")
		execute(t, admin, "DROP SCHEMA "+schema)
	}
}
