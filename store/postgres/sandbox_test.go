package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func typed(name string) store.Type {
	t, err := store.ParseType(name)
	if err != nil {
		panic(err)
	}
	return t
}

func anySQL(text string) store.Statement { return store.Statement{store.DialectAny: text} }

// subject is a projection with a table of every usual type and room for one statement.
func subject(name string) *store.Projection {
	return &store.Projection{
		Name: name, Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "row", Key: []string{"id"}, Columns: []store.Column{
				{Name: "id", Type: typed("text")},
				{Name: "n", Type: typed("i64")},
				{Name: "amount", Type: typed("numeric")},
				{Name: "at", Type: typed("timestamptz")},
				{Name: "data", Type: typed("json")},
				{Name: "tags", Type: typed("text[]")},
			}},
			{Name: "other", Columns: []store.Column{
				{Name: "id", Type: typed("text")},
				{Name: "n", Type: typed("i64")},
			}},
		},
	}
}

// neighbours puts things into a database that a projection has no business with.
const neighbours = `
	CREATE TABLE public.secrets (id text PRIMARY KEY, n bigint);
	CREATE VIEW public.window AS SELECT * FROM public.secrets;
	CREATE SEQUENCE public.counter;
	CREATE FUNCTION public.innocent(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
	CREATE FUNCTION pg_catalog.smuggled(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
	CREATE PROCEDURE public.procedure() LANGUAGE sql AS 'DELETE FROM public.secrets';
	CREATE AGGREGATE public.collect(text) (sfunc = textcat, stype = text);
	CREATE DOMAIN public.stamp AS timestamptz DEFAULT now();
	CREATE TYPE public.mood AS ENUM ('happy', 'sad');
	CREATE FUNCTION public.below(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
	CREATE OPERATOR public.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = public.below);
	CREATE SCHEMA others; CREATE TABLE others.row (id text PRIMARY KEY, n bigint)`

