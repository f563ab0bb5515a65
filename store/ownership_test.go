package store_test

import (
	"encoding/json"
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
