package storetest

import (
	"errors"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var installCases = []testCase{
	{"creates_tables_and_segments", installCreates},
	{"again_changes_nothing", installAgain},
	{"defaults_and_indexes", installDefaults},
	{"two_hosts_at_once", installAtOnce},
	{"global_ordering_has_one_segment", installGlobal},
	{"a_bad_statement_is_a_catalogue_error", installBadStatements},
	{"a_statement_of_one_key_uses_owned_tables_only", installOwnedStatements},
	{"a_statement_for_another_dialect_only", installOtherDialect},
	{"an_invalid_declaration", installInvalid},
	{"a_refused_projection_leaves_nothing", installLeavesNothing},
	{"projections_do_not_share_tables", installApart},
	{"names_are_quoted", installKeywords},
}

func installCreates(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("sums"), 4)
	f.must(err)
	if got := f.Query(f, "SELECT name, n FROM "+f.Table("sums", "total")); len(got) != 0 {
		f.Errorf("a new table has %v", got)
	}
	status := f.status("sums")
	if status.Version != 1 || len(status.Segments) != 4 {
		f.Fatalf("status is %+v", status)
	}
	for i, share := range store.SplitRange(4) {
		got := status.Segments[i]
		if got.Segment != i || got.Range != share || got.Position != 0 || got.Owner != "" || got.Live ||
			got.Failure != "" {
			f.Errorf("segment %d is %+v", i, got)
		}
	}
}

func installAgain(f *fixture) {
	r := f.running(totals("sums"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	_, err := f.Open(f).Install(f.ctx, totals("sums"), 8)
	f.must(err)
	status := f.status("sums")
	if len(status.Segments) != 1 || status.Segments[0].Position != f.at(1) || status.Segments[0].Owner != worker {
		f.Errorf("another install changed the layout: %+v", status)
	}
	if got := r.table(); got != "a 1" {
		f.Errorf("the table is %s", got)
	}
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1))) // and the claim still holds
}

func installDefaults(f *fixture) {
	text, yes := `"it's \"so\""`, "true"
	p := &store.Projection{
		Name: "defaults", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "row", Key: []string{"id"},
			Columns: []store.Column{
				{Name: "id", Type: typed("i64")},
				{Name: "t", Type: typed("text"), Default: []byte(text), NotNull: true},
				{Name: "b", Type: typed("bool"), Default: []byte(yes)},
				{Name: "i", Type: typed("i64"), Default: []byte("-7")},
				{Name: "n", Type: typed("numeric"), Default: []byte("1.25")},
				{Name: "f", Type: typed("f64"), Default: []byte("0.5")},
			},
			Indexes: [][]string{{"t"}, {"b", "i"}},
		}},
		Writes: []store.Write{{Name: "new", Action: store.Upsert, Table: "row"}},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT id, t, b, i, n, f FROM {row} ORDER BY id`),
			Results: types("i64", "text", "bool", "i64", "numeric", "f64"),
		}},
	}
	r := f.running(p)
	r.apply(mutate(0, store.I64(1)))
	if got, want := r.table(), `1 it's "so" true -7 1.25 3fe0000000000000`; got != want {
		f.Errorf("the row is %s, want %s", got, want)
	}
}

// wantCatalogueError checks that Install refuses a projection in one clear line.
func (f *fixture) wantCatalogueError(name string, p *store.Projection, words ...string) {
	f.Helper()
	_, err := f.store.Install(f.ctx, p, 1)
	var fault *store.CatalogueError
	if !errors.As(err, &fault) {
		f.Errorf("%s: %v, want a catalogue error", name, err)
		return
	}
	text := err.Error()
	if strings.ContainsAny(text, "\n\r") || len(text) > 400 {
		f.Errorf("%s: the error is not one line: %q", name, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			f.Errorf("%s: %q does not say %q", name, text, word)
		}
	}
}

func installAtOnce(f *fixture) {
	hosts := f.hosts(6)
	for _, err := range concurrently(hosts, func(_ int, host store.Store) error {
		_, err := host.Install(f.ctx, totals("sums"), 3)
		return err
	}) {
		f.must(err)
	}
	if got := len(f.status("sums").Segments); got != 3 {
		f.Errorf("there are %d segments, want 3", got)
	}
	// And different projections, which have no reason to meet.
	names := []string{"one", "two", "three", "four", "five", "six"}
	for _, err := range concurrently(hosts, func(i int, host store.Store) error {
		_, err := host.Install(f.ctx, totals(names[i]), 2)
		return err
	}) {
		f.must(err)
	}
}