// openWithoutRoles opens a store whose projections have no role of their own.
func openWithoutRoles(t *testing.T, db pgtest.Database) postgres.Backend {
	t.Helper()
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{
		Schema: db.Schema, Lazy: true,
		Isolation: postgres.IsolationNone,
	})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestSandbox_refusesWhatReachesBeyondTheProjection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	execute(t, db.Connect(t), "SET allow_system_table_mods = on;"+neighbours)
	s := open(t, db)
	cases := []struct{ name, sql, words string }{
		{"another schema's table", `DELETE FROM public.secrets`, "public.secrets"},
		{"another schema's table, read", `INSERT INTO {other} SELECT id, n FROM public.secrets`, "public.secrets"},
		{"a table by search path", `DELETE FROM secrets`, "secrets"},
		{"a table of the same name elsewhere", `DELETE FROM others.row`, `others."row"`},
		{"a view", `INSERT INTO {other} SELECT id, n FROM public.window`, `public."window"`},
		{"the events", `INSERT INTO {other} SELECT event_type, 1 FROM pupwasm.events`, "pupwasm.events"},
		{"the checkpoints", `UPDATE pupwasm.segments SET position = 0`, "pupwasm.segments"},
		{"passwords", `INSERT INTO {other} SELECT rolname, 1 FROM pg_authid`, "pg_authid"},
		{"the catalogue", `INSERT INTO {other} SELECT relname::text, 1 FROM pg_catalog.pg_class`, "pg_class"},
		{
			"the information schema", `INSERT INTO {other} SELECT table_name::text, 1 FROM information_schema.tables`,
			"information_schema.tables",
		},
		{"within a subselect", `UPDATE {row} SET n = (SELECT max(n) FROM public.secrets)`, "public.secrets"},
		{"within RETURNING", `UPDATE {row} SET n = 1 RETURNING (SELECT max(n) FROM public.secrets)`, "public.secrets"},
		{"a change in WITH", `WITH gone AS (DELETE FROM public.secrets RETURNING id) INSERT INTO {other} SELECT id, 1 FROM gone`, "public.secrets"},
		{
			"merge", `MERGE INTO public.secrets s USING {row} r ON s.id = r.id WHEN MATCHED THEN DELETE`,
			"public.secrets",
		},
		{"a sequence as a table", `INSERT INTO {other} SELECT 'a', last_value FROM public.counter`, "public.counter"},

		{"settings", `INSERT INTO {other} VALUES (set_config('role', 'postgres', false), 1)`, "set_config"},
		{"settings, read", `INSERT INTO {other} VALUES (current_setting('data_directory'), 1)`, "current_setting"},
		{"sleep", `INSERT INTO {other} SELECT 'a', 1 FROM pg_sleep(100)`, "pg_sleep"},
		{"now", `UPDATE {row} SET at = now()`, "now()"},
		{"clock_timestamp", `UPDATE {row} SET at = clock_timestamp()`, "clock_timestamp"},
		{"transaction_timestamp", `UPDATE {row} SET at = transaction_timestamp()`, "transaction_timestamp"},
		{"current_timestamp", `UPDATE {row} SET at = current_timestamp`, "current_timestamp"},
		{"current_date", `UPDATE {row} SET id = to_char(current_date, 'YYYY')`, "clock"},
		{"current_user", `UPDATE {row} SET id = current_user`, "session"},
		{"age to today", `UPDATE {row} SET id = age(at)::text`, "age("},
		{"random", `UPDATE {row} SET n = random() * 10`, "random()"},
		{"a random uuid", `UPDATE {row} SET id = gen_random_uuid()::text`, "gen_random_uuid"},
		{"a sample", `INSERT INTO {other} SELECT id, n FROM {row} TABLESAMPLE bernoulli (50)`, "sample"},
		{"nextval", `UPDATE {row} SET n = nextval('public.counter')`, "nextval"},
		{"transaction ids", `UPDATE {row} SET n = txid_current()`, "txid_current"},
		{"system columns", `INSERT INTO {other} SELECT xmin::text, 1 FROM {row}`, "system column"},
		{"row addresses", `DELETE FROM {row} WHERE ctid = '(0,1)'`, "system column"},
		{"files", `INSERT INTO {other} VALUES (pg_read_file('/etc/passwd'), 1)`, "pg_read_file"},
		{"directories", `INSERT INTO {other} SELECT pg_ls_dir('/'), 1`, "pg_ls_dir"},
		{"large objects", `INSERT INTO {other} VALUES (lo_import('/etc/passwd')::text, 1)`, "lo_import"},
		{"other sessions", `INSERT INTO {other} VALUES (pg_terminate_backend(1)::text, 1)`, "pg_terminate_backend"},
		{"locks", `INSERT INTO {other} SELECT 'a', 1 FROM pg_advisory_lock(1)`, "pg_advisory_lock"},
		{"notify", `INSERT INTO {other} SELECT 'a', 1 FROM pg_notify('a', 'b')`, "pg_notify"},
		{
			"a query in a string", `INSERT INTO {other} VALUES (query_to_xml('SELECT 1', true, true, '')::text, 1)`,
			"query_to_xml",
		},
		{
			"a table in a string", `INSERT INTO {other} VALUES (table_to_xml('pg_authid', true, true, '')::text, 1)`,
			"table_to_xml",
		},
		{
			"a type from JSON", `INSERT INTO {other} SELECT t::text, 1 FROM json_to_record('{}') AS x (t timestamptz)`,
			"json_to_record",
		},
		{"a user's function", `UPDATE {row} SET id = public.innocent(id)`, "innocent"},
		{"a user's function in pg_catalog", `UPDATE {row} SET id = smuggled(id)`, "smuggled"},
		{"a user's aggregate", `INSERT INTO {other} SELECT public.collect(id), 1 FROM {row}`, "collect"},
		{"a user's operator", `DELETE FROM {row} WHERE id OPERATOR(public.<<<) 'a'`, "below"},
		{"a user's domain", `UPDATE {row} SET at = at::public.stamp`, "stamp"},
		{"a user's enum", `UPDATE {row} SET id = 'happy'::public.mood::text`, "mood"},

		{"regclass", `UPDATE {row} SET id = 'pg_authid'::regclass::text`, "regclass"},
		{"regclass of a parameter", `UPDATE {row} SET id = id::regclass::text`, "regclass"},
		{"regrole of a text", `UPDATE {row} SET id = id::varchar::regrole::text`, "regrole"},
		{"oid to regproc", `UPDATE {row} SET id = n::oid::regproc::text`, "regproc"},
		{"array of regclass", `UPDATE {row} SET id = (tags::regclass[])::text`, "regclass"},
		{"text to timestamptz", `UPDATE {row} SET at = id::timestamptz`, "casts text to timestamp with time zone"},
		{"text to date", `UPDATE {row} SET id = (id::date)::text`, "casts text to date"},
		{"texts to dates", `UPDATE {row} SET id = (tags::date[])::text`, "casts text to date"},
		{
			"json to timestamptz", `UPDATE {row} SET at = (data->>'at')::timestamptz`,
			"casts text to timestamp with time zone",
		},
		{"commit", `COMMIT`, "COMMIT is not possible here"},
		{"rollback", `ROLLBACK`, "ROLLBACK is not possible here"},
		{"set role", `SET ROLE postgres`, "SET is not possible here"},
		{"reset role", `RESET ROLE`, "RESET is not possible here"},
		{"copy to a program", `COPY {row} TO PROGRAM 'cat'`, "COPY is not possible here"},
		{"copy from a file", `COPY {row} FROM '/etc/passwd'`, "COPY is not possible here"},
		{"do", `DO $$BEGIN DELETE FROM public.secrets; END$$`, "DO is not possible here"},
		{"call", `CALL public.procedure()`, "CALL is not possible here"},
		{"drop", `DROP TABLE public.secrets`, "DROP TABLE is not possible here"},
		{"truncate", `TRUNCATE public.secrets`, "TRUNCATE TABLE is not possible here"},
		{"listen", `LISTEN a`, "LISTEN is not possible here"},
		{"lock", `LOCK TABLE public.secrets`, "LOCK TABLE is not possible here"},
		{"prepare", `PREPARE a AS SELECT 1`, "PREPARE is not possible here"},
		{"explain", `EXPLAIN ANALYZE DELETE FROM public.secrets`, "EXPLAIN is not possible here"},
		{"two statements", `DELETE FROM {row}; DELETE FROM public.secrets`, "multiple commands"},
		{"the end of the function", `DELETE FROM {row}; END; DROP TABLE public.secrets`, "multiple commands"},
		{"the end of the function alone", `END`, "multiple commands"},
		{
			"a function in the function", `CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM public.secrets; END`,
			"not possible here",
		},
		{"into a table", `SELECT 1 INTO others.copy`, "not allowed here"},
		{"nothing", ` -- nothing`, "no statement"},
		{"an unfinished remark", `DELETE FROM {row} /*`, "unterminated"},
		{"an unfinished string", `DELETE FROM {row} WHERE id = 'a`, "unterminated"},
		{"no index for the conflict", `INSERT INTO {row} (id) VALUES ('a') ON CONFLICT (n) DO NOTHING`, "ON CONFLICT"},
		{"a division by zero", `UPDATE {row} SET n = 1 / 0`, "division by zero"},
		{"another parameter", `UPDATE {row} SET n = $1`, "$1"},
	}
	server := openWithoutRoles(t, db)
	server.GrammarOff()
	for _, c := range cases {
		p := subject("guest")
		p.Writes = []store.Write{{Name: "bad", SQL: anySQL(c.sql)}}
		wantRefused(t, s, c.name, p, `write "bad": `, "")
		wantRefused(t, server, c.name+", by the server alone", p, `write "bad": `, c.words)
	}
	wantRows(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'guest%'", "0")
}

