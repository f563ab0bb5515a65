package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// additionCases are about columns that a version gets in place, since old rows may stay without them.
var additionCases = []testCase{
	{"a_column_is_added_in_place", additionInPlace},
	{"an_older_module_leaves_it_alone", additionOlderModule},
	{"two_modules_add_columns", additionOrder},
	{"of_every_type", additionTypes},
	{"what_is_not_added_is_refused", additionRefused},
	{"somebody_has_added_one_of_that_name", additionByHand},
	{"somebody_has_dropped_it_again", additionDropped},
	{"hosts_of_both_modules_at_once", additionAtOnce},
	{"before_the_first_event", additionUnused},
	{"a_candidate_has_it_from_the_first_event_on", additionCandidate},
	{"a_candidate_gets_it_in_place", additionOfCandidate},
	{"views_and_indexes_over_it", additionUsed},
}

// The entries of noted beside those of totals.
const totalsNote = 4

// later is a column that old rows may lack.
func later(name, kind string) store.Column {
	return store.Column{Name: name, Type: typed(kind), Backfill: store.BackfillNone}
}

// noted is sums with a column note, which it writes and reads.
func noted(version int) *store.Projection {
	p := sums(version)
	p.Tables[0].Columns = append(p.Tables[0].Columns, later("note", "text"))
	p.Writes = append(p.Writes, store.Write{
		Name: "note", Action: store.Upsert, Table: "total",
		Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}, {Name: "note"}},
	})
	p.Queries[0] = store.Query{
		Name: "all", SQL: anySQL(`SELECT name, n, note FROM {table} ORDER BY name`), Results: types("text", "i64", "text"),
		Unordered: true,
	}
	return p
}

func note(name, text string) store.Mutation {
	return mutate(totalsNote, store.Text(name), store.I64(1), store.Text(text))
}

// run installs another module of the version, which the worker goes on with.
func (r *runner) run(p *store.Projection) {
	r.Helper()
	catalogue, err := r.store.Install(r.ctx, p, 1)
	r.must(err)
	r.projection, r.catalogue, r.folder = p, catalogue, store.NewFolder(p)
}

// wantColumns compares what readers see of the table of sums: its columns, and its rows.
func (f *fixture) wantColumns(what, columns, rows string) {
	f.Helper()
	if got := f.columnsOf("sums", "total"); got != columns {
		f.Errorf("%s: readers see the columns %q, want %q", what, got, columns)
	}
	got := strings.Split(f.view("sums", "total"), "; ")
	slices.Sort(got)
	if text := strings.Join(got, "; "); text != rows {
		f.Errorf("%s: readers see %q, want %q", what, text, rows)
	}
}

// declaredOf is what is stored of the declaration and the tables of a version of sums.
func (f *fixture) declaredOf(version int) string {
	f.Helper()
	versions, err := f.store.Installed(f.ctx, "sums")
	f.must(err)
	return versions.OfVersion(version).Declared + versions.OfVersion(version).Shapes
}

func additionInPlace(f *fixture) {
	r := f.used(sums(1))
	before := f.status("sums")
	r.run(noted(1)) // and the claim holds
	f.wantColumns("added", "name n note", "a 1 NULL")
	r.apply(note("b", "x"), put("c", 1))
	r.apply(note("a", "y"))
	if got := r.table(); got != "a 2 y; b 1 x; c 1 NULL" {
		f.Errorf("the table is %q", got)
	}
	rows := f.rows(noted(1), "total", nil)
	if rows != "a 2 y; b 1 x; c 1 NULL" {
		f.Errorf("the rows are %q", rows)
	}
	stored := f.declaredOf(1)
	r.run(noted(1)) // there is nothing to do
	if again := f.declaredOf(1); again != stored {
		f.Errorf("stored is %s, before %s", again, stored)
	}
	after := f.status("sums")
	if after.Segments[0].Epoch != before.Segments[0].Epoch || !after.InstalledAt.Equal(before.InstalledAt) {
		f.Errorf("the status is %+v, before %+v", after, before)
	}
}

