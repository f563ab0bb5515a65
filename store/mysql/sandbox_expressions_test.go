package mysql_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// computed are the ways to have the database compute something: a generated column, a check, a view.
var computed = map[string]func(p *store.Projection, sql string) (item string){
	"column": func(p *store.Projection, sql string) string {
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "made", Type: ofText, Generated: anySQL(sql)})
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

func TestSandbox_refusesWhatIsComputedFromElsewhere(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	neighbours(t, db)
	s, server := open(t, db.URL, mysql.Options{}), open(t, db.URL, mysql.Options{})
	server.GrammarOff()
	for _, c := range []attack{
		{"another table", `(SELECT max(id) FROM {db}.secrets)`, ""},
		{"the events", `(SELECT max(event_type) FROM {db}.pupwasm__events)`, ""},
		{"a column of another table", `{db}.secrets.id`, ""},
		{"an end of the expression", `id) STORED, more LONGTEXT DEFAULT (current_user()`, ""},
		{"another statement", `id) STORED); DROP TABLE {db}.secrets; --`, "syntax"},
		{"another statement behind a line", "id --\r) STORED); DROP TABLE {db}.secrets; -- \n) STORED); DROP TABLE {db}.secrets; -- ", "syntax"},
		{"a table from a query", `id) STORED) AS SELECT * FROM {db}.secrets; -- `, "syntax"},
		{"an end and a beginning", `id) STORED, CHECK (1`, ""},
		{"the clock", `NOW()`, byGrammarAlone},
		{"the clock as a word", `CURRENT_TIMESTAMP`, byGrammarAlone},
		{"the day of the clock", `CURDATE()`, byGrammarAlone},
		{"a time", `TIME'10:00:00'`, byGrammarAlone},
		{"chance", `RAND()`, byGrammarAlone},
		{"a random id", `UUID()`, byGrammarAlone},
		{"a sequence", `NEXT VALUE FOR {db}.counter`, ""},
		{"the session", `CURRENT_USER()`, byGrammarAlone},
		{"a setting", `@@max_connections`, byGrammarAlone},
		{"a variable", `@a`, byGrammarAlone},
		{"sleep", `SLEEP(1)`, byGrammarAlone},
		{"a lock", `GET_LOCK('a', 1)`, byGrammarAlone},
		{"a file", `LOAD_FILE('/etc/passwd')`, byGrammarAlone},
		{"a user's function", `{db}.innocent(id)`, ""},
		{"a user's function by itself", `innocent(id)`, ""},
		{"a parameter", `$1`, ""},
		{"a comment that runs", `id /*! || USER() */`, byGrammarAlone},
		{"a set of characters", `_latin1'a'`, byGrammarAlone},
		{"a NUL", "'a\x00'", byGrammarAlone},
		{"a comment that does not end", `id /* `, ""},
		{"nothing", ``, ""},
		{"a remark", `-- id`, ""},
	} {
		for way, add := range computed {
			p := subject("guest")
			item := add(p, at(db, c.sql))
			wantRefused(t, s, c.name+" in a "+way, p, item, "")
			if c.words != byGrammarAlone {
				wantRefused(t, server, c.name+" in a "+way+", by the server alone", p, item, c.words)
			}
		}
	}
	for name, sql := range map[string]string{
		"a sum": `sum(n)`, "two": `id, n`, "a pattern of a column": `id LIKE id`, "a pattern with a backslash": `id LIKE 'a\_'`,
		"a window": `row_number() OVER ()`, "a sum over a window": `sum(n) OVER ()`, "a query": `(SELECT 1)`,
		"a query that finds": `EXISTS (SELECT 1)`, "a list of a query": `id IN (SELECT 'a')`, "VALUES": `VALUES(id)`, "DEFAULT": `DEFAULT(id)`,
		"all columns": `{row}.*`, "a row number": `_rowid`, "a pattern without an end": `id LIKE '` + fmt.Sprintf("%0101d", 1) + `'`,
	} {
		for _, way := range []string{"column", "check"} {
			p := subject("guest")
			item := computed[way](p, sql)
			wantRefused(t, s, name+" in a "+way, p, item, "")
		}
	}
	for name, sql := range map[string]string{
		"a date's words": `DATE_FORMAT(at, '%M')`, "the time zone": `FROM_UNIXTIME(n)`,
	} {
		p := subject("guest")
		item := computed["column"](p, sql)
		wantRefused(t, s, name, p, item, "cannot be used")
	}
	p := subject("guest")
	p.Views = []store.View{{Name: "made", SQL: anySQL("SELECT id, id FROM {row}")}}
	wantRefused(t, s, "a column twice", p, `view "made": `, "id")
	wantUntouched(t, db)
}

