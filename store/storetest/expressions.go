package storetest

import (
	"errors"
	"regexp"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// expressionCases are about what a database computes: generated columns, checks and views.
var expressionCases = []testCase{
	{"generated_columns_are_computed", expressionGenerated},
	{"a_check_refuses_rows", expressionCheck},
	{"views_show_rows", expressionViews},
	{"a_view_may_change", expressionViewChanges},
	{"a_view_in_the_way", expressionViewInTheWay},
	{"before_the_first_event_views_do_not_keep_tables", expressionUnusedViews},
	{"bad_expressions_are_catalogue_errors", expressionBad},
	{"bad_views_are_catalogue_errors", expressionBadViews},
	{"a_refused_expression_leaves_nothing", expressionLeavesNothing},
	{"each_dialect_has_its_own", expressionDialects},
}

// shares is totals with one of each: a generated column that is read, an index over it, a check of it, and a view.
func shares(name string) *store.Projection {
	p := totals(name)
	t := &p.Tables[0]
	t.Columns = append(t.Columns, store.Column{
		Name: "twice", Type: typed("i64"),
		Generated: anySQL("n * 2 -- and no more"), NotNull: true,
	})
	t.Indexes = [][]string{{"twice"}}
	t.Checks = []store.Check{{Name: "small", SQL: anySQL("twice BETWEEN 0 AND 199 AND name <> ')'")}}
	p.Views = []store.View{{Name: "by_size", SQL: anySQL("SELECT name, n, n * 100 / (SELECT sum(n) FROM {total}) " +
		"AS share FROM {total} ORDER BY n DESC")}}
	p.Queries[1] = store.Query{Name: "load", Table: "total", Columns: []string{"twice"}}
	return p
}

func expressionGenerated(f *fixture) {
	r := f.running(shares("made"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(4)), mutate(totalsPut, store.Text("b"), store.I64(1)))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(3)))
	keys := store.ArrayOf(store.KindText, []store.Value{store.Text("a"), store.Text("b")})
	if got := show(r.query(1, keys)); got != "0 14; 1 2" {
		f.Errorf("the generated column is %s", got)
	}
	if got, want := f.indexes("made", "total"), "name; twice"; got != want {
		f.Errorf("the indexes are %s, want %s", got, want)
	}
	_, err := f.Open(f).Install(f.ctx, shares("made"), 1) // and all is as declared
	f.must(err)
	r.apply(mutate(totalsDelete, store.Text("a")))
}

func expressionCheck(f *fixture) {
	r := f.running(shares("made"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(99)))
	var rejection *store.RejectedError
	if err := r.commit(mutate(totalsPut, store.Text("a"), store.I64(1))); !errors.As(err, &rejection) ||
		!strings.Contains(err.Error(), "small") {
		f.Errorf("a row that does not meet the check: %v", err)
	}
	if err := r.commit(mutate(totalsPut, store.Text(")"), store.I64(1))); !errors.As(err, &rejection) {
		f.Errorf("a row that does not meet the check: %v", err)
	}
	// What is added must meet the check by itself too.
	if err := r.commit(mutate(totalsPut, store.Text("a"), store.I64(-9))); !errors.As(err, &rejection) {
		f.Errorf("an amount that does not meet the check by itself: %v", err)
	}
	r.apply(mutate(totalsPut, store.Text("b"), store.I64(1)))
	if got := r.table(); got != "a 99; b 1" {
		f.Errorf("the table is %s", got)
	}
}

// view returns the rows of a view.
func (f *fixture) view(projection, name string) string {
	f.Helper()
	f.Query(f, "SELECT count(*) FROM "+f.Table(projection, name)) // SQLite notices here that the columns are others
	rows := f.Query(f, "SELECT * FROM "+f.Table(projection, name))
	lines := make([]string, len(rows))
	for i, row := range rows {
		for at := range row {
			if thirtyDecimals.MatchString(row[at]) {
				row[at] = strings.TrimSuffix(strings.TrimRight(row[at], "0"), ".")
			}
		}
		lines[i] = strings.Join(row, " ")
	}
	return strings.Join(lines, "; ")
}