func wantRefused(t *testing.T, s postgres.Backend, name string, p *store.Projection, item, words string) {
	t.Helper()
	_, err := s.Install(t.Context(), p, 1)
	var fault *store.CatalogueError
	switch {
	case !errors.As(err, &fault):
		t.Errorf("%s: %v, want a catalogue error", name, err)
	case !strings.HasPrefix(err.Error(), item) || !strings.Contains(err.Error(), words) ||
		strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: %q, want one line with %q and %q", name, err, item, words)
	}
}

func TestSandbox_refusesQueriesThatReachBeyondTheProjection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	execute(t, db.Connect(t), "SET allow_system_table_mods = on;"+neighbours)
	s := open(t, db)
	server := openWithoutRoles(t, db)
	server.GrammarOff()
	cases := []struct{ name, sql, words string }{
		{"another table", `SELECT id FROM public.secrets`, "public.secrets"},
		{"a parenthesis too many", `SELECT id FROM {row}) AS q (c1), (SELECT id FROM public.secrets`, "syntax error"},
		{"two statements", `SELECT id FROM {row}; DELETE FROM public.secrets`, "multiple commands"},
		{"a change", `DELETE FROM {row} RETURNING id`, ""},
		{"a change in WITH", `WITH gone AS (DELETE FROM {row} RETURNING id) SELECT id FROM gone`, ""},
		{"the clock", `SELECT now()::text`, "now()"},
		{"more results", `SELECT id, n FROM {row}`, "declares 1 results, the statement has 2"},
		{"no results", `SELECT FROM {row}`, "declares 1 results, the statement has 0"},
	}
	for _, c := range cases {
		p := subject("guest")
		p.Queries = []store.Query{{Name: "bad", SQL: anySQL(c.sql), Results: []store.Type{typed("text")}}}
		wantRefused(t, s, c.name, p, `query "bad": `, "")
		wantRefused(t, server, c.name+", by the server alone", p, `query "bad": `, c.words)
	}
	p := subject("guest")
	p.Queries = []store.Query{{
		Name: "bad", SQL: anySQL(`SELECT id FROM {row}`),
		Results: []store.Type{typed("timestamptz")},
	}}
	wantRefused(t, s, "a text declared as a time", p, `query "bad": `, "casts text to timestamp with time zone")
}

