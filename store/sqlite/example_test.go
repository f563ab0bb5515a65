package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func Example() {
	ctx := context.Background()
	folder, _ := os.MkdirTemp("", "pupwasm")
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "shop.db")

	db, _ := sqlite.OpenSQL(path)
	migrator, _ := migrations.New(db, migrations.SQLite, "pupwasm")
	if _, err := migrator.Up(ctx); err != nil {
		fmt.Println(err)
	}
	_ = db.Close()

	s, _ := sqlite.Open(path, sqlite.Options{})
	defer s.Close()
	order := store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "42"}
	appended, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: order, Expected: store.NoStream(), Events: []store.Event{{
			Type:    "placed",
			Payload: []byte(`{"total":"9.90"}`),
		}},
	})
	fmt.Println(appended[0].Position, appended[0].AggregateVersion, err)

	_, err = s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: order, Expected: store.NoStream(), Events: []store.Event{{Type: "placed"}},
	})
	fmt.Println(err)
	// Output:
	// 1 1 <nil>
	// version conflict on stream shop/order/42: expected no stream, it is at version 1
}

func ExampleStore_InTx() {
	ctx := context.Background()
	path, remove := exampleDatabase()
	defer remove()
	s, _ := sqlite.Open(path, sqlite.Options{})
	defer s.Close()

	err := s.InTx(ctx, func(tx *sqlite.Tx) error {
		if err := tx.Conn().Exec("CREATE TABLE stock (item TEXT); INSERT INTO stock VALUES ('tea')"); err != nil {
			return err
		}
		_, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "shop", AggregateType: "item", AggregateID: "tea"},
			Events: []store.Event{{Type: "stocked"}},
		})
		return err
	})
	horizon, _ := s.Horizon(ctx)
	fmt.Println(horizon.Position, err)
	// Output: 1 <nil>
}

func exampleDatabase() (path string, remove func()) {
	folder, _ := os.MkdirTemp("", "pupwasm")
	path = filepath.Join(folder, "example.db")
	db, _ := sqlite.OpenSQL(path)
	defer db.Close()
	migrator, _ := migrations.New(db, migrations.SQLite, "pupwasm")
	_, _ = migrator.Up(context.Background())
	return path, func() { _ = os.RemoveAll(folder) }
}
