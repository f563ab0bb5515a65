package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// declarationCases are about an install that finds the projection there already, by the same version: what changed
// in its declaration, and what somebody changed in its tables.
var declarationCases = []testCase{
	{"a_change_is_refused", declarationChanged},
	{"the_program_may_change", declarationProgram},
	{"an_index_is_added", declarationIndex},
	{"before_the_first_event_everything_may_change", declarationUnused},
	{"before_the_first_event_a_later_version_takes_over", declarationUnusedVersion},
	{"before_the_first_event_the_ordering_may_change", declarationUnusedOrdering},
	{"before_the_first_event_a_claim_is_fenced", declarationUnusedClaim},
	{"before_the_first_event_rows_are_not_dropped", declarationUnusedRows},
	{"a_table_changed_by_hand_is_refused", declarationByHand},
	{"a_table_changed_by_hand_before_the_first_event", declarationByHandUnused},
	{"what_is_added_by_hand_is_left_alone", declarationAddedByHand},
}

// used is the projection with a row, of an event that is applied.
func (f *fixture) used(p *store.Projection) *runner {
	f.Helper()
	r := f.running(p)
	r.apply(mutate(0, store.Text("a"), store.I64(1)))
	return r
}

// wantRow checks that a projection has its row still, and applies the next event.
func (r *runner) wantRow(after string) {
	r.Helper()
	if got := r.table(); got != "a 1" {
		r.Errorf("%s: the table is %q", after, got)
	}
	if err := r.commit(mutate(0, store.Text("a"), store.I64(1))); err != nil {
		r.Errorf("%s: the next commit: %v", after, err)
	}
}

func declarationChanged(f *fixture) {
	r := f.used(declared())
	for _, c := range declarationChanges() {
		p := declared()
		c.change(p)
		f.wantCatalogueError(c.name, p, append(c.words, "raise the version, which is then built beside version 1",
			"from the first event")...)
		r.wantRow(c.name)
	}
	if status := f.status("sums"); status.Version != 1 || len(status.Segments) != 1 ||
		status.Segments[0].Owner != worker {
		f.Errorf("status is %+v", status)
	}
	_, err := f.store.Install(f.ctx, declared(), 1)
	f.must(err)
	r.wantRow("the same again")
}

func declarationProgram(f *fixture) {
	r := f.used(declared())
	for name, change := range map[string]func(p *store.Projection){
		"writes": func(p *store.Projection) {
			p.Writes = append(p.Writes, store.Write{
				Name: "note", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "note"}},
			})
		},
		"queries":                      func(p *store.Projection) { p.Queries = p.Queries[:0] },
		"the subscription":             func(p *store.Projection) { p.Subscription.EventTypes = []string{"FineIssued"} },
		"an index less":                func(p *store.Projection) { p.Tables[0].Indexes = nil },
		"a key said to be not null":    func(p *store.Projection) { p.Tables[0].Columns[0].NotNull = true },
		"a spelling of a float":        func(p *store.Projection) { p.Tables[0].Columns[3].Default = []byte("15e-1") },
		"a spelling of an integer":     func(p *store.Projection) { p.Tables[0].Columns[2].Default = []byte("-0") },
		"a spelling of a text":         func(p *store.Projection) { p.Tables[0].Columns[5].Default = []byte(`"n\u006fne"`) },
		"the ordering that is default": func(p *store.Projection) { p.Order = store.OrderStream },
		"a view": func(p *store.Projection) {
			p.Views = []store.View{{Name: "names", SQL: anySQL("SELECT name FROM {total}")}}
		},
	} {
		p := declared()
		change(p)
		if _, err := f.store.Install(f.ctx, p, 1); err != nil {
			f.Errorf("%s: %v", name, err)
		}
		r.wantRow(name)
	}
}

// indexes returns the columns of the indexes of a table, sorted.
func (f *fixture) indexes(projection, table string) string { return f.indexesAs(projection, 1, table) }