func TestSandbox_acceptsReasonableStatements(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	statements := []string{
		`UPDATE {row} SET data = jsonb_build_object('id', id, 'n', n, 'tags', to_jsonb(tags)) || coalesce(data, '{}')`,
		`UPDATE {row} SET data = jsonb_set(data, '{a,b}', to_jsonb(n)), n = (data->>'n')::bigint WHERE data @> '{"a": 1}' AND data ? 'x'`,
		`UPDATE {row} SET id = to_char(at, 'YYYY-MM-DD HH24:MI') WHERE at > '2020-01-01' AND at < timestamptz '2021-01-01 00:00:00Z'`,
		`UPDATE {row} SET at = date_trunc('month', at) + interval '1 month' - make_interval(days => 1), n = extract(epoch FROM at)::bigint`,
		`UPDATE {row} SET at = to_timestamp(id, 'YYYY-MM-DD'), n = at::date - to_date(id, 'YYYYMMDD')`,
		`UPDATE {row} SET n = CASE WHEN n > 5 THEN n * 2 WHEN n IS NULL THEN 0 ELSE greatest(n, 1) END, amount = round(amount / 3, 2)`,
		`UPDATE {row} SET id = lower(trim(id)) || '-' || format('%s/%s', n, amount) WHERE id LIKE 'a%' OR id ~* '^b' OR id = ANY (ARRAY['c'])`,
		`INSERT INTO {row} (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET n = {row}.n + excluded.n WHERE {row}.n < 10 RETURNING n`,
		`INSERT INTO {other} SELECT id, (SELECT count(*) FROM {other} o WHERE o.id = r.id) FROM {row} r WHERE EXISTS (SELECT FROM {other})`,
		`INSERT INTO {other} SELECT string_agg(id, ',' ORDER BY id), sum(n) FROM {row} GROUP BY tags HAVING count(DISTINCT id) > 1`,
		`INSERT INTO {other} SELECT id, row_number() OVER (PARTITION BY n ORDER BY id) + lag(n, 1, 0) OVER w FROM {row} WINDOW w AS (ORDER BY id)`,
		`INSERT INTO {other} SELECT g::text, g FROM generate_series(1, 10) AS g`,
		`UPDATE {row} SET tags = array_append(array_remove(tags, 'a'), 'b') || ARRAY['c', 'd'], n = cardinality(tags) + array_length(tags, 1)`,
		`INSERT INTO {other} SELECT tag, ordinal FROM {row}, unnest(tags) WITH ORDINALITY AS t (tag, ordinal)`,
		`INSERT INTO {other} SELECT e->>'id', (e->>'n')::bigint FROM {row}, jsonb_array_elements(data->'list') AS e`,
		`WITH moved AS (DELETE FROM {other} RETURNING id, n) INSERT INTO {row} (id, n) SELECT id, sum(n) FROM moved GROUP BY id`,
		`WITH RECURSIVE up AS (SELECT id, n FROM {row} UNION ALL SELECT r.id, r.n FROM {row} r JOIN up ON r.n = up.n + 1) UPDATE {row} r SET n = up.n FROM up WHERE up.id = r.id`,
		`MERGE INTO {row} r USING {other} o ON r.id = o.id WHEN MATCHED THEN UPDATE SET n = o.n WHEN NOT MATCHED THEN INSERT (id, n) VALUES (o.id, o.n)`,
		`UPDATE {row} SET id = md5(id) || encode(sha256(convert_to(id, 'UTF8')), 'hex'), n = hashtext(id)`,
		`UPDATE {row} SET data = jsonb_agg FROM (SELECT jsonb_agg(n ORDER BY n) FROM {other}) AS x`,
		`UPDATE {row} SET id = to_tsvector('english', id)::text`,
		`DELETE FROM {row} USING {other} WHERE {row}.id = {other}.id;`,
		`SELECT id FROM {row} FOR UPDATE -- why not`,
		"/* first */ DELETE\nFROM {row} -- last",
		`UPDATE "guest__v1"."row" SET n = 1`,
		`UPDATE {row} SET id = 'today' WHERE id = 'now'`,
		`UPDATE {row} r SET n = x.n FROM (VALUES ('a', 1), ('b', 2)) AS x (id, n) WHERE x.id = r.id AND (r.id, r.n) < ('c', 3) AND r.n BETWEEN SYMMETRIC 9 AND 1`,
	}
	p := subject("guest")
	for i, sql := range statements {
		p.Writes = append(p.Writes, store.Write{Name: fmt.Sprint("write ", i), SQL: anySQL(sql)})
	}
	p.Queries = []store.Query{
		{
			Name: "a", SQL: anySQL(`SELECT id, n FROM {row} WHERE id = ANY ($1) ORDER BY n DESC NULLS LAST LIMIT 10 -- top`),
			Params: []store.Type{typed("text[]")}, Results: []store.Type{typed("text"), typed("i64")},
		},
		{Name: "b", SQL: anySQL(`SELECT count(*), sum(n), array_agg(id ORDER BY id), max(at), jsonb_agg(data), min(amount) FROM {row}`), Results: []store.Type{typed("i64"), typed("numeric"), typed("text[]"), typed("timestamptz"), typed("json"), typed("numeric")}},
	}
	if _, err := s.Install(t.Context(), p, 1); err != nil {
		t.Error(err)
	}
}

