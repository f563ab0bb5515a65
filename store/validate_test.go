package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// valid is a declaration with one of everything.
func valid() *store.Projection {
	return &store.Projection{
		Name: "fine_balance", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "fines", Key: []string{"member"}, Indexes: [][]string{{"n"}, {"t", "n"}}, Columns: []store.Column{
				{Name: "member", Type: typed("text")},
				{Name: "n", Type: typed("i64"), Default: []byte("0")},
				{Name: "t", Type: typed("text")},
				{Name: "f", Type: typed("f64")},
				{Name: "at", Type: typed("timestamptz")},
				{Name: "tags", Type: typed("text[]")},
				{Name: "j", Type: typed("json")},
				{Name: "b", Type: typed("bool")},
				{Name: "d", Type: typed("numeric")},
			}},
			{Name: "log", Columns: []store.Column{{Name: "line", Type: typed("text")}}},
		},
		Writes: []store.Write{
			{
				Name: "add", Action: store.Upsert, Table: "fines",
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}, {Name: "t"}},
			},
			{Name: "log", Action: store.Insert, Table: "log", Columns: []store.WriteColumn{{Name: "line"}}},
			{Name: "drop", Action: store.Delete, Table: "fines"},
			{Name: "raw", SQL: store.Statement{store.DialectAny: "DELETE FROM {log}"}},
		},
		Queries: []store.Query{
			{Name: "load", Table: "fines", Columns: []string{"n"}},
			{
				Name: "count", SQL: store.Statement{store.DialectAny: "SELECT count(*) FROM {log}"},
				Results: types("i64"),
			},
		},
	}
}

func TestProjection_Validate_acceptsAndFillsDefaults(t *testing.T) {
	t.Parallel()
	p := valid()
	must(t, p.Validate())
	empty := &store.Projection{Name: "empty", Version: 1}
	must(t, empty.Validate())
	if empty.Order != store.OrderStream || p.Writes[0].Columns[1].Action != store.ActionSet {
		t.Errorf("defaults are not filled: order %q, action %q", empty.Order, p.Writes[0].Columns[1].Action)
	}
	must(t, p.Validate())                 // again, with the defaults filled
	p.Tables[0].Columns[1].NotNull = true // it has a default
	p.Tables[0].Columns[2].NotNull = true // it is written
	p.Tables[0].Columns[0].NotNull = true // it is part of the key
	p.Tables[1].Columns = append(p.Tables[1].Columns, store.Column{
		Name: "x", Type: typed("i64"), NotNull: true,
		Generated: store.Statement{store.DialectAny: "…"},
	})
	must(t, p.Validate()) // the database gives it
	for _, kind := range []string{"bool", "i64", "numeric", "text", "bytes", "timestamptz", "uuid"} {
		p := valid()
		p.Tables[0].Columns[0].Type = typed(kind)
		if err := p.Validate(); err != nil {
			t.Errorf("a key of type %s: %v", kind, err)
		}
	}
	for kind, value := range map[string]string{
		"i64": "-9223372036854775808", "f64": "1e300", "numeric": "-12.50", "text": `"it's"`, "bool": "false",
	} {
		p := valid()
		p.Tables[0].Columns[1].Type, p.Tables[0].Columns[1].Default = typed(kind), []byte(value)
		p.Writes[0].Columns = nil
		if err := p.Validate(); err != nil {
			t.Errorf("default %s of type %s: %v", value, kind, err)
		}
	}
}

