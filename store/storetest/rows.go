package storetest

import (
	"errors"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var rowsCases = []testCase{
	{"rows_of_a_table_and_of_a_key", rowsOfKey},
	{"rows_by_keys_of_every_type", rowsByType},
	{"rows_of_every_type", rowsEveryType},
	{"rows_of_another_table_are_refused", rowsRefused},
	{"rows_that_are_too_large_are_refused", rowsTooLarge},
}

// rows returns the rows of a table, or those of a key, in order of their texts.
func (f *fixture) rows(projection *store.Projection, table string, key []byte) string {
	f.Helper()
	var rows store.Rows
	f.must(f.store.ReadRows(f.ctx, store.RowsRequest{Projection: projection, Table: table, Key: key}, &rows))
	lines := strings.Split(show(rows), "; ")
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func rowsOfKey(f *fixture) {
	p := totals("sums")
	r := f.running(p)
	r.fill()
	if got := f.rows(p, "total", nil); got != "a 1; b 2; c 3" {
		f.Errorf("all rows are %q", got)
	}
	for key, want := range map[string]string{"b": "b 2", "x": "", "": "", "\xff": "", "b\x00": ""} {
		if got := f.rows(p, "total", []byte(key)); got != want {
			f.Errorf("rows of %q are %q, want %q", key, got, want)
		}
	}
	shared := totals("shared")
	shared.Tables[0].Columns[0].Partition, shared.Tables[0].Columns[1].NotNull = false, false
	shared.Queries, shared.Writes = nil, shared.Writes[:1]
	f.running(shared)
	if got := f.rows(shared, "total", []byte("b")); got != "" {
		f.Errorf("rows of a key in a shared table are %q", got)
	}
}

// rowsByType has a table for each type that can hold a partition key.
func rowsByType(f *fixture) {
	id := store.UUID{1, 0xab}
	for kind, c := range map[string]struct {
		value store.Value
		key   string
		no    []string // other spellings, which are other keys
	}{
		"text":    {store.Text("é"), "é", []string{"É", "é "}},
		"i64":     {store.I64(-7), "-7", []string{"-07", "−7", "7", "x", ""}},
		"bool":    {store.Bool(true), "true", []string{"TRUE", "t", "1"}},
		"uuid":    {store.BytesOf(store.KindUUID, id[:]), id.String(), []string{strings.ToUpper(id.String()), "x"}},
		"numeric": {store.BytesOf(store.KindNumeric, []byte("1.50")), "1.5", []string{"1.50", "+1.5", "1,5"}},
	} {
		p := totals("by_" + kind)
		p.Tables[0].Columns[0].Type = typed(kind)
		p.Queries, p.Writes = nil, p.Writes[:1]
		r := f.running(p)
		r.apply(mutate(totalsPut, c.value, store.I64(1)))
		want := showValue(c.value) + " 1"
		if got := f.rows(p, "total", []byte(c.key)); got != want {
			f.Errorf("%s: rows of %q are %q, want %q", kind, c.key, got, want)
		}
		for _, other := range c.no {
			if got := f.rows(p, "total", []byte(other)); got != "" {
				f.Errorf("%s: rows of %q are %q", kind, other, got)
			}
		}
	}
}

func rowsEveryType(f *fixture) {
	for kind, values := range f.columnSamples() {
		p := holder("rows_"+kind, kind)
		r := f.running(p)
		for i, v := range append(values, store.Null()) {
			r.apply(mutate(0, store.I64(int64(i)), v))
		}
		want := strings.Split(show(r.query(0)), "; ")
		slices.Sort(want)
		if got := f.rows(p, "box", nil); got != strings.Join(want, "; ") {
			f.Errorf("%s: rows are %q, want %q", kind, got, want)
		}
	}
}

func rowsRefused(f *fixture) {
	p := totals("sums")
	f.running(p)
	var rows store.Rows
	var input *store.InputError
	err := f.store.ReadRows(f.ctx, store.RowsRequest{Projection: p, Table: "other"}, &rows)
	if !errors.As(err, &input) {
		f.Errorf("a table that is not declared: %v", err)
	}
	changed := totals("sums")
	changed.Tables[0].Columns[1].Name = "amount"
	err = f.store.ReadRows(f.ctx, store.RowsRequest{Projection: changed, Table: "total"}, &rows)
	var changedByHand *store.StatementError
	if !errors.As(err, &changedByHand) || !strings.Contains(err.Error(), `cannot run rows of table "total", `) ||
		!strings.Contains(err.Error(), "amount") {
		f.Errorf("a column that is not there: %v", err)
	}
}

func rowsTooLarge(f *fixture) {
	p := totals("sums")
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "note", Type: typed("text")})
	p.Writes[totalsPut].Columns = append(p.Writes[totalsPut].Columns, store.WriteColumn{Name: "note"})
	r := f.running(p)
	note := store.Text(strings.Repeat("x", store.ResultBytesMax/4))
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		r.apply(mutate(totalsPut, store.Text(name), store.I64(1), note))
	}
	var rows store.Rows
	err := f.store.ReadRows(f.ctx, store.RowsRequest{Projection: p, Table: "total"}, &rows)
	var rejection *store.RejectedError
	if !errors.As(err, &rejection) || !strings.Contains(err.Error(), "more than 64 MiB") {
		f.Errorf("five rows of 16 MiB: %v", err)
	}
	f.must(f.store.ReadRows(f.ctx, store.RowsRequest{Projection: p, Table: "total", Key: []byte("c")}, &rows))
	if len(rows.Values) != 3 {
		f.Errorf("one of them has %d values", len(rows.Values))
	}
}