// thirtyDecimals is a numeric as MariaDB writes it: with all that its column has.
var thirtyDecimals = regexp.MustCompile(`^-?[0-9]+\.[0-9]{30}$`)

func expressionViews(f *fixture) {
	p := shares("made")
	p.Views = append(p.Views, store.View{Name: "no_table", SQL: anySQL("SELECT 1 AS one, 'it''s {\"so\"}' AS " +
		"other; -- the end")})
	r := f.running(p)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(10)), mutate(totalsPut, store.Text("b"), store.I64(30)))
	if got := f.view("made", "by_size"); got != "b 30 75; a 10 25" &&
		got != "b 30 75.0000000000000000; a 10 25.0000000000000000" &&
		(f.dialect != store.DialectMySQL || got != "a 10 25.0000; b 30 75.0000") { // which takes a view's order for none
		f.Errorf("the view has %s", got)
	}
	if got := f.view("made", "no_table"); got != `1 it's {"so"}` {
		f.Errorf("the view has %s", got)
	}
	f.Query(f, "DROP VIEW "+f.Table("made", "no_table"))
	_, err := f.store.Install(f.ctx, p, 1) // makes it again
	f.must(err)
	f.view("made", "no_table")
	f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
	f.must(f.store.Reset(f.ctx, "made"))
	f.running(shares("made")) // nothing is left in the way
}

func expressionViewChanges(f *fixture) {
	r := f.running(shares("made"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(10)))
	for _, c := range []struct{ sql, want string }{
		{"SELECT name, n, n + 1 AS more FROM {total}", "a 10 11"},
		{"SELECT n, name FROM {total}", "10 a"},
		{"SELECT name FROM {total} WHERE n < 10", ""},
	} {
		p := shares("made")
		p.Views[0].SQL = anySQL(c.sql)
		for range 2 {
			_, err := f.store.Install(f.ctx, p, 1)
			f.must(err)
			if got := f.view("made", "by_size"); got != c.want {
				f.Errorf("%s: the view has %q, want %q", c.sql, got, c.want)
			}
		}
	}
	p := shares("made")
	p.Views = nil
	_, err := f.store.Install(f.ctx, p, 1)
	f.must(err)
	p.Views = []store.View{{Name: "by_size", SQL: anySQL("SELECT count(*) AS n FROM {total}")}}
	f.Query(f, "CREATE VIEW "+f.Table("made", "by_size")+" AS SELECT 7 AS mine")
	f.wantCatalogueError("a view that somebody made", p, "by_size", "not the projection's")
	if got := f.view("made", "by_size"); got != "7" {
		f.Errorf("somebody's view has %s", got)
	}
	f.Query(f, "DROP VIEW "+f.Table("made", "by_size"))
	_, err = f.store.Install(f.ctx, p, 1)
	f.must(err)
	if got := f.view("made", "by_size"); got != "1" {
		f.Errorf("the view has %s", got)
	}
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1))) // the claim still holds, and the rows are there
	if got := r.table(); got != "a 11" {
		f.Errorf("the table is %s", got)
	}
}

