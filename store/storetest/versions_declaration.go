package storetest

import (
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// versionColumns has a version with a column more, one with a column of another type, and one with other names.
func versionColumns(f *fixture) {
	f.used(sums(1))
	more, retyped, renamed := sums(2), sums(3), sums(4)
	more.Tables[0].Columns = append(more.Tables[0].Columns, store.Column{Name: "note", Type: typed("text")})
	retyped.Tables[0].Columns[1].Type = typed("numeric")
	retyped.Writes, retyped.Queries = retyped.Writes[:2], nil
	renamed.Tables[0].Columns[1].Name = "amount"
	renamed.Writes, renamed.Queries = []store.Write{{
		Name: "put", Action: store.Upsert, Table: "total",
		Columns: []store.WriteColumn{{Name: "amount"}},
	}}, nil
	f.runningOn(f.store, more, "worker-2").apply(put("of", 2))
	f.runningOn(f.store, retyped, "worker-3").apply(mutate(totalsPut, store.Text("of"), numeric("3.5")))
	f.runningOn(f.store, renamed, "worker-4").apply(put("of", 4))
	for _, step := range []struct {
		version       int
		columns, rows string
	}{
		{2, "name n note", "of 2 NULL"},
		{4, "name amount", "of 4"},
		{1, "name n", "a 1"},
		{3, "name n", "of 3.5"},
		{2, "name n note", "of 2 NULL"},
	} {
		f.promote(step.version)
		if got := f.columnsOf("sums", "total"); got != step.columns {
			f.Errorf("version %d: readers see columns %q", step.version, got)
		}
		if got := f.view("sums", "total"); got != step.rows {
			f.Errorf("version %d: readers see %q", step.version, got)
		}
	}
}

func numeric(text string) store.Value { return store.BytesOf(store.KindNumeric, []byte(text)) }

// versionTables has a second version with another table and without the view of the first.
func versionTables(f *fixture) {
	f.used(shared(1))
	other := shared(2)
	other.Views = nil
	other.Tables = append(other.Tables, store.Table{
		Name: "extra", Key: []string{"name"}, Columns: []store.Column{{Name: "name", Type: typed("text"), Partition: true}},
	})
	other.Writes = append(slices.Clone(other.Writes[:1]), store.Write{Name: "more", Action: store.Upsert, Table: "extra"})
	other.Queries = nil
	f.runningOn(f.store, other, "worker-2").apply(mutate(1, store.Text("x")))
	want := func(large, extra bool) {
		f.Helper()
		if a, b := f.exists(f.Table("sums", "large")), f.exists(f.Table("sums", "extra")); a != large || b != extra {
			f.Errorf("the views are there: %t and %t, want %t and %t", a, b, large, extra)
		}
	}
	want(true, false)
	f.promote(2)
	want(false, true)
	if got := f.view("sums", "extra"); got != "x" {
		f.Errorf("the new table has %q", got)
	}
	f.rollback(2, 1)
	want(true, false)
}
