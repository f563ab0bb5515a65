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

// TestProjection_Validate_refusesADefaultThatIsNotJSON has what no description can have.
func TestProjection_Validate_refusesADefaultThatIsNotJSON(t *testing.T) {
	t.Parallel()
	p := valid()
	p.Tables[0].Columns[1].Default = []byte("zero")
	var fault *store.CatalogueError
	if err := p.Validate(); !errors.As(err, &fault) ||
		!strings.Contains(err.Error(), `column "n" has a default that is not JSON`) {
		t.Errorf("the error is %v", err)
	}
}