func installGlobal(f *fixture) {
	p := totals("sums")
	p.Order = store.OrderGlobal
	_, err := f.store.Install(f.ctx, p, 8)
	f.must(err)
	if got := f.status("sums").Segments; len(got) != 1 || got[0].Range != store.FullRange() {
		f.Errorf("segments are %+v", got)
	}
}

func installBadStatements(f *fixture) {
	write := func(sql string, params ...string) func(p *store.Projection) {
		return func(p *store.Projection) {
			p.Writes[totalsDouble] = store.Write{
				Name: "bad", SQL: anySQL(sql), Params: types(params...),
				Unordered: true,
			}
		}
	}
	query := func(sql string, results ...string) func(p *store.Projection) {
		return func(p *store.Projection) {
			p.Queries[0] = store.Query{Name: "bad", SQL: anySQL(sql), Results: types(results...), Unordered: true}
		}
	}
	cases := []struct {
		name   string
		change func(p *store.Projection)
		words  []string
	}{
		{"syntax", write(`UPDAET {table} SET n = 1`), []string{`write "bad"`, "UPDAET"}},
		{"unknown placeholder", write(`DELETE FROM {tabel}`), []string{`write "bad"`, "{tabel}", "total"}},
		{"unknown table", write(`DELETE FROM no_such_table`), []string{`write "bad"`, "no_such_table"}},
		{"unknown column", write(`UPDATE {table} SET amount = 1`), []string{`write "bad"`, "amount"}},
		{"unknown column in a query", query(`SELECT amount FROM {table}`, "i64"), []string{`query "bad"`, "amount"}},
		{
			"unknown function", write(`UPDATE {table} SET n = no_such_function(n)`),
			[]string{`write "bad"`, "no_such_function"},
		},
		{
			"a parameter more than declared", write(`UPDATE {table} SET n = $2 WHERE name = $1`, "text"),
			[]string{`write "bad"`},
		},
		{"two statements", write(`DELETE FROM {table}; DELETE FROM {table}`), []string{`write "bad"`}},
		{"results more than declared", query(`SELECT name, n FROM {table}`, "text"), []string{`query "bad"`}},
		{"results fewer than declared", query(`SELECT name FROM {table}`, "text", "i64"), []string{`query "bad"`}},
		{"a query that writes", query(`DELETE FROM {table} RETURNING name`, "text"), []string{`query "bad"`}},
		{"nothing", write(``), []string{`write "bad"`}},
		{"transaction control", write(`COMMIT`), []string{`write "bad"`}},
		{"another projection's table", write(`DELETE FROM ` + f.stored("others", "total")), []string{`write "bad"`}},
		{"another projection's view", write(`DELETE FROM ` + f.Table("others", "total")), []string{`write "bad"`}},
		{"its own view", query(`SELECT name, n FROM `+f.Table("sums", "total"), "text", "i64"), []string{`query "bad"`}},
		{"no target for the conflict", write(`INSERT INTO {table} (name, n) VALUES ('a', 1) ON CONFLICT (n) DO NOTHING`), []string{`write "bad"`}},
	}
	_, err := f.store.Install(f.ctx, totals("others"), 1)
	f.must(err)
	for _, c := range cases {
		p := totals("sums")
		c.change(p)
		f.wantCatalogueError(c.name, p, c.words...)
	}
}

func installOtherDialect(f *fixture) {
	other := store.DialectSQLite
	if f.dialect == other {
		other = store.DialectPostgres
	}
	p := totals("sums")
	p.Writes[totalsDouble].SQL = store.Statement{other: `DELETE FROM {table}`}
	f.wantCatalogueError("a write", p, `write "double"`, string(f.dialect))
	p = totals("sums")
	p.Queries[0].SQL = store.Statement{other: `SELECT name, n FROM {table}`}
	f.wantCatalogueError("a query", p, `query "all"`, string(f.dialect))
}

func installInvalid(f *fixture) {
	p := totals("Sums!")
	f.wantCatalogueError("a bad name", p, `projection "Sums!"`)
}