func TestSandbox_acceptsReasonableExpressions(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	s := open(t, db.URL, mysql.Options{})
	p := subject("good")
	row := &p.Tables[0]
	for i, c := range []struct {
		as  store.Type
		sql string
	}{
		{ofText, "upper(id)"},
		{ofI64, "1 + 1"},
		{ofI64, "CASE WHEN n > 0 THEN amount / n END"}, // a numeric, which is rounded
		{ofNumeric, "round(amount * 100 / nullif(n, 0), 2)"},
		{ofI64, "timestampdiff(second, '2020-01-01', at) div 86400 -- days"},
		{store.Type{Kind: store.KindBool}, "{row}.n IS NOT NULL AND (id, n) <> ('a', 1)"},
		{ofText, "json_value(data, '$.name')"},
		{ofJSON, "json_remove(data, '$.a')"},
		{ofTexts, "json_array_append(tags, '$', id)"},
		{ofI64, "length(')')"},
		{store.Type{Kind: store.KindF64}, "\"n\""},
		{ofTime, "cast(date(at) as datetime(6))"},
		{ofText, "id || '\\' || 'a''b'"},
	} {
		row.Columns = append(row.Columns, store.Column{Name: fmt.Sprint("made", i), Type: c.as, Generated: anySQL(c.sql)})
	}
	row.Checks = []store.Check{
		{Name: "n", SQL: anySQL("n > 0 OR n IS NULL")},
		{Name: "made", SQL: anySQL("made1 = 2 -- always")},
		{Name: "in", SQL: anySQL("id NOT IN ('', ')')")},
		{Name: "tags", SQL: anySQL("json_length(tags) < 10")},
		{Name: "as_written", SQL: anySQL(`'A' <> 'a' AND 'a' <> 'a ' AND '\\' <> '\' AND 'a\b' LIKE 'a|\_' ESCAPE '|' AND 'a_' NOT LIKE 'a|\|_' ESCAPE '|'`)},
	}
	p.Views = []store.View{
		{Name: "sums", SQL: anySQL("SELECT date(at) AS day, count(*) AS \"rows\", avg(amount) AS average FROM {row} GROUP BY 1 ORDER BY 1")},
		{Name: "both", SQL: anySQL("SELECT r.*, o.id AS other FROM {row} AS r LEFT JOIN {other} AS o USING (n);")},
		{Name: "kept", SQL: anySQL("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT n FROM t")},
	}
	for range 2 {
		if _, err := s.Install(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
	}
	// The server reads expressions again when it opens a table, with other modes than those of our sessions.
	table := at(db, "`{db}__good__v1`.`row`")
	handle, err := mysql.OpenSQL(db.URL)
	must(t, err)
	t.Cleanup(func() { _ = handle.Close() })
	for _, id := range []string{"a", "b"} {
		execute(t, handle, "INSERT INTO "+table+" (id) VALUES (?)", id)
		if got := queryText(t, handle, "SELECT made12 FROM "+table+" WHERE id = '"+id+"'"); got[0][0] != id+`\a'b` {
			t.Errorf("the column is %q", got[0][0])
		}
		execute(t, handle, "FLUSH TABLES "+table)
	}
}