func expressionViewInTheWay(f *fixture) {
	r := f.running(shares("made"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	f.Query(f, "CREATE VIEW built AS SELECT share FROM "+f.Table("made", "by_size"))
	p := shares("made")
	p.Views[0].SQL = anySQL("SELECT n FROM {total}")
	if f.dialect != store.DialectPostgres { // the others do not note what is built upon what
		_, err := f.store.Install(f.ctx, p, 1)
		f.must(err)
		return
	}
	f.wantCatalogueError("something is built upon it", p, `view "by_size"`, "something was built upon it", "built")
	p.Views = nil
	f.wantCatalogueError("something is built upon it", p, `view "by_size"`, "something was built upon it")
	f.view("made", "by_size")
}

func expressionUnusedViews(f *fixture) {
	f.claimed(f.store, shares("made"), worker)
	p := shares("made")
	p.Tables[0].Columns[2].Generated = anySQL("n * 3")
	p.Views[0].Name = "renamed"
	_, err := f.store.Install(f.ctx, p, 1)
	f.must(err)
	r := f.running(p)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	if got := f.view("made", "renamed"); !strings.HasPrefix(got, "a 1 100") {
		f.Errorf("the view has %s", got)
	}
	p = shares("made")
	f.wantCatalogueError("another expression", p, `table "total"`, `column "twice" was`, "raise the version")
	p.Tables[0].Columns[2].Generated = anySQL("n * 3")
	p.Tables[0].Checks = nil
	f.wantCatalogueError("a check less", p, `table "total"`, "its checks was", "none now")
}

// badExpressions are no expressions over one row, whether a column is generated by them or they are a check.
func (f *fixture) badExpressions() map[string]string {
	others := f.stored("others", "total")
	return map[string]string{
		"nothing":                           ``,
		"a remark":                          `-- n`,
		"syntax":                            `n *`,
		"a statement":                       `DELETE FROM {total}`,
		"a query":                           `SELECT n FROM {total}`,
		"an unknown column":                 `amount > 1`,
		"an unknown placeholder":            `{totals}.n > 1`,
		"an unknown function":               `no_such_function(n) > 1`,
		"a parameter":                       `n > $1`,
		"an aggregate":                      `sum(n) > 1`,
		"a window function":                 `row_number() OVER () > 1`,
		"other rows":                        `n > (SELECT max(n) FROM {total})`,
		"another projection's rows":         `n > (SELECT max(n) FROM ` + others + `)`,
		"a row by itself":                   `EXISTS (SELECT 1)`,
		"two":                               `n, n`,
		"two in parentheses":                `n > 1), (n > 2`,
		"a table of another":                `n > 1 FROM ` + others + ` --`,
		"more columns":                      `n > 1) STORED, more TEXT DEFAULT (name`,
		"another statement":                 `n > 1); DROP TABLE ` + others + `; --`,
		"another statement, closed":         `n > 1) STORED); DROP TABLE ` + others + `; SELECT (1`,
		"an end behind a text":              `name = 'a\') OR (name = '\'`,
		"an end behind a remark":            `n > 1 /* ( */ ) OR (n > 2`,
		"an end behind a name":              `"n" > 1 ) OR ( "n" > 2`,
		"a text without end":                `name = 'a`,
		"a remark without end":              `n > 1 /* and`,
		"the clock":                         `CURRENT_TIMESTAMP > '2020-01-01'`,
		"chance":                            `random() > n`,
		"more than one pair of parentheses": `n > 1))`,
	}
}

func expressionBad(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("others"), 1)
	f.must(err)
	for name, sql := range f.badExpressions() {
		p := totals("sums")
		p.Tables[0].Checks = []store.Check{{Name: "bad", SQL: anySQL(sql)}}
		f.wantCatalogueError("a check of "+name, p, `check "bad" of table "total": `)
		p = totals("sums")
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
			Name: "bad", Type: typed("bool"),
			Generated: anySQL(sql),
		})
		f.wantCatalogueError("a column of "+name, p, `column "bad" of table "total": `)
	}
	p := totals("sums")
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
		Name: "a", Type: typed("i64"),
		Generated: anySQL("n"),
	}, store.Column{Name: "b", Type: typed("i64"), Generated: anySQL("a")})
	f.wantCatalogueError("a column of another generated one", p, `table "total"`)
	p = totals("sums")
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
		Name: "a", Type: typed("i64"),
		Generated: anySQL("a + 1"),
	})
	f.wantCatalogueError("a column of itself", p, `table "total"`)
	if got := f.Query(f, "SELECT count(*) FROM "+f.Table("others", "total")); got[0][0] != "0" {
		f.Errorf("the other projection's table has %s rows", got[0][0])
	}
}

