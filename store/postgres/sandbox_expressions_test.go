package postgres_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// computed are the ways to have the database compute something: a generated column, a check, a view.
var computed = map[string]func(p *store.Projection, sql string) (item string){
	"column": func(p *store.Projection, sql string) string {
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
			Name: "made", Type: typed("text"),
			Generated: anySQL(sql),
		})
		return `column "made" of table "row": `
	},
	"check": func(p *store.Projection, sql string) string {
		p.Tables[0].Checks = []store.Check{{Name: "made", SQL: anySQL("(" + sql + ") IS NULL")}}
		return `check "made" of table "row": `
	},
	"view": func(p *store.Projection, sql string) string {
		p.Views = []store.View{{Name: "made", SQL: anySQL("SELECT " + sql + " AS made FROM {row}")}}
		return `view "made": `
	},
}

// byGrammarAlone replaces the words of the server where it does not see what is wrong.
const byGrammarAlone = "-"

func TestSandbox_refusesWhatIsComputedFromElsewhere(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	execute(t, db.Connect(t), "SET allow_system_table_mods = on;"+neighbours+`;
		CREATE COLLATION public.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	s := open(t, db)
	server := openWithoutRoles(t, db)
	server.GrammarOff()
	cases := []struct{ name, sql, words string }{
		{"another table", `(SELECT max(id) FROM public.secrets)`, ""},
		{"the events", `(SELECT max(event_type) FROM pupwasm.events)`, ""},
		{"an end of the expression", `id) STORED, more text DEFAULT (current_user`, "syntax error"},
		{"another statement", `id) STORED); DROP TABLE public.secrets; --`, ""},
		{"another statement behind a carriage return", "id --\r) STORED); DROP TABLE public.secrets; --", ""},
		{"copy to a program", `id); COPY (SELECT 1) TO PROGRAM 'touch /tmp/pupwasm_hostile`, ""},
		{"a prepared statement", `id) STORED) AS EXECUTE a; --`, ""},
		{"the clock", `now()::text`, "now()"},
		{"the clock as a word", `current_timestamp::text`, "clock"},
		{"the clock in a text", `(at > 'now')::text`, byGrammarAlone},
		{"the clock as a constant", `'now'::timestamptz::text`, byGrammarAlone},
		{"a sequence", `nextval('public.counter')::text`, "nextval"},
		{"settings", `set_config('a.b', 'c', false)`, "set_config"},
		{"sleep", `pg_sleep(100)::text`, "pg_sleep"},
		{"a backend", `pg_terminate_backend(1)::text`, "pg_terminate_backend"},
		{"a user's function", `public.innocent(id)`, "innocent"},
		{"a user's function in pg_catalog", `smuggled(id)`, "smuggled"},
		{"a user's operator", `(id OPERATOR(public.<<<) 'a')::text`, "below"},
		{"a user's domain", `(at::public.stamp)::text`, "stamp"},
		{"a user's enum", `'happy'::public.mood::text`, "mood"},
		{"a user's collation", `max(id COLLATE public.nocase)`, ""},
		{"a name of the catalogue", `'pg_authid'::regclass::text`, "regclass"},
		{"a system column", `xmin::text`, "system column"},
		{"the table's own oid", `tableoid::text`, "system column"},
		{"a parameter", `$1`, ""},
	}
	for _, c := range cases {
		for way, add := range computed {
			p := subject("guest")
			item := add(p, c.sql)
			wantRefused(t, s, c.name+" in a "+way, p, item, "")
			if c.words != byGrammarAlone {
				wantRefused(t, server, c.name+" in a "+way+", by the server alone", p, item, c.words)
			}
		}
	}
	for name, sql := range map[string]string{
		"a setting": `at::text`, "the time zone": `date_trunc('day', at)::text`, "a style": `to_char(at, 'TMDay')`,
	} {
		for _, way := range []string{"column", "check"} {
			p := subject("guest")
			item := computed[way](p, sql)
			wantRefused(t, s, name+" in a "+way, p, item, "depends on a setting")
		}
	}
	for name, sql := range map[string]string{
		"the clock": "'now'", "the clock within": "CASE WHEN n > 1 THEN 'now' END",
		"a text": "id",
	} {
		p := subject("guest")
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
			Name: "made", Type: typed("timestamptz"),
			Generated: anySQL(sql),
		})
		wantRefused(t, s, name+" as a time", p, `column "made" of table "row": `, "")
	}
	p := subject("guest")
	p.Views = []store.View{{Name: "made", SQL: anySQL("SELECT id FROM {row} FOR UPDATE")}}
	wantRefused(t, s, "locks", p, `view "made": `, "locks the rows")
	wantRows(t, db, "SELECT last_value, is_called FROM public.counter", "1 f")
	wantRows(t, db, "SELECT count(*) FROM public.secrets", "0")
	wantRows(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'guest%'", "0")
}

func TestSandbox_acceptsReasonableExpressions(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	p := subject("good")
	row := &p.Tables[0]
	for i, c := range []struct{ kind, sql string }{
		{"text", "upper(id)"},
		{"i64", "1 + 1"},
		{"i64", "CASE WHEN n > 0 THEN amount / n END"}, // a numeric, which is rounded
		{"numeric", "round(amount * 100 / nullif(n, 0), 2)"},
		{"i64", "extract(epoch FROM at - timestamptz '2020-01-01 00:00:00Z') / 86400 -- days"},
		{"bool", "row.n IS NOT NULL AND (id, n) <> ('a', 1)"},
		{"text", "data ->> 'name'"},
		{"json", "data - 'a'"},
		{"text[]", "array_append(tags, id)"},
		{"i64", "length(')')"},
		{"f64", "n"},
		{"timestamptz", "date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"},
	} {
		row.Columns = append(row.Columns, store.Column{
			Name: fmt.Sprint("made", i), Type: typed(c.kind),
			Generated: anySQL(c.sql),
		})
	}
	row.Checks = []store.Check{
		{Name: "n", SQL: anySQL("n > 0 OR n IS NULL")},
		{Name: "made", SQL: anySQL("made1 = 2 -- always")},
		{Name: "in", SQL: anySQL("id NOT IN ('', ')')")},
		{Name: "tags", SQL: anySQL("cardinality(tags) < 10")},
	}
	p.Views = []store.View{
		{Name: "sums", SQL: anySQL("SELECT date_trunc('day', at) AS day, count(*) AS rows, avg(amount) AS average " +
			"FROM {row} GROUP BY 1 ORDER BY 1")},
		{Name: "both", SQL: anySQL("SELECT r.*, o.id AS other FROM {row} AS r LEFT JOIN {other} AS o USING (n);")},
		{Name: "kept", SQL: anySQL("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 9) " +
			"SELECT n FROM t")},
	}
	for range 2 {
		if _, err := s.Install(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
	}
}
