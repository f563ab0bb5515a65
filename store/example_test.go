package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func ExampleGroupAppender() {
	ctx := context.Background()
	folder, _ := os.MkdirTemp("", "pupwasm")
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "shop.db")
	db, _ := sqlite.OpenSQL(path)
	migrator, _ := migrations.New(db, migrations.SQLite, "pupwasm")
	_, _ = migrator.Up(ctx)
	_ = db.Close()
	s, _ := sqlite.Open(path, sqlite.Options{})
	defer s.Close()

	group, _ := store.NewGroupAppender(s, store.GroupOptions{})
	order := store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "42"}
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			_, err := group.Append(ctx, store.AppendOptions{}, store.StreamAppend{
				Stream: order, Expected: store.NoStream(), Events: []store.Event{{Type: "placed"}},
			})
			fmt.Println(err)
		})
	}
	callers.Wait()
	group.Close()
	// Unordered output:
	// <nil>
	// version conflict on stream shop/order/42: expected no stream, it is at version 1
}

func ExampleFolder() {
	text, number := store.Type{Kind: store.KindText}, store.Type{Kind: store.KindI64}
	projection := &store.Projection{
		Name: "fines", Version: 1,
		Tables: []store.Table{{Name: "total", Key: []string{"member"}, Columns: []store.Column{{Name: "member", Type: text}, {Name: "owed", Type: number}}}},
		Writes: []store.Write{{Name: "fine", Action: store.Upsert, Table: "total", Columns: []store.WriteColumn{{Name: "owed", Action: store.ActionAdd}}}},
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
		fmt.Printf("segment %d: %08x to %08x, holds order-1: %v\n", segment, share.First, share.Last, share.Contains(store.PartitionHash("order-1")))
	}
	// Output:
	// segment 0: 00000000 to 7fffffff, holds order-1: false
	// segment 1: 80000000 to ffffffff, holds order-1: true
}

func ExampleProjection_ExpandTables() {
	projection := &store.Projection{Name: "fines", Tables: []store.Table{{Name: "total"}}}
	sql, err := projection.ExpandTables("DELETE FROM {total}", func(table string) string { return `"fines"."` + table + `"` })
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
