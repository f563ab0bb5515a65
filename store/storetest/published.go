package storetest

import (
	"errors"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var publishedCases = []testCase{
	{"tables_as_declared_and_views_behind_them", publishedTables},
	{"rows_of_a_view", publishedView},
	{"an_unknown_projection", publishedUnknown},
	{"rows_by_values_of_every_type", publishedWhere},
	{"rows_by_several_values_in_order", publishedOrder},
	{"rows_by_what_cannot_be_compared", publishedRefused},
}

// published is what readers see of a projection.
func (f *fixture) published(projection string) *store.Projection {
	f.Helper()
	p, err := f.store.Published(f.ctx, projection)
	f.must(err)
	return p
}

// shownRows returns the rows that a request asks for, in the order that they come in.
func (f *fixture) shownRows(request store.RowsRequest) string {
	f.Helper()
	var rows store.Rows
	f.must(f.store.ReadRows(f.ctx, request, &rows))
	return show(rows)
}

// viewed is totals with a view of what is computed.
func viewed() *store.Projection {
	p := totals("sums")
	p.Views = []store.View{{Name: "loud", SQL: anySQL(`SELECT upper(name) AS name, n + 1 AS more, NULL AS gone FROM {total}`)}}
	return p
}

func publishedTables(f *fixture) {
	p := viewed()
	f.running(p).fill()
	got := f.published("sums")
	if got.Name != "sums" || got.Version != 1 || len(got.Tables) != 2 {
		f.Fatalf("published is %+v", got)
	}
	table, view := got.Tables[0], got.Tables[1]
	n, _ := table.Column("n")
	if table.Name != "total" || strings.Join(table.Key, " ") != "name" || n.Type != typed("i64") || !n.NotNull {
		f.Errorf("the table is %+v", table)
	}
	names := []string{}
	for _, c := range view.Columns {
		names = append(names, c.Name)
	}
	if view.Name != "loud" || len(view.Key) > 0 || strings.Join(names, " ") != "name more gone" {
		f.Errorf("the view is %+v", view)
	}
}

func publishedView(f *fixture) {
	f.running(viewed()).fill()
	p := f.published("sums")
	rows := strings.Split(f.shownRows(store.RowsRequest{Projection: p, Table: "loud"}), "; ")
	if len(rows) != 3 || !strings.Contains(strings.Join(rows, ";"), "B 3 NULL") {
		f.Errorf("the rows are %q", rows)
	}
	where := []store.ColumnValue{{Column: "name", Value: store.Text("C")}}
	if got := f.shownRows(store.RowsRequest{Projection: p, Table: "loud", Where: where, Ordered: true}); got != "C 4 NULL" {
		f.Errorf("the rows of C are %q", got)
	}
	if got := f.shownRows(store.RowsRequest{Projection: p, Table: "loud", Limit: 2}); strings.Count(got, ";") != 1 {
		f.Errorf("two rows are %q", got)
	}
}

func publishedUnknown(f *fixture) {
	f.installed(1)
	var input *store.InputError
	if _, err := f.store.Published(f.ctx, "none"); !errors.As(err, &input) ||
		!strings.Contains(err.Error(), "projection none is not known") {
		f.Errorf("got %v", err)
	}
}

// publishedWhere finds a row by each value that a type has samples of.
func publishedWhere(f *fixture) {
	for kind, values := range f.columnSamples() {
		if of := typed(kind); of.Array || of.Kind == store.KindJSON {
			continue
		}
		p := holder("where_"+kind, kind)
		r := f.running(p)
		for i, v := range append(values, store.Null()) {
			r.apply(mutate(0, store.I64(int64(i)), v))
		}
		published := f.published(p.Name)
		column := published.Tables[0].Columns[1].Name
		for _, v := range values {
			got := f.shownRows(store.RowsRequest{
				Projection: published, Table: "box", Where: []store.ColumnValue{{Column: column, Value: v}},
			})
			for _, row := range strings.Split(got, "; ") {
				if _, value, _ := strings.Cut(row, " "); value != showValue(v) {
					f.Errorf("%s: the row of %s is %q", kind, showValue(v), row)
				}
			}
		}
	}
}

func publishedOrder(f *fixture) {
	r := f.running(totals("sums"))
	for _, name := range []string{"d", "a", "é", "c", "B"} {
		r.apply(mutate(totalsPut, store.Text(name), store.I64(7)))
	}
	p := f.published("sums")
	request := store.RowsRequest{Projection: p, Table: "total", Ordered: true}
	if got := f.shownRows(request); got != "B 7; a 7; c 7; d 7; é 7" {
		f.Errorf("the rows are %q", got)
	}
	request.Limit = 2
	if got := f.shownRows(request); got != "B 7; a 7" {
		f.Errorf("the first two rows are %q", got)
	}
	request.Where = []store.ColumnValue{{Column: "n", Value: store.I64(7)}, {Column: "name", Value: store.Text("c")}}
	if got := f.shownRows(request); got != "c 7" {
		f.Errorf("the row of c with 7 is %q", got)
	}
	request.Key = []byte("d") // and c
	if got := f.shownRows(request); got != "" {
		f.Errorf("the row of c and of d is %q", got)
	}
	request.Where, request.Key = []store.ColumnValue{{Column: "name", Value: store.Text("' OR '1' = '1")}}, nil
	if got := f.shownRows(request); got != "" {
		f.Errorf("the row with a name in SQL is %q", got)
	}
}

func publishedRefused(f *fixture) {
	p := totals("sums")
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "tags", Type: typed("text[]")},
		store.Column{Name: "data", Type: typed("json")})
	f.running(p)
	published := f.published("sums")
	for want, where := range map[string]store.ColumnValue{
		"column other is not one of total: it has name, n, tags, data": {Column: "other", Value: store.I64(1)},
		"column n is i64, the value is text":                           {Column: "n", Value: store.Text("1")},
		"column n is i64, the value is null":                           {Column: "n", Value: store.Null()},
		"column tags is text[], which cannot be compared":              {Column: "tags", Value: store.Text("1")},
		"column data is json, which cannot be compared":                {Column: "data", Value: store.Text("1")},
	} {
		var rows store.Rows
		var input *store.InputError
		err := f.store.ReadRows(f.ctx, store.RowsRequest{
			Projection: published, Table: "total", Where: []store.ColumnValue{where},
		}, &rows)
		if !errors.As(err, &input) || err.Error() != want {
			f.Errorf("got %v, want %s", err, want)
		}
	}
}
