package store_test

import (
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

func ExampleFolder() {
	text, number := store.Type{Kind: store.KindText}, store.Type{Kind: store.KindI64}
	projection := &store.Projection{
		Name: "fines", Version: 1,
		Tables: []store.Table{{
			Name: "total", Key: []string{"member"},
			Columns: []store.Column{{Name: "member", Type: text}, {Name: "owed", Type: number}},
		}},
		Writes: []store.Write{{
			Name: "fine", Action: store.Upsert, Table: "total",
			Columns: []store.WriteColumn{{Name: "owed", Action: store.ActionAdd}},
		}},
	}
	if err := projection.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	fine := func(member string, amount int64) store.Mutation {
		return store.Mutation{Write: 0, Values: []store.Value{store.Text(member), store.I64(amount)}}
	}
	steps := store.NewFolder(projection).Fold([]store.Mutation{fine("ada", 3), fine("bob", 1), fine("ada", 4)})
	for i := range steps[0].Count {
		row := steps[0].Values[i*steps[0].Width:]
		fmt.Printf("%s owes %d more\n", row[0].Bytes(), row[1].Int())
	}
	// Output:
	// ada owes 7 more
	// bob owes 1 more
}

func ExampleSplitRange() {
	for segment, share := range store.SplitRange(2) {
		fmt.Printf("segment %d: %08x to %08x, holds order-1: %v\n", segment, share.First, share.Last,
			share.Contains(store.PartitionHash("order-1")))
	}
	// Output:
	// segment 0: 00000000 to 7fffffff, holds order-1: false
	// segment 1: 80000000 to ffffffff, holds order-1: true
}

func ExampleProjection_ExpandTables() {
	projection := &store.Projection{Name: "fines", Tables: []store.Table{{Name: "total"}}}
	sql, err := projection.ExpandTables("DELETE FROM {total}",
		func(table string) string { return `"fines"."` + table + `"` })
	fmt.Println(sql, err)
	_, err = projection.ExpandTables("DELETE FROM {totals}", nil)
	fmt.Println(err)
	// Output:
	// DELETE FROM "fines"."total" <nil>
	// {totals} names no table of the projection: it has total; as data, write {"totals"}
}

func ExampleExact() {
	for _, expected := range []store.Expected{store.Any(), store.NoStream(), store.Exact(3)} {
		fmt.Println(expected)
	}
	// Output:
	// any version
	// no stream
	// version 3
}
