package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestChanges_namesAllDifferences has each kind of difference between two versions, and several at once.
func TestChanges_namesAllDifferences(t *testing.T) {
	t.Parallel()
	fines := func(p *store.Projection) *store.Table { return &p.Tables[0] }
	for name, c := range map[string]struct {
		change func(p *store.Projection)
		want   []string
	}{
		"nothing":     {func(p *store.Projection) { p.Version = 2 }, nil},
		"the program": {func(p *store.Projection) { p.Writes, p.Queries = p.Writes[:1], nil }, nil},
		"an index":    {func(p *store.Projection) { fines(p).Indexes = [][]string{{"at"}} }, nil},
		"a table more": {func(p *store.Projection) {
			p.Tables = append(p.Tables, store.Table{Name: "more", Columns: p.Tables[1].Columns})
		}, []string{`table "more": is new`}},
		"a table less": {func(p *store.Projection) { p.Tables = p.Tables[:1] }, []string{`table "log": is no longer declared`}},
		"a column more": {func(p *store.Projection) {
			fines(p).Columns = append(fines(p).Columns, store.Column{Name: "x", Type: typed("i64")})
		}, []string{`table "fines": column "x" is new`}},
		"a column that old rows may lack": {func(p *store.Projection) {
			fines(p).Columns = append(fines(p).Columns, store.Column{Name: "x", Type: typed("i64"), Backfill: store.BackfillNone})
		}, []string{`table "fines": column "x" is new`}},
		"its word alone": {func(p *store.Projection) { fines(p).Columns[2].Backfill = store.BackfillNone }, nil},
		"a column more, in another order": {func(p *store.Projection) {
			fines(p).Columns = append(fines(p).Columns, store.Column{Name: "x", Type: typed("i64")})
			slices.Reverse(fines(p).Columns)
		}, []string{`table "fines": column "x" is new`, `table "fines": the columns are in another order`}},
		"a column less": {func(p *store.Projection) { fines(p).Columns = fines(p).Columns[:8] }, []string{`table "fines": column "d" is no longer declared`}},
		"a type":        {func(p *store.Projection) { fines(p).Columns[3].Type = typed("numeric") }, []string{`table "fines": column "f" was {"type":"f64"}, and is {"type":"numeric"} now`}},
		"the order of columns": {
			func(p *store.Projection) { slices.Reverse(fines(p).Columns) },
			[]string{`table "fines": the columns are in another order`},
		},
		"the key": {
			func(p *store.Projection) { fines(p).Key = []string{"member", "n"} },
			[]string{
				`table "fines": its key was ["member"], and is ["member","n"] now`,
				`table "fines": column "n" was {"default":0,"type":"i64"}, and is {"default":0,"not_null":true,"type":"i64"} now`,
			},
		},
		"the ordering": {
			func(p *store.Projection) { p.Order = store.OrderStream },
			[]string{`projection "fine_balance": its ordering was "global", and is "stream" now`},
		},
		"a view": {
			func(p *store.Projection) {
				p.Views = []store.View{{Name: "v", SQL: store.Statement{store.DialectAny: "SELECT 1"}}}
			},
			[]string{`view "v": is new`},
		},
		"several": {
			func(p *store.Projection) {
				p.Tables[1].Name = "journal"
				fines(p).Columns[2].Name = "text"
			},
			[]string{
				`table "fines": column "t" is no longer declared`, `table "fines": column "text" is new`,
				`table "journal": is new`, `table "log": is no longer declared`,
			},
		},
	} {
		before, after := valid(), valid()
		c.change(after)
		changes, err := after.Changes(store.DialectSQLite, before.Declaration(store.DialectSQLite))
		must(t, err)
		var got []string
		for _, change := range changes {
			got = append(got, change.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: the changes are\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	if _, err := valid().Changes(store.DialectSQLite, "no JSON"); err == nil {
		t.Error("a declaration that cannot be read is compared")
	}
}

// TestChanges_ofViews are none where a version is compared with itself: views may change under it.
func TestChanges_ofViews(t *testing.T) {
	t.Parallel()
	view := func(sql ...string) *store.Projection {
		p := valid()
		for i, text := range sql {
			p.Views = append(p.Views, store.View{Name: string(rune('a' + i)), SQL: store.Statement{store.DialectAny: text}})
		}
		return p
	}
	before, after := view("SELECT 1", "SELECT 2", "SELECT 3"), view("SELECT 1", "SELECT 3")
	declared := before.Declaration(store.DialectSQLite)
	changes, err := after.Changes(store.DialectSQLite, declared)
	must(t, err)
	if len(changes) != 2 || changes[0].String() != `view "b": has another query` ||
		changes[1].String() != `view "c": is no longer declared` {
		t.Errorf("the changes are %v", changes)
	}
	must(t, after.CheckDeclaration(store.DialectSQLite, declared))
}

// TestMissing_leavesOutWhatServes leaves out what the key, another index or a declared one serves.
func TestMissing_leavesOutWhatServes(t *testing.T) {
	t.Parallel()
	found := store.TableShape{Indexes: []store.IndexShape{{Columns: []string{"a", "b"}, Unique: true}}}
	declared := [][]string{{"a"}, {"b"}, {"a", "b"}, {"b", "c"}, {"b"}, {"a", "c"}}
	if got := found.Missing(declared); !slices.Equal(got, []int{1, 3, 5}) {
		t.Errorf("missing are %v", got)
	}
	if len(found.Indexes) != 1 {
		t.Errorf("the shape has %v now", found.Indexes)
	}
}

// TestJoin_keepsTheColumnsOfBoth has what is stored after an older and a newer module of one version.
func TestJoin_keepsTheColumnsOfBoth(t *testing.T) {
	t.Parallel()
	later := func(name string) store.Column {
		return store.Column{Name: name, Type: typed("text"), Backfill: store.BackfillNone}
	}
	with := func(columns ...store.Column) *store.Projection {
		p := valid()
		p.Tables[0].Columns = append(p.Tables[0].Columns, columns...)
		return p
	}
	stored := valid().Declaration(store.DialectSQLite)
	for i, step := range []struct {
		module *store.Projection
		adds   string
	}{
		{valid(), "[]"},
		{with(later("x")), "[fines (x)]"},
		{valid(), "[]"},
		{with(later("y"), later("z")), "[fines (y) fines (z)]"},
		{with(store.Column{Name: "x", Type: typed("text")}, later("z")), "[]"},
		{with(), "[]"},
	} {
		step.module.Version = 1
		must(t, step.module.Validate())
		must(t, step.module.CheckDeclaration(store.DialectSQLite, stored))
		installed, err := store.ReadInstalled(store.ProjectionID{Name: "fine_balance", Version: 1}, stored, "[]")
		must(t, err)
		joined, added := installed.Join(step.module)
		if got := fmt.Sprint(added); got != step.adds {
			t.Errorf("step %d adds %s, want %s", i, got, step.adds)
		}
		if len(step.module.Tables[0].Columns) > len(joined.Tables[0].Columns) {
			t.Errorf("step %d has lost columns", i)
		}
		stored = joined.Declaration(store.DialectSQLite)
		again, err := store.ReadInstalled(store.ProjectionID{Name: "fine_balance", Version: 1}, stored, "[]")
		must(t, err)
		if twice := again.Declaration(store.DialectSQLite); twice != stored {
			t.Errorf("step %d: read and written again it is %s, not %s", i, twice, stored)
		}
	}
	if want := with(later("x"), later("y"), later("z")).Declaration(store.DialectSQLite); stored != want {
		t.Errorf("in the end stored is\n%s\nwant\n%s", stored, want)
	}
}

// TestShapesWith_refusesAColumnThatIsNotThere has tables without what was added.
func TestShapesWith_refusesAColumnThatIsNotThere(t *testing.T) {
	t.Parallel()
	added := []store.NewColumn{{Table: "t", Column: "x"}}
	installed := store.Installed{Shapes: `[{"name":"t","columns":[{"name":"a","type":"TEXT"}]}]`}
	found := []store.TableShape{{Name: "t", Columns: []store.ColumnShape{{Name: "mine"}, {Name: "x", Type: "TEXT"}}}}
	text, err := installed.ShapesWith(added, found)
	if want := `[{"name":"t","columns":[{"name":"a","type":"TEXT"},{"name":"x","type":"TEXT"}]}]`; err != nil || text != want {
		t.Errorf("the shapes are %s, %v", text, err)
	}
	if _, err := installed.ShapesWith(added, found[:0]); err == nil {
		t.Error("a table that is not there is accepted")
	}
	installed.Shapes = "no JSON"
	if _, err := installed.ShapesWith(added, found); err == nil {
		t.Error("shapes that cannot be read are accepted")
	}
}
