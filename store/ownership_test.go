package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// orders is a projection of rows by customer, whose orders are streams of their own.
func orders() *store.Projection {
	return &store.Projection{
		Name: "orders", Version: 1,
		Tables: []store.Table{{Name: "latest", Key: []string{"customer_id"}, Columns: []store.Column{
			{Name: "customer_id", Type: typed("text")},
			{Name: "last_order", Type: typed("text")},
			{Name: "orders", Type: typed("i64")},
		}}},
		Writes: []store.Write{{
			Name: "set", Action: store.Upsert, Table: "latest",
			Columns: []store.WriteColumn{{Name: "last_order"}},
		}},
	}
}

// TestProjection_Validate_saysHowToOwnRows is about the very lines; host/abi/testdata/descriptions.json has a case
// for every rule.
func TestProjection_Validate_saysHowToOwnRows(t *testing.T) {
	t.Parallel()
	const mark = `mark the key column that holds the partition key, pup.Text("customer_id").Key().Partition(), ` +
		`and divide by it (Partition: pup.ByJSON("customer")) unless it is the stream's id`
	number := func(action store.Action, change func(c *store.Column)) func(p *store.Projection) {
		return func(p *store.Projection) {
			p.Writes[0].Columns = []store.WriteColumn{{Name: "orders", Action: action}}
			change(&p.Tables[0].Columns[2])
		}
	}
	for _, c := range []struct {
		name   string
		change func(p *store.Projection)
		want   string
	}{
		{"set", func(*store.Projection) {}, `table "latest": write "set" sets "last_order", which depends on the order of events, ` +
			`but several segments write its rows at once: ` + mark + `, or choose Ordering: pup.OrderGlobal`},
		{"divided already", func(p *store.Projection) {
			p.Partition = &store.Partition{By: store.PartitionJSON, Path: []string{"customer", "id"}}
		}, `table "latest": write "set" sets "last_order", which depends on the order of events, but several segments write its rows at once: ` +
			`mark the key column that holds the partition key, pup.Text("customer_id").Key().Partition() (events are divided by json "customer.id"), ` +
			`or choose Ordering: pup.OrderGlobal`},
		{
			"no key column that can hold it", func(p *store.Projection) { p.Tables[0].Columns[0].Type = typed("bytes") },
			`add a key column that holds the partition key, pup.Text("partition_key").Key().Partition(), and divide by it`,
		},
		{"a key that is called position", func(p *store.Projection) {
			p.Tables[0].Columns[0] = store.Column{Name: "position", Type: typed("i64")}
			p.Tables[0].Key[0], p.Writes[0].Action = "position", store.Insert
		}, `table "latest": write "set" inserts, which fails or not by the order of events, but several segments write its rows at once: ` +
			`mark the key column that holds the event's position, pup.I64("position").Key().Position(), or choose Ordering: pup.OrderGlobal`},
		{"no key", func(p *store.Projection) {
			p.Tables[0].Key, p.Writes[0].Action = nil, store.Insert
		}, `table "latest": write "set" inserts in the order of events, but several segments write its rows at once: ` +
			`give it a key, pup.I64("position").Key().Position(), which is one row an event, or choose Ordering: pup.OrderGlobal`},
		{
			"a default that max competes with", number(store.ActionMax,
				func(c *store.Column) { c.Default = []byte("5") }),
			`table "latest": column "orders" has default 5, so that its max depends on which segment writes a row first: declare it pup.I64("orders"), or ` + mark,
		},
		{
			"a sum without default", number(store.ActionAdd, func(c *store.Column) { c.NotNull = true }),
			`column "orders" is NOT NULL without default, so that a sum depends on which segment writes a row first: ` +
				`declare it pup.I64("orders"), or pup.I64("orders").Default(0), or ` + mark,
		},
		{
			"a value column with a mark", func(p *store.Projection) { p.Tables[0].Columns[2].Position = true },
			`table "latest": column "orders" is marked Position, which only a key column can be: declare it pup.I64("orders").Key().Position()`,
		},
		{"two ways of one value", func(p *store.Projection) {
			p.Tables[0].Columns[0].Partition = true
			p.Order, p.Partition = store.OrderGlobal, &store.Partition{By: store.PartitionCorrelation}
		}, `partition: is by correlation, but with ordering "global" all events are applied in one order and nothing is divided: leave out one of them`},
		{"a load", func(p *store.Projection) {
			p.Writes, p.Queries = nil, []store.Query{{Name: "load", Table: "latest", Columns: []string{"orders"}}}
		}, `query "load": loads from table "latest", which several segments write at once, so that what it finds depends on how far they are: ` + mark},
		{"a statement", func(p *store.Projection) {
			p.Writes = []store.Write{{Name: "top", SQL: store.Statement{store.DialectAny: "DELETE FROM {latest}"}}}
		}, `write "top": is sql, and nothing shows that it keeps to rows of one partition key, while several segments run it at once: ` +
			`name the parameter that holds the key, .PartitionParam(1), or add .Unordered(), if its outcome is the same in any order of the events, ` +
			`or choose Ordering: pup.OrderGlobal`},
		{"a statement without a table", func(p *store.Projection) {
			p.Writes = []store.Write{{
				Name: "top", SQL: store.Statement{store.DialectAny: "DELETE FROM orders.latest WHERE customer_id = $1"},
				Params: types("text"), PartitionParam: 1,
			}}
		}, `write "top": names no table as {name}`},
	} {
		p := orders()
		c.change(p)
		err := p.Validate()
		var fault *store.CatalogueError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// TestProjection_Validate_adviceIsRight follows what the lines advise.
func TestProjection_Validate_adviceIsRight(t *testing.T) {
	t.Parallel()
	zero := orders()
	zero.Tables[0].Columns[2].Default, zero.Tables[0].Columns[2].NotNull = []byte("0"), true
	// nothing fills the column, which stays 0
	zero.Writes[0] = store.Write{Name: "seen", Action: store.InsertIgnore, Table: "latest"}
	must(t, zero.Validate())
	owned := orders()
	owned.Tables[0].Columns[0].Partition = true
	owned.Partition = &store.Partition{By: store.PartitionJSON, Path: []string{"customer"}}
	must(t, owned.Validate())
	global := orders()
	global.Order = store.OrderGlobal
	must(t, global.Validate())
	if got := owned.Division().String(); got != `json "customer"` {
		t.Errorf("owned is divided by %s", got)
	}
	if !global.Division().ByStream() {
		t.Error("a projection in one order is divided")
	}
	place, column, marked := owned.Tables[0].Mark()
	if !marked || place != 0 || column.Name != "customer_id" || owned.Tables[0].Ownership() != store.Owned {
		t.Errorf("Mark() = %d, %v, %v", place, column, marked)
	}
}

func TestProjection_partitionReadsFromJSON(t *testing.T) {
	t.Parallel()
	const text = `{"name":"p","version":1,"partition":{"by":"json","path":["customer","id"]}}`
	var p store.Projection
	must(t, json.Unmarshal([]byte(text), &p))
	must(t, p.Validate())
	p.Order = ""
	if again, err := json.Marshal(p); err != nil || !strings.Contains(string(again),
		`"partition":{"by":"json","path":["customer","id"]}`) {
		t.Errorf("%s, %v", again, err)
	}
}