// additionOlderModule has a host of the older module come back again and again, as in a deployment that is rolled out.
func additionOlderModule(f *fixture) {
	r := f.used(sums(1))
	old := r.catalogue
	r.run(noted(1))
	r.apply(note("b", "x"))
	stored := f.declaredOf(1)
	r.projection, r.catalogue, r.folder = sums(1), old, store.NewFolder(sums(1)) // it runs meanwhile
	r.apply(put("b", 1))
	for range 2 {
		r.run(sums(1))
		r.apply(put("b", 1), put("d", 1))
		if got := f.declaredOf(1); got != stored {
			f.Errorf("with the older module, stored is %s, before %s", got, stored)
		}
		r.run(noted(1))
		r.apply(note("c", "y"))
	}
	f.wantColumns("in turns", "name n note", "a 1 NULL; b 4 x; c 2 y; d 2 NULL")
	r.run(sums(1))
	p := noted(1)
	p.Tables[0].Columns[2].Backfill = "" // the column is there: the word has no meaning any more
	r.run(p)
	r.run(sums(1))
	if got := f.declaredOf(1); got != stored {
		f.Errorf("without the word, stored is %s, before %s", got, stored)
	}
}

// additionOrder has modules that know other columns: they are in the order in which they came.
func additionOrder(f *fixture) {
	with := func(names ...string) *store.Projection {
		p := sums(1)
		for _, name := range names {
			p.Tables[0].Columns = append(p.Tables[0].Columns, later(name, "i64"))
		}
		return p
	}
	r := f.used(sums(1))
	r.run(with("b"))
	r.run(with("a", "c"))
	f.wantColumns("of two modules", "name n b a c", "a 1 NULL NULL NULL")
	for _, p := range []*store.Projection{with("b", "c"), with("c"), with("b", "a", "c", "d"), with()} {
		r.run(p)
	}
	f.wantColumns("of all modules", "name n b a c d", "a 1 NULL NULL NULL NULL")
	f.wantCatalogueError("another order", with("a", "b"), `table "total": the columns are in another order`)
	f.wantCatalogueError("in front of one that is there", with("e", "b"), `table "total": column "e" is new`,
		`can be added behind column "b" only`, "declare it last", "raise the version")
	r.apply(put("a", 1))
}

// additionTypes adds a column of every type, with names that are words of SQL.
func additionTypes(f *fixture) {
	p := sums(1)
	names := []string{"select", "from", "table", "group", "order", "null", "default", "check", "add", "column"}
	kinds := []string{"bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz", "uuid", "text[]"}
	write := store.Write{Name: "all", Action: store.Upsert, Table: "total", Columns: []store.WriteColumn{{Name: "n"}}}
	for i, kind := range kinds {
		p.Tables[0].Columns = append(p.Tables[0].Columns, later(names[i], kind))
		write.Columns = append(write.Columns, store.WriteColumn{Name: names[i]})
	}
	p.Writes = append(p.Writes, write)
	p.Queries = append(p.Queries, store.Query{Name: "loaded", Table: "total", Columns: names})
	r := f.used(sums(1))
	r.run(p)
	r.apply(mutate(totalsNote, store.Text("b"), store.I64(1), store.Bool(true), store.I64(-1), store.F64(0.5),
		numeric("1.50"), store.Text("x"), store.BytesOf(store.KindBytes, []byte{0xab}),
		store.BytesOf(store.KindJSON, []byte(`{}`)), store.Timestamp(7),
		store.BytesOf(store.KindUUID, append([]byte{1}, make([]byte, 15)...)),
		store.ArrayOf(store.KindText, []store.Value{store.Text("e")})))
	got := show(r.query(2, store.ArrayOf(store.KindText, []store.Value{store.Text("a"), store.Text("b")})))
	want := "0 NULL NULL NULL NULL NULL NULL NULL NULL NULL NULL; 1 true -1 3fe0000000000000 1.5 x ab {} 7 " +
		"01000000000000000000000000000000 [e]"
	if got != want {
		f.Errorf("the rows are %q, want %q", got, want)
	}
	r.run(sums(1))
	r.run(p)
}

