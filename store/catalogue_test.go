package store_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestProjection_readsFromJSON(t *testing.T) {
	t.Parallel()
	var p store.Projection
	must(t, json.Unmarshal([]byte(`{
		"name": "fines", "version": 2, "ordering": "global",
		"subscription": {"bounded_contexts": ["lending"], "event_types": ["fined"]},
		"tables": [{"name": "total", "key": ["k"], "indexes": [["n"]], "columns": [
			{"name": "k", "type": "text"}, {"name": "n", "type": "numeric", "not_null": true, "default": 0}, {"name": "tags", "type": "i64[]"}]}],
		"writes": [
			{"name": "add", "action": "upsert", "table": "total", "columns": [{"name": "n", "action": "add"}]},
			{"name": "raw", "sql": "DELETE FROM {table} WHERE k = $1", "params": ["text"]},
			{"name": "both", "sql": {"postgres": "DELETE FROM {table}", "sqlite": "DELETE FROM {total}"}}],
		"queries": [{"name": "load", "table": "total", "columns": ["n", "tags"]}, {"name": "one", "sql": "SELECT 1", "params": ["uuid"], "results": ["i64"]}]
	}`), &p))
	must(t, p.Validate())
	if got := p.Parameters(&p.Writes[0]); len(got) != 2 || got[0] != typed("text") || got[1] != typed("numeric") {
		t.Errorf("parameters of add are %v", got)
	}
	if got := p.Parameters(&p.Writes[1]); len(got) != 1 || got[0] != typed("text") {
		t.Errorf("parameters of raw are %v", got)
	}
	arguments, results := p.Signature(&p.Queries[0])
	if len(arguments) != 1 || arguments[0] != typed("text[]") || len(results) != 3 || results[0] != typed("i64") ||
		results[2] != typed("i64[]") {
		t.Errorf("load takes %v and gives %v", arguments, results)
	}
	arguments, results = p.Signature(&p.Queries[1])
	if len(arguments) != 1 || arguments[0] != typed("uuid") || len(results) != 1 {
		t.Errorf("one takes %v and gives %v", arguments, results)
	}
	for dialect, want := range map[store.Dialect]string{
		store.DialectPostgres: "DELETE FROM {table}",
		store.DialectSQLite:   "DELETE FROM {total}",
	} {
		if got, ok := p.Writes[2].SQL.For(dialect); !ok || got != want {
			t.Errorf("%s has %q", dialect, got)
		}
	}
	if _, ok := (store.Statement{store.DialectSQLite: "x"}).For(store.DialectPostgres); ok {
		t.Error("a statement for SQLite is given to PostgreSQL")
	}
	for _, bad := range []string{
		`{"writes": [{"sql": {"oracle": "x"}}]}`, `{"writes": [{"sql": 1}]}`,
		`{"tables": [{"columns": [{"name": "a", "type": "int"}]}]}`,
		`{"tables": [{"columns": [{"name": "a", "type": "text[][]"}]}]}`, `{"writes": [{"params": ["null"]}]}`,
		`{"writes": [{"params": [""]}]}`,
	} {
		if err := json.Unmarshal([]byte(bad), &p); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestColumn_DefaultText(t *testing.T) {
	t.Parallel()
	c := store.Column{Name: "t", Type: typed("text"), Default: []byte(`"a \"b\" 'c' \u00e9"`)}
	if got := c.DefaultText(); got != `a "b" 'c' é` {
		t.Errorf("got %q", got)
	}
}

func TestProjection_ExpandTables(t *testing.T) {
	t.Parallel()
	qualify := func(table string) string { return "<" + table + ">" }
	one := &store.Projection{Tables: []store.Table{{Name: "total"}}}
	two := &store.Projection{Tables: []store.Table{{Name: "total"}, {Name: "table"}}}
	cases := []struct {
		p         *store.Projection
		sql, want string
	}{
		{one, "", ""},
		{one, "SELECT 1", "SELECT 1"},
		{one, "DELETE FROM {total}", "DELETE FROM <total>"},
		{one, "DELETE FROM {table} USING {total}{total}", "DELETE FROM <total> USING <total><total>"},
		{two, "DELETE FROM {table}", "DELETE FROM <table>"}, // a table that is called so
		{
			one, "SELECT '{}', '{1,2}', '{\"a\": {\"b\": 1}}' FROM {total}",
			"SELECT '{}', '{1,2}', '{\"a\": {\"b\": 1}}' FROM <total>",
		},
		{one, "SELECT '{' FROM {total}", "SELECT '{' FROM <total>"},
		{one, "SELECT '{{total}}'", "SELECT '{<total>}'"},
		{one, "SELECT {", "SELECT {"},
		{one, "SELECT {total", "SELECT {total"},
		{one, "SELECT } {total}", "SELECT } <total>"},
		{one, "SELECT {Total}", "SELECT {Total}"}, // no name of a table could look so
	}
	for _, c := range cases {
		got, err := c.p.ExpandTables(c.sql, qualify)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.sql, got, err, c.want)
		}
	}
	failures := []struct {
		p         *store.Projection
		sql, want string
	}{
		{one, "DELETE FROM {totals}", "{totals} names no table of the projection: it has total"},
		{&store.Projection{}, "DELETE FROM {table}", "it has none"},
		{&store.Projection{Tables: []store.Table{{Name: "a"}, {Name: "b"}}}, "DELETE FROM {table}", "it has a, b"},
		{one, "SELECT '{x}'", `as data, write {"x"}`},
	}
	for _, c := range failures {
		if got, err := c.p.ExpandTables(c.sql, qualify); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want %q", c.sql, got, err, c.want)
		}
	}
}