func (f *fixture) indexesAs(projection string, version int, table string) string {
	f.Helper()
	var found []string
	for _, row := range f.Query(f, f.indexColumns(f.storedAs(projection, version, table))) {
		found = append(found, row[0])
	}
	slices.Sort(found)
	return strings.Join(found, "; ")
}

func (f *fixture) indexColumns(name string) string {
	if f.dialect == store.DialectSQLite {
		return fmt.Sprintf(`SELECT (SELECT group_concat(i.name) FROM pragma_index_info(l.name) AS i)
			FROM pragma_index_list('%s') AS l`, strings.Trim(name, `"`))
	}
	if f.dialect == store.DialectMySQL {
		return fmt.Sprintf("SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics "+
			"WHERE CONCAT('`', table_schema, '`.`', table_name, '`') = '%s' GROUP BY index_name", name)
	}
	return fmt.Sprintf(`SELECT (SELECT string_agg(a.attname, ',' ORDER BY n) FROM generate_series(0,
		i.indnkeyatts - 1) AS n
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n]) FROM pg_index i
		WHERE i.indrelid = '%s'::regclass`, name)
}

func declarationIndex(f *fixture) {
	r := f.used(declared())
	p := declared()
	p.Tables[0].Indexes = [][]string{{"note"}, {"n"}, {"n", "note"}, {"name"}, {"name", "kind"}}
	for range 2 {
		_, err := f.store.Install(f.ctx, p, 1)
		f.must(err)
		f.build(p)
		if got, want := f.indexes("sums", "total"), "n; n,note; name,kind; note"; got != want {
			f.Errorf("the indexes are %s, want %s", got, want)
		}
	}
	// An index that is declared no longer stays: hosts of two versions of a module would make and drop it in turns.
	_, err := f.store.Install(f.ctx, declared(), 1)
	f.must(err)
	if got, want := f.indexes("sums", "total"), "n; n,note; name,kind; note"; got != want {
		f.Errorf("the indexes are %s, want %s", got, want)
	}
	r.wantRow("indexes")
}

func declarationUnused(f *fixture) {
	_, err := f.store.Install(f.ctx, declared(), 3)
	f.must(err)
	for _, c := range declarationChanges() {
		p := declared()
		c.change(p)
		for range 2 {
			if _, err := f.store.Install(f.ctx, p, 3); err != nil {
				f.Errorf("%s: %v", c.name, err)
			}
		}
		_, err = f.store.Install(f.ctx, declared(), 3)
		f.must(err)
	}
	f.used(declared()).wantRow("changes")
}

func declarationUnusedVersion(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("sums"), 2)
	f.must(err)
	next := totals("sums")
	next.Version = 7
	next.Tables[0].Columns[1].Type = typed("numeric")
	_, err = f.store.Install(f.ctx, next, 2)
	f.must(err)
	if got := f.status("sums"); got.Version != 7 || len(got.Segments) != 2 {
		f.Errorf("status is %+v", got)
	}
	f.wantCatalogueError("a version of before", totals("sums"), `projection "sums"`,
		"has version 7 live, and version 1", "use that of version 7")
	r := f.running(next)
	r.apply(mutate(totalsPut, store.Text("a"), store.BytesOf(store.KindNumeric, []byte("1.5"))))
}

func declarationUnusedOrdering(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("sums"), 4)
	f.must(err)
	for _, c := range []struct {
		order store.Ordering
		want  int
	}{{store.OrderGlobal, 1}, {store.OrderStream, 4}, {store.OrderGlobal, 1}} {
		p := totals("sums")
		p.Order = c.order
		_, err := f.store.Install(f.ctx, p, 4)
		f.must(err)
		if got := len(f.status("sums").Segments); got != c.want {
			f.Errorf("ordering %s has %d segments, want %d", c.order, got, c.want)
		}
	}
	var input *store.InputError
	err = f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error { return l.Split(0, 2) })
	if !errors.As(err, &input) {
		f.Errorf("a split of one order: %v", err)
	}
}