func additionRefused(f *fixture) {
	r := f.used(sums(1))
	for _, c := range []struct {
		name   string
		change func(t *store.Table)
		words  []string
	}{
		{"without the word", func(t *store.Table) {
			t.Columns = append(t.Columns, store.Column{Name: "note", Type: typed("text")})
		}, []string{`table "total": column "note" is new`, `give it backfill "none" if it may stay NULL there`, "or raise the version"}},
		{"in the middle", func(t *store.Table) {
			t.Columns = slices.Insert(t.Columns, 1, later("note", "text"))
		}, []string{`table "total": column "note" is new, and can be added behind column "n" only`, "declare it last"}},
		{"at the beginning", func(t *store.Table) {
			t.Columns = slices.Insert(t.Columns, 0, later("note", "text"))
		}, []string{`column "note" is new, and can be added behind column "name" only`}},
		{"with another change", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "text"))
			t.Columns[1].NotNull = false
		}, []string{`table "total": column "n" was`}},
		{"with a check", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "text"))
			t.Checks = []store.Check{{Name: "some", SQL: anySQL("note <> ''")}}
		}, []string{`table "total": its checks was none`}},
		{"not null", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "text"))
			t.Columns[2].NotNull = true
		}, []string{`table "total": column "note" takes no null, so that it cannot have backfill "none"`}},
		{"with a default", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "text"))
			t.Columns[2].Default = []byte(`"x"`)
		}, []string{`column "note" has a default, so that`}},
		{"generated", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "i64"))
			t.Columns[2].Generated = anySQL("n + 1")
		}, []string{`column "note" is generated, so that`}},
		{"of the key", func(t *store.Table) {
			t.Columns = append(t.Columns, later("note", "text"))
			t.Key = append(t.Key, "note")
		}, []string{`column "note" is part of the key, so that`}},
		{"another word", func(t *store.Table) {
			t.Columns = append(t.Columns, store.Column{Name: "note", Type: typed("text"), Backfill: "all"})
		}, []string{`column "note" has backfill "all": the only one is "none"`}},
	} {
		p := sums(1)
		p.Tables[0].Columns = slices.Clone(p.Tables[0].Columns)
		c.change(&p.Tables[0])
		f.wantCatalogueError(c.name, p, c.words...)
		r.apply(put("a", 0))
	}
	f.wantColumns("refused", "name n", "a 1")
	bad := noted(1)
	bad.Writes[totalsNote] = store.Write{Name: "note", SQL: anySQL("DELETE FROM nowhere"), Unordered: true}
	f.wantCatalogueError("a bad statement", bad, `write "note"`)
	f.wantColumns("a bad statement", "name n", "a 1")
	r.run(noted(1))
	p := noted(1)
	p.Tables[0].Columns[2].Type = typed("i64")
	p.Writes, p.Queries = p.Writes[:1], nil
	f.wantCatalogueError("of another type", p, `column "note" was {"type":"text"}, and is {"type":"i64"} now`)
}

// additionByHand has the column already, from somebody who was faster.
func additionByHand(f *fixture) {
	r := f.used(sums(1))
	f.Query(f, "ALTER TABLE "+f.stored("sums", "total")+" ADD COLUMN note text")
	f.wantCatalogueError("a column of that name", noted(1), `table "total": column "note" is new`, "added by hand",
		"drop or rename that")
	f.Query(f, "ALTER TABLE "+f.stored("sums", "total")+" ADD COLUMN mine text")
	r.apply(put("a", 0))
	p := sums(1)
	p.Tables[0].Columns = append(p.Tables[0].Columns, later("more", "text"))
	r.run(p)
	f.wantColumns("behind those of others", "name n note mine more", "a 1 NULL NULL NULL")
}