// TestSandbox_findsWordsOfTheClockWhereTheServerReadsDates has texts that the grammar lets through, since only the
// server knows what they are.
func TestSandbox_findsWordsOfTheClockWhereTheServerReadsDates(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for _, sql := range []string{
		`UPDATE {row} SET at = 'now'`, `UPDATE {row} SET at = $$now$$`, `UPDATE {row} SET at = E'\x6eow'`,
		`UPDATE {row} SET at = U&'\006eow'`,
		"UPDATE {row} SET at = 'n'\n'ow'", `UPDATE {row} SET at = ' ToDay'`,
		`UPDATE {row} SET n = 1 WHERE at > 'yesterday'`, `UPDATE {row} SET n = 1 WHERE at IN ('2006-01-02', 'now')`,
		`UPDATE {row} SET n = 1 WHERE at = ANY ('{"now"}')`,
		`UPDATE {row} SET n = 1 WHERE tstzrange(at, NULL) @> '[now,)'`,
		`UPDATE {row} SET n = 1 WHERE tstzrange('now', at) IS NULL`, `UPDATE {row} SET at = date('now')`,
		`UPDATE {row} SET at = timestamptz('now')`,
		`UPDATE {row} SET n = 1 WHERE at = ANY (ARRAY['2006-01-02', 'now']::timestamptz[])`,
		`UPDATE {row} SET at = coalesce(at, 'now')`,
		`UPDATE {row} SET at = CASE WHEN n = 1 THEN at ELSE 'now' END`, `UPDATE {row} SET at = greatest(at, 'now')`,
		`INSERT INTO {row} (id, at) VALUES ('a', 'now')`, `INSERT INTO {row} (id, at) SELECT 'a', 'now'`,
		`UPDATE {row} SET (id, at) = ('a', 'now')`,
		`UPDATE {row} SET n = 1 WHERE (id, at) < ('a', 'now')`,
		`UPDATE {row} SET n = 1 WHERE date_bin('1 day', at, 'today') = at`,
		`UPDATE {row} SET n = 1 WHERE at BETWEEN 'now' AND '2030-01-01'`,
		`UPDATE {row} SET n = 1 WHERE at - 'now' > interval '1 day'`,
		`UPDATE {row} SET n = 1 WHERE (at, at) OVERLAPS ('now', interval '1 day')`,
		`UPDATE {row} SET at = NULLIF('now', at)`,
	} {
		p := subject("guest")
		p.Writes = []store.Write{{Name: "bad", SQL: anySQL(sql)}}
		wantRefused(t, s, sql, p, `write "bad": `, "date or time")
	}
}