func TestProjection_Validate_namesTheFault(t *testing.T) {
	t.Parallel()
	column := func(i int, change func(c *store.Column)) func(*store.Projection) {
		return func(p *store.Projection) { change(&p.Tables[0].Columns[i]) }
	}
	withDefault := func(kind, value string) func(*store.Projection) {
		return column(1, func(c *store.Column) { c.Type, c.Default = typed(kind), []byte(value) })
	}
	action := func(name string, a store.Action) func(*store.Projection) {
		return func(p *store.Projection) { p.Writes[0].Columns = []store.WriteColumn{{Name: name, Action: a}} }
	}
	someSQL := store.Statement{store.DialectAny: "…"}
	check := func(name string, sql store.Statement) func(*store.Projection) {
		return func(p *store.Projection) {
			p.Tables[0].Checks = append(p.Tables[0].Checks, store.Check{Name: name, SQL: sql})
		}
	}
	view := func(name string, sql store.Statement) func(*store.Projection) {
		return func(p *store.Projection) { p.Views = append(p.Views, store.View{Name: name, SQL: sql}) }
	}
	cases := []struct {
		name   string
		change func(p *store.Projection)
		want   string
	}{
		{"no name", func(p *store.Projection) { p.Name = "" }, `projection "": is not a name`},
		{"a name with a capital", func(p *store.Projection) { p.Name = "Fines" }, `projection "Fines": is not a name`},
		{"a name with a digit first", func(p *store.Projection) { p.Name = "1fines" }, `is not a name`},
		{"a name with a hyphen", func(p *store.Projection) { p.Name = "a-b" }, `is not a name`},
		{"a name with a quote", func(p *store.Projection) { p.Name = `a"b` }, `projection "a\"b": is not a name`},
		{"a name with two underscores", func(p *store.Projection) { p.Name = "a__b" }, `is not a name`},
		{"a name with an underscore last", func(p *store.Projection) { p.Name = "a_" }, `is not a name`},
		{"a long name", func(p *store.Projection) { p.Name = strings.Repeat("a", 31) }, `30 at most`},
		{"a name that is not ASCII", func(p *store.Projection) { p.Name = "größe" }, `is not a name`},
		{"a reserved name", func(p *store.Projection) { p.Name = "public" }, `projection "public": is a reserved name`},
		{"a name of PostgreSQL's", func(p *store.Projection) { p.Name = "pg_mine" }, `is a reserved name`},
		{"a name like a version's", func(p *store.Projection) { p.Name = "v12" }, `is a reserved name`},
		{"a name like a version's with a number", func(p *store.Projection) { p.Name = "v1b2" }, `is a reserved name`},
		{"no version", func(p *store.Projection) { p.Version = 0 }, `version: is 0, must be from 1 to 99999999`},
		{"a version too long for a name", func(p *store.Projection) { p.Version = 100_000_000 }, `version: is ` +
			`100000000, must be from 1 to 99999999`},
		{
			"an unknown ordering", func(p *store.Projection) { p.Order = "any" },
			`ordering: is "any", must be stream or global`,
		},

		{"a bad table name", func(p *store.Projection) { p.Tables[0].Name = "a b" }, `table "a b": is not a name`},
		{"a table twice", func(p *store.Projection) { p.Tables[1].Name = "fines" }, `table "fines": is declared twice`},
		{
			"a table without columns", func(p *store.Projection) { p.Tables[1].Columns = nil },
			`table "log": has no columns`,
		},
		{
			"a bad column name", column(1, func(c *store.Column) { c.Name = "n;" }),
			`table "fines": column "n;" is not a name`,
		},
		{
			"a column twice", column(1, func(c *store.Column) { c.Name = "t" }),
			`table "fines": column "t" is declared twice`,
		},
		{"a column without type", column(1, func(c *store.Column) { c.Type = store.Type{} }), `column "n" has no type`},
		{
			"an unknown key column", func(p *store.Projection) { p.Tables[0].Key = []string{"x"} },
			`key column "x" is not a column`,
		},
		{
			"a key column twice", func(p *store.Projection) { p.Tables[0].Key = []string{"t", "t"} },
			`key column "t" is named twice`,
		},
		{
			"a key of floats", func(p *store.Projection) { p.Tables[0].Key = []string{"f"} },
			`key column "f" is f64, which cannot be a key`,
		},
		{
			"a key of JSON", func(p *store.Projection) { p.Tables[0].Key = []string{"j"} },
			`key column "j" is json, which cannot be a key`,
		},
		{
			"a key of arrays", func(p *store.Projection) { p.Tables[0].Key = []string{"tags"} },
			`key column "tags" is text[], which cannot be a key`,
		},
		{
			"an unknown index column", func(p *store.Projection) { p.Tables[0].Indexes[1][0] = "x" },
			`index column "x" is not a column`,
		},

		{
			"a generated column with a default", column(1, func(c *store.Column) { c.Generated = someSQL }),
			`table "fines": column "n" is generated, so that it has no default and is not part of the key`,
		},
		{
			"a generated column of the key", column(0, func(c *store.Column) { c.Generated = someSQL }),
			`is generated, so that it has no default and is not part of the key`,
		},
		{
			"a write of a generated column", column(2, func(c *store.Column) { c.Generated = someSQL }),
			`write "add": column "t" is generated by the database, no write gives it`,
		},
		{"a check without a name", check("", someSQL), `table "fines": check "" is not a name`},
		{"a check with a bad name", check("a-b", someSQL), `check "a-b" is not a name`},
		{
			"a check twice", func(p *store.Projection) { check("c", someSQL)(p); check("c", someSQL)(p) },
			`check "c" is declared twice`,
		},
		{"a check without sql", check("c", nil), `check "c" has no sql`},
		{"a view with a bad name", view("a b", someSQL), `view "a b": is not a name`},
		{
			"a view twice", func(p *store.Projection) { view("v", someSQL)(p); view("v", someSQL)(p) },
			`view "v": is declared twice`,
		},
		{"a view named like a table", view("log", someSQL), `view "log": has the name of a table`},
		{"a view without sql", view("v", nil), `view "v": has no sql`},

		{"a default that is not JSON", withDefault("i64", "zero"), `column "n" has a default that is not JSON`},
		{"a fraction for an integer", withDefault("i64", "1.5"), `column "n" is i64, its default cannot be 1.5`},
		{
			"an integer too large", withDefault("i64", "9223372036854775808"),
			`its default cannot be 9223372036854775808`,
		},
		{"an exponent for a numeric", withDefault("numeric", "1e5"), `its default cannot be 1e5`},
		{"a text for a number", withDefault("numeric", `"1"`), `is numeric, its default cannot be "1"`},
		{"a number for a text", withDefault("text", "1"), `is text, its default cannot be 1`},
		{"a number for a boolean", withDefault("bool", "1"), `is bool, its default cannot be 1`},
		{"null", withDefault("text", "null"), `its default cannot be null`},
		{"an object for JSON", withDefault("json", "{}"), `is json, its default cannot be {}`},
		{"a default of an array", withDefault("text[]", `"a"`), `is text[], its default cannot be "a"`},
		{"a default of a time", withDefault("timestamptz", `"now"`), `is timestamptz, its default cannot be "now"`},

		{"a write without name", func(p *store.Projection) { p.Writes[0].Name = "" }, `write "": has no name`},
		{"a write twice", func(p *store.Projection) { p.Writes[1].Name = "add" }, `write "add": is declared twice`},
		{
			"sql and more", func(p *store.Projection) { p.Writes[3].Table = "fines" },
			`write "raw": has sql and also action, table or columns`,
		},
		{
			"an unknown table", func(p *store.Projection) { p.Writes[0].Table = "fine" },
			`write "add": writes table "fine", the projection has fines, log`,
		},
		{
			"no table at all", func(p *store.Projection) { p.Tables = nil },
			`writes table "fines", the projection has none`,
		},
		{"an unknown column", action("x", ""), `write "add": column "x" is not a column of table "fines"`},
		{
			"a column twice in a write", func(p *store.Projection) { p.Writes[0].Columns[1].Name = "n" },
			`column "n" is named twice`,
		},
		{"a key column in a write", action("member", ""), `column "member" is part of the key, which comes first by itself`},
		{
			"no action", func(p *store.Projection) { p.Writes[0].Action = "" },
			`column "n" has an action, which only an upsert has`,
		},
		{
			"no action and no columns", func(p *store.Projection) { p.Writes[2].Action = "" },
			`has action "": use upsert, insert, insert-ignore or delete, or sql`,
		},
		{"an action of a column in an insert", func(p *store.Projection) { p.Writes[1].Columns[0].Action = store.ActionSet }, `column "line" has an action, which only an upsert has`},
		{
			"an unknown action of a column", action("n", "sum"),
			`column "n" has action "sum": use set, add, min, max or if-null`,
		},
		{"adding floats", action("f", store.ActionAdd), `column "f" is f64: add needs i64 or numeric`},
		{"adding texts", action("t", store.ActionAdd), `column "t" is text: add needs i64 or numeric`},
		{"adding arrays", action("tags", store.ActionAdd), `column "tags" is text[]: add needs`},
		{"the least text", action("t", store.ActionMin), `column "t" is text: min needs i64, numeric or timestamptz`},
		{"the greatest boolean", action("b", store.ActionMax), `column "b" is bool: max needs`},
		{"an upsert without a key", func(p *store.Projection) {
			p.Writes[1] = store.Write{
				Name:   "log",
				Action: store.Upsert, Table: "log",
			}
		}, `upsert needs a key, table "log" has none`},
		{"insert-ignore without a key", func(p *store.Projection) {
			p.Writes[1] = store.Write{Name: "log", Action: store.InsertIgnore, Table: "log"}
		}, `insert-ignore needs a key`},
		{"a delete without a key", func(p *store.Projection) { p.Writes[2].Table = "log" }, `delete needs a key`},
		{
			"a delete with columns", func(p *store.Projection) { p.Writes[2].Columns = []store.WriteColumn{{Name: "n"}} },
			`delete takes the key only, it has columns`,
		},

		{
			"an upsert without a column that is not null", func(p *store.Projection) { p.Tables[0].Columns[6].NotNull = true },
			`write "add": leaves out column "j" of table "fines", which is not null and has no default, so that no row could be inserted`,
		},
		{"an insert without a column that is not null", func(p *store.Projection) {
			p.Tables[1].Columns = append(p.Tables[1].Columns,
				store.Column{Name: "more", Type: typed("i64"), NotNull: true})
		}, `write "log": leaves out column "more" of table "log"`},
		{"an insert-ignore without a column that is not null", func(p *store.Projection) {
			p.Tables[0].Columns[7].NotNull = true
			p.Writes[0] = store.Write{Name: "once", Action: store.InsertIgnore, Table: "fines"}
		}, `write "once": leaves out column "b" of table "fines"`},

		{"a query without name", func(p *store.Projection) { p.Queries[0].Name = "" }, `query "": has no name`},
		{"a query twice", func(p *store.Projection) { p.Queries[1].Name = "load" }, `query "load": is declared twice`},
		{
			"a query with sql and more", func(p *store.Projection) { p.Queries[1].Columns = []string{"n"} },
			`query "count": has sql and also table or columns`,
		},
		{
			"a query without results", func(p *store.Projection) { p.Queries[1].Results = nil },
			`query "count": has no results`,
		},
		{
			"a query of an unknown table", func(p *store.Projection) { p.Queries[0].Table = "x" },
			`query "load": loads from table "x", the projection has fines, log`,
		},
		{
			"a load without a key", func(p *store.Projection) { p.Queries[0].Table = "log" },
			`loads by key, table "log" has none`,
		},
		{
			"a load of an unknown column", func(p *store.Projection) { p.Queries[0].Columns = []string{"x"} },
			`column "x" is not a column of table "fines"`,
		},
	}
	for _, c := range cases {
		p := valid()
		c.change(p)
		err := p.Validate()
		var fault *store.CatalogueError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