// additionDropped drops the column by hand: then no module fits, also one that does not declare it.
func additionDropped(f *fixture) {
	r := f.used(sums(1))
	r.run(noted(1))
	f.Query(f, "DROP VIEW "+f.Table("sums", "total"))
	f.Query(f, "ALTER TABLE "+f.stored("sums", "total")+" DROP COLUMN note")
	for _, p := range []*store.Projection{noted(1), sums(1)} {
		f.wantCatalogueError("dropped", p, `table "total": column "note" was dropped or renamed since it was installed`)
	}
}

func additionAtOnce(f *fixture) {
	f.used(sums(1))
	hosts := f.hosts(6)
	for _, err := range concurrently(hosts, func(i int, host store.Store) error {
		_, err := host.Install(f.ctx, map[bool]*store.Projection{true: noted(1), false: sums(1)}[i%2 == 0], 1)
		return err
	}) {
		f.must(err)
	}
	f.wantColumns("at once", "name n note", "a 1 NULL")
}

func additionUnused(f *fixture) {
	f.claimed(f.store, sums(1), worker)
	_, err := f.store.Install(f.ctx, noted(1), 1)
	f.must(err)
	f.wantColumns("before the first event", "name n note", "")
	r := f.running(noted(1))
	r.apply(note("a", "x"))
	r.run(sums(1))
	r.apply(put("b", 1))
	f.wantColumns("made with it", "name n note", "a 1 x; b 1 NULL")
}

// additionCandidate builds a later version with the column, which readers see by turns with the one that got it in place
// and with one that never had it.
func additionCandidate(f *fixture) {
	first := f.used(sums(1))
	second := f.runningOn(f.store, noted(2), "worker-2")
	second.apply(note("a", "all"))
	first.run(noted(1))
	bare := sums(3)
	f.runningOn(f.store, bare, "worker-3").apply(put("a", 3))
	for _, step := range []struct {
		version       int
		columns, rows string
	}{
		{2, "name n note", "a 1 all"},
		{1, "name n note", "a 1 NULL"},
		{3, "name n", "a 3"},
		{1, "name n note", "a 1 NULL"},
		{3, "name n", "a 3"},
		{2, "name n note", "a 1 all"},
	} {
		f.promote(step.version)
		f.wantColumns(fmt.Sprintf("version %d", step.version), step.columns, step.rows)
	}
}

// additionOfCandidate adds it to a version that readers do not see.
func additionOfCandidate(f *fixture) {
	first := f.used(sums(1))
	second := f.runningOn(f.store, sums(2), "worker-2")
	second.apply(put("of", 2))
	second.run(noted(2))
	f.wantColumns("the live version", "name n", "a 1")
	second.apply(note("new", "x"))
	f.promote(2)
	f.wantColumns("promoted", "name n note", "new 1 x; of 2 NULL")
	first.apply(put("a", 0))
	f.rollback(2, 1)
	f.wantColumns("rolled back", "name n", "a 1")
}

// additionUsed has a view, an index and a statement over the new column.
func additionUsed(f *fixture) {
	r := f.used(sums(1))
	p := noted(1)
	p.Tables[0].Indexes = [][]string{{"note"}}
	p.Views = []store.View{{Name: "notes", SQL: anySQL("SELECT name, note FROM {total} WHERE note IS NOT NULL")}}
	p.Writes = append(p.Writes, store.Write{
		Name: "clear", SQL: anySQL("UPDATE {table} SET note = NULL WHERE name = $1"), Params: types("text"), PartitionParam: 1,
	})
	r.run(p)
	f.build(p)
	if got := f.indexes("sums", "total"); got != "name; note" {
		f.Errorf("the indexes are %s", got)
	}
	r.apply(note("b", "x"), note("c", "y"))
	r.apply(mutate(totalsNote+1, store.Text("b")))
	if got := f.view("sums", "notes"); got != "c y" {
		f.Errorf("the view has %q", got)
	}
	r.run(sums(1)) // the view goes, and the column stays
	f.wantColumns("an older module", "name n note", "a 1 NULL; b 1 NULL; c 1 y")
}
