package store_test

import (
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
