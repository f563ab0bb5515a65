package postgres_test

import (
	"context"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// FuzzSandbox runs what the checks let through, as a superuser and without a role of the projection's own: it must
// touch nothing beside the projection's tables. What is there beside them is the canary.
func FuzzSandbox(f *testing.F) {
	for _, sql := range []string{
		`DELETE FROM public.secrets`, `DELETE FROM secrets`, `UPDATE pupwasm.segments SET position = 0`,
		`INSERT INTO {other} SELECT id, n FROM public.secrets`,
		`WITH gone AS (DELETE FROM public.secrets RETURNING id) INSERT INTO {other} SELECT id, 1 FROM gone`,
		`SELECT nextval('public.counter')`,
		`MERGE INTO public.secrets s USING {row} r ON s.id = r.id WHEN MATCHED THEN DELETE`,
		`SELECT setval('public.counter', 7)`, `SELECT public.innocent('a')`,
		`SELECT set_config('search_path', 'public', false)`,
		`SELECT query_to_xml('DELETE FROM public.secrets', true, true, '')`, `SELECT lo_create(7)`,
		"DELETE FROM {row} --\r; DELETE FROM public.secrets",
		`DELETE FROM {row} WHERE id = E'\'; DELETE FROM public.secrets; --'`,
		`SELECT $$a$$; DELETE FROM public.secrets`,
		`UPDATE {row} SET n = n + 1 WHERE id = 'a'`, `INSERT INTO {row} AS r (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET n = r.n + excluded.n RETURNING (SELECT max(n) FROM {other})`,
		`UPDATE {row} r SET (n, at) = (SELECT o.n, timestamptz '2020-01-01 00:00:00Z' FROM {other} o WHERE o.id = r.id)`, `DELETE FROM ONLY {row} USING {other} o WHERE o.id = {row}.id`,
		`WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) INSERT INTO {other} SELECT n::text, n FROM t`, `SELECT id FROM {row} FOR UPDATE`,
		`INSERT INTO {other} SELECT x.key, length(x.value) FROM {row}, jsonb_each_text(data) x`,
		`UPDATE {row} SET tags = array_append(tags, upper(id)), data = data || '{"a": 1}'`,
	} {
		f.Add(sql)
	}
	db := pgtest.New(f)
	admin := db.Connect(f)
	if _, err := admin.Exec(f.Context(), neighbours+`; INSERT INTO public.secrets VALUES ('kept', 7)`); err != nil {
		f.Fatal(err)
	}
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{
		Schema: db.Schema, Lazy: true,
		Isolation: postgres.IsolationNone,
	})
	must(f, err)
	f.Cleanup(s.Close)
	_, err = s.Append(f.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	must(f, err)
	p := subject("first") // which makes the parser: no input is given so long
	p.Writes = []store.Write{{Name: "any", SQL: anySQL("DELETE FROM {row}")}}
	_, err = s.Install(f.Context(), p, 1)
	must(f, err)
	canary := func(t testing.TB) (said string) {
		t.Helper()
		must(t, admin.QueryRow(context.Background(), `SELECT concat_ws(' ', (SELECT array_agg(id || n) FROM public.secrets), (SELECT count(*) FROM others.row), (SELECT max(global_position) FROM pupwasm.events),
			(SELECT last_value::text || is_called FROM public.counter), (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_roles WHERE rolsuper),
			(SELECT array_agg(oid::regclass::text ORDER BY oid) FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'others'::regnamespace, 'pupwasm'::regnamespace)))`).Scan(&said))
		return said
	}
	before := canary(f)
	f.Fuzz(func(t *testing.T, sql string) {
		p := subject("guest")
		p.Writes = []store.Write{{Name: "fuzzed", SQL: anySQL(sql)}}
		catalogue, err := s.Install(t.Context(), p, 1)
		if err != nil {
			return
		}
		ran := commitOnce(t, s, catalogue, p)
		if now := canary(t); now != before {
			t.Fatalf("%q touched what is not the projection's (%v): %s, before %s", sql, ran, now, before)
		}
		must(t, s.Reset(t.Context(), "guest"))
	})
}
