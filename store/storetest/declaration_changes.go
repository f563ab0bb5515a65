package storetest

import (
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// declared is a projection whose declaration has one of everything. Its program writes the key alone, so that it
// fits whatever becomes of the rest.
func declared() *store.Projection {
	return &store.Projection{
		Name: "sums", Version: 1,
		Tables: []store.Table{
			{Name: "total", Key: []string{"name", "kind"}, Indexes: [][]string{{"n"}}, Columns: []store.Column{
				{Name: "name", Type: typed("text"), Partition: true},
				{Name: "kind", Type: typed("i64")},
				{Name: "n", Type: typed("i64"), NotNull: true, Default: []byte("0")},
				{Name: "f", Type: typed("f64"), Default: []byte("1.5")},
				{Name: "exact", Type: typed("numeric"), Default: []byte("1.50")},
				{Name: "note", Type: typed("text"), Default: []byte(`"none"`)},
			}},
			{Name: "log", Columns: []store.Column{{Name: "line", Type: typed("text")}}},
		},
		Writes: []store.Write{{Name: "put", Action: store.InsertIgnore, Table: "total"}},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT name, kind FROM {total} ORDER BY name`),
			Results: types("text", "i64"), Unordered: true,
		}},
	}
}

type declarationChange struct {
	name   string
	change func(p *store.Projection)
	words  []string
}

func declarationChanges() []declarationChange { //nolint:funlen // a table of cases
	column := func(index int, change func(c *store.Column)) func(*store.Projection) {
		return func(p *store.Projection) { change(&p.Tables[0].Columns[index]) }
	}
	added := func(c store.Column) func(*store.Projection) {
		return func(p *store.Projection) { p.Tables[0].Columns = append(p.Tables[0].Columns, c) }
	}
	return []declarationChange{
		{"a table", func(p *store.Projection) {
			p.Tables = append(p.Tables, store.Table{
				Name:    "second",
				Columns: []store.Column{{Name: "x", Type: typed("i64")}},
			})
		}, []string{`table "second": is new`}},
		{
			"a table less", func(p *store.Projection) { p.Tables = p.Tables[:1] },
			[]string{`table "log": is no longer declared`},
		},
		{
			"a column", added(store.Column{Name: "extra", Type: typed("text")}),
			[]string{`table "total": column "extra" is new`},
		},
		{
			"a column with a default", added(store.Column{Name: "extra", Type: typed("i64"), Default: []byte("1")}),
			[]string{`column "extra" is new`},
		},
		{
			"a column that is not null", added(store.Column{
				Name: "extra", Type: typed("i64"), Default: []byte("1"),
				NotNull: true,
			}),
			[]string{`column "extra" is new`},
		},
		{
			"a column less", func(p *store.Projection) { p.Tables[0].Columns = p.Tables[0].Columns[:5] },
			[]string{`table "total": column "note" is no longer declared`},
		},
		{
			"the order of columns", func(p *store.Projection) { slices.Reverse(p.Tables[0].Columns) },
			[]string{`table "total": the columns are in another order`},
		},
		{
			"a type", column(2, func(c *store.Column) { c.Type = typed("numeric") }),
			[]string{`table "total": column "n" was`, "i64", "numeric"},
		},
		{
			"an array", column(5, func(c *store.Column) { c.Type, c.Default = typed("text[]"), nil }),
			[]string{`column "note" was`, "text[]"},
		},
		{"not null", column(5, func(c *store.Column) { c.NotNull = true }), []string{`column "note" was`, "not_null"}},
		{"null", column(2, func(c *store.Column) { c.NotNull = false }), []string{`column "n" was`, "not_null"}},
		{"a default", column(2, func(c *store.Column) { c.Default = []byte("7") }), []string{`column "n" was`, "7"}},
		{"no default", column(5, func(c *store.Column) { c.Default = nil }), []string{`column "note" was`, "none"}},
		{"a longer default", column(5, func(c *store.Column) {
			c.Default = []byte(`"` + strings.Repeat("long ", 100) +
				`"`)
		}), []string{`column "note" was`, "…"}},
		{
			"a key of more columns", func(p *store.Projection) { p.Tables[0].Key = []string{"name", "kind", "n"} },
			[]string{`table "total": its key was ["name","kind"], and is ["name","kind","n"] now`},
		},
		{
			"a key of fewer columns", func(p *store.Projection) { p.Tables[0].Key = []string{"name"} },
			[]string{`its key was ["name","kind"], and is ["name"] now`},
		},
		{
			"the order of the key", func(p *store.Projection) { slices.Reverse(p.Tables[0].Key) },
			[]string{`its key was ["name","kind"], and is ["kind","name"] now`},
		},
		{
			"a key where there was none", func(p *store.Projection) { p.Tables[1].Key = []string{"line"} },
			[]string{`table "log": its key was none`},
		},
		{"a check", func(p *store.Projection) {
			p.Tables[1].Checks = []store.Check{{Name: "some", SQL: anySQL(`line <> ''`)}}
		}, []string{`table "log": its checks was none, and is`}},
		{
			"a generated column", added(store.Column{Name: "extra", Type: typed("i64"), Generated: anySQL("n + 1")}),
			[]string{`column "extra" is new`},
		},
		{"a column that is generated", column(2, func(c *store.Column) {
			c.Default, c.Generated = nil,
				anySQL("kind")
		}), []string{`column "n" was`, "generated"}},
		{
			"the ordering", func(p *store.Projection) { p.Order = store.OrderGlobal },
			[]string{`projection "sums": its ordering was "stream", and is "global" now`},
		},
	}
}