func installLeavesNothing(f *fixture) {
	p := totals("sums")
	p.Writes[totalsDouble].SQL = anySQL(`DELETE FROM nowhere`)
	f.wantCatalogueError("a bad write", p)
	all, err := f.store.Status(f.ctx)
	f.must(err)
	if len(all) != 0 {
		f.Errorf("known projections are %+v", all)
	}
	other := totals("sums") // of another version, so that a trace of the first would be in the way
	other.Version = 2
	_, err = f.store.Install(f.ctx, other, 1)
	f.must(err)
}

func installApart(f *fixture) {
	a, b := f.running(totals("first")), f.runningOn(f.store, totals("second"), worker)
	a.apply(mutate(totalsPut, store.Text("x"), store.I64(1)))
	b.apply(mutate(totalsPut, store.Text("y"), store.I64(2)))
	if a.table() != "x 1" || b.table() != "y 2" {
		f.Errorf("the tables are %q and %q", a.table(), b.table())
	}
}

// installKeywords uses words of SQL as names.
func installKeywords(f *fixture) {
	p := &store.Projection{
		Name: "order", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "table", Key: []string{"select", "from"}, Indexes: [][]string{{"where"}},
			Columns: []store.Column{
				{Name: "select", Type: typed("text")}, {Name: "from", Type: typed("i64")}, {
					Name: "where",
					Type: typed("i64"),
				}, {Name: "excluded", Type: typed("i64")},
			},
		}},
		Writes: []store.Write{
			{
				Name: "put", Action: store.Upsert, Table: "table",
				Columns: []store.WriteColumn{
					{Name: "where", Action: store.ActionAdd},
					{Name: "excluded", Action: store.ActionMax},
				},
			},
			{Name: "delete", Action: store.Delete, Table: "table"},
		},
		Queries: []store.Query{{Name: "load", Table: "table", Columns: []string{"where", "excluded", "select"}}},
	}
	r := f.running(p)
	r.apply(
		mutate(0, store.Text("a"), store.I64(1), store.I64(2), store.I64(3)),
		mutate(0, store.Text("b"), store.I64(1), store.I64(2), store.I64(3)),
		mutate(1, store.Text("b"), store.I64(1)))
	r.apply(mutate(0, store.Text("a"), store.I64(1), store.I64(5), store.I64(1)))
	keys := []store.Value{
		store.ArrayOf(store.KindText, []store.Value{store.Text("b"), store.Text("a")}),
		store.ArrayOf(store.KindI64, []store.Value{store.I64(1), store.I64(1)}),
	}
	if got := show(r.query(0, keys...)); got != "1 7 3 a" {
		f.Errorf("the row is %s", got)
	}
	if rows := f.Query(f, "SELECT 1 FROM "+f.Table("order", "table")); !slices.EqualFunc(rows, [][]string{{"1"}},
		slices.Equal) {
		f.Errorf("the table has %v", rows)
	}
}

// installOwnedStatements names a shared table past the placeholders, in a statement and in a query that say that
// they keep to rows of a key.
func installOwnedStatements(f *fixture) {
	declare := func(write, query string) *store.Projection {
		return &store.Projection{
			Name: "keyed", Version: 1,
			Tables: []store.Table{
				{Name: "own", Key: []string{"k"}, Columns: []store.Column{{
					Name: "k", Type: typed("text"),
					Partition: true,
				}, {Name: "n", Type: typed("i64")}}},
				{Name: "sum", Key: []string{"k"}, Columns: []store.Column{
					{Name: "k", Type: typed("text")},
					{Name: "n", Type: typed("i64")},
				}},
			},
			Writes: []store.Write{{Name: "w", SQL: anySQL(write), Params: types("text"), PartitionParam: 1}},
			Queries: []store.Query{{
				Name: "q", SQL: anySQL(query), Params: types("text"), Results: types("i64"),
				PartitionParam: 1,
			}},
		}
	}
	const write, query = "DELETE FROM {own} WHERE k = $1", "SELECT n FROM {own} WHERE k = $1"
	sum := f.stored("keyed", "sum")
	f.wantCatalogueError("a write", declare("UPDATE {own} SET n = (SELECT max(n) FROM "+sum+") WHERE k = $1", query),
		`write "w"`, "sum")
	f.wantCatalogueError("a query", declare(write, "SELECT s.n FROM "+sum+" AS s, {own} AS o WHERE o.k = $1"),
		`query "q"`, "sum")
	_, err := f.store.Install(f.ctx, declare(write, query), 1)
	f.must(err)
}