func declarationUnusedClaim(f *fixture) {
	r := f.claimed(f.store, totals("sums"), worker)
	next := totals("sums")
	next.Tables[0].Columns = append(next.Tables[0].Columns, store.Column{Name: "extra", Type: typed("text")})
	_, err := f.store.Install(f.ctx, next, 1)
	f.must(err)
	r.wantFenced("tables of another declaration", r.claim)
	f.running(next).apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

func declarationUnusedRows(f *fixture) {
	f.claimed(f.store, declared(), worker)
	f.Query(f, "INSERT INTO "+f.stored("sums", "total")+" (name, kind) VALUES ('mine', 1)")
	p := declared()
	p.Tables[0].Columns = p.Tables[0].Columns[:5]
	f.wantCatalogueError("a table with rows", p, `column "note" is no longer declared`)
	if got := f.Query(f, "SELECT name, note FROM "+f.Table("sums", "total")); len(got) != 1 || got[0][1] != "none" {
		f.Errorf("the rows are %v", got)
	}
}

// eachByHand makes every change to a projection of its own.
func (f *fixture) eachByHand(used bool, check func(statement, projection string, words []string)) {
	for statement, words := range f.byHand() {
		f.cases++
		p := declared()
		p.Name = fmt.Sprintf("sums_%d", f.cases)
		if used {
			f.used(p)
		} else {
			f.claimed(f.store, p, worker)
		}
		in := strings.NewReplacer("{total}", f.stored(p.Name, "total"), "{log}", f.stored(p.Name, "log"), "{schema}",
			store.PlaceOf(store.DefaultSchema, p.ID()).Tables, "{database}", strings.Split(f.stored(p.Name, "total"), ".")[0],
			"moved", fmt.Sprintf("moved_%d", f.cases))
		for i := range p.Tables { // nobody changes a table under a view
			f.Query(f, "DROP VIEW "+f.Table(p.Name, p.Tables[i].Name))
		}
		for part := range strings.SplitSeq(in.Replace(statement), "; ") {
			f.Query(f, part)
		}
		check(statement, p.Name, words)
	}
}

func declarationByHand(f *fixture) {
	f.eachByHand(true, func(statement, projection string, words []string) {
		if !strings.Contains(words[0], "leaves out") {
			words = append(words, `Store.Reset("`+projection+`"), which deletes all rows`, "from the first event")
		}
		p := declared()
		p.Name = projection
		for range 2 { // and nothing is made again
			f.wantCatalogueError(statement, p, words...)
		}
		if status := f.status(projection); status.Segments[0].Position != f.at(1) {
			f.Errorf("%s: the checkpoint is %+v", statement, status)
		}
	})
}

func declarationByHandUnused(f *fixture) {
	f.eachByHand(false, func(statement, projection string, _ []string) {
		p := declared()
		p.Name = projection
		if _, err := f.store.Install(f.ctx, p, 1); err != nil {
			f.Errorf("%s: %v", statement, err)
			return
		}
		f.used(p).wantRow(statement)
	})
}

func declarationAddedByHand(f *fixture) {
	name := f.stored("sums", "total")
	r := f.used(declared())
	for _, statement := range []string{
		"ALTER TABLE " + name + " ADD COLUMN mine text", "ALTER TABLE " + name +
			" ADD COLUMN ours integer NOT NULL DEFAULT 0",
		"CREATE INDEX by_hand ON " + name + " (kind)", "CREATE VIEW by_hand_too AS SELECT * FROM " + name,
	} {
		f.Query(f, statement)
		if _, err := f.store.Install(f.ctx, declared(), 1); err != nil {
			f.Errorf("%s: %v", statement, err)
		}
		r.wantRow(statement)
	}
}