func expressionBadViews(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("others"), 1)
	f.must(err)
	others := f.stored("others", "total")
	for name, sql := range map[string]string{
		"nothing":                   ``,
		"syntax":                    `SELEC n FROM {total}`,
		"an unknown placeholder":    `SELECT n FROM {totals}`,
		"an unknown column":         `SELECT amount FROM {total}`,
		"another projection's rows": `SELECT n FROM ` + others,
		"a subselect of others":     `SELECT n FROM {total} WHERE name IN (SELECT name FROM ` + others + `)`,
		"a change":                  `DELETE FROM {total}`,
		"a change that returns":     `DELETE FROM {total} RETURNING n`,
		"a change in WITH":          `WITH gone AS (DELETE FROM {total} RETURNING n) SELECT n FROM gone`,
		"two statements":            `SELECT n FROM {total}; DROP TABLE ` + others,
		"another table":             `SELECT 1; CREATE TABLE unrelated (name text PRIMARY KEY)`,
		"a table from a query":      `CREATE TABLE {total} AS SELECT name, n FROM ` + others,
		"a parameter":               `SELECT n FROM {total} WHERE name = $1`,
		"the clock":                 `SELECT CURRENT_TIMESTAMP AS at`,
		"chance":                    `SELECT random() AS r FROM {total}`,
		"itself":                    `SELECT * FROM ` + f.stored("sums", "bad"),
		"another view":              `SELECT * FROM ` + f.stored("sums", "good"),
		"a view of readers":         `SELECT * FROM ` + f.Table("sums", "total"),
	} {
		p := totals("sums")
		p.Views = []store.View{{Name: "good", SQL: anySQL("SELECT n FROM {total}")}, {Name: "bad", SQL: anySQL(sql)}}
		f.wantCatalogueError("a view of "+name, p, `view "bad": `)
	}
	for name, change := range map[string]func(p *store.Projection){
		"a statement that uses a view": func(p *store.Projection) {
			p.Writes[totalsDouble].SQL = anySQL("DELETE FROM {total} WHERE n IN (SELECT n FROM " +
				f.stored("sums", "good") + ")")
		},
		"a view by its placeholder": func(p *store.Projection) { p.Queries[0].SQL = anySQL("SELECT name, n FROM {good}") },
		"a view like a table":       func(p *store.Projection) { p.Views[0].Name = "total" },
		"a view twice":              func(p *store.Projection) { p.Views = append(p.Views, p.Views[0]) },
		"a view without sql":        func(p *store.Projection) { p.Views[0].SQL = nil },
		"a view with a bad name":    func(p *store.Projection) { p.Views[0].Name = "Good" },
	} {
		p := totals("sums")
		p.Views = []store.View{{Name: "good", SQL: anySQL("SELECT n, name FROM {total}")}}
		change(p)
		f.wantCatalogueError(name, p)
	}
}

func expressionLeavesNothing(f *fixture) {
	p := shares("sums")
	p.Tables[0].Checks[0].SQL = anySQL("nowhere > 1")
	f.wantCatalogueError("a bad check", p)
	p = shares("sums")
	p.Views = append(p.Views, store.View{Name: "bad", SQL: anySQL("SELECT 1 FROM nowhere")})
	f.wantCatalogueError("a bad view", p)
	other := shares("sums") // of another version, so that a trace of the first would be in the way
	other.Version = 2
	_, err := f.store.Install(f.ctx, other, 1)
	f.must(err)
}

func expressionDialects(f *fixture) {
	other := store.DialectSQLite
	if f.dialect == other {
		other = store.DialectPostgres
	}
	both := func(sql string) store.Statement { return store.Statement{f.dialect: sql, other: "this is not for you"} }
	only := store.Statement{other: "1"}
	p := totals("made")
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
		Name: "twice", Type: typed("i64"),
		Generated: both("n * 2"),
	})
	p.Tables[0].Checks = []store.Check{{Name: "small", SQL: both("n < 100")}}
	p.Views = []store.View{{Name: "all_of_it", SQL: both("SELECT n FROM {total}")}}
	r := f.running(p)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(99)))
	p.Tables[0].Columns[2].Generated[other] = "this is not for you either"
	_, err := f.store.Install(f.ctx, p, 1)
	f.must(err)
	for name, change := range map[string]func(p *store.Projection){
		`column "bad"`: func(p *store.Projection) {
			p.Tables[0].Columns = append(p.Tables[0].Columns,
				store.Column{Name: "bad", Type: typed("i64"), Generated: only})
		},
		`check "bad"`: func(p *store.Projection) { p.Tables[0].Checks = []store.Check{{Name: "bad", SQL: only}} },
		`view "bad"`:  func(p *store.Projection) { p.Views = []store.View{{Name: "bad", SQL: only}} },
	} {
		p := totals("sums")
		change(p)
		f.wantCatalogueError(name, p, name, "no sql for "+string(f.dialect))
	}
}
