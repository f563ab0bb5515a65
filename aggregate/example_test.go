package aggregate_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// order is the state of an order. What a snapshot keeps is exported.
type order struct {
	Placed bool
	Items  map[string]int
}

// orderOptions are those of all orders.
var orderOptions = aggregate.Options[order]{
	Context: "Shop",
	Type:    "Order",
	Apply: func(o *order, e store.RecordedEvent) error {
		switch e.Type {
		case "ItemAdded":
			var item struct{ Name string }
			if err := json.Unmarshal(e.Payload, &item); err != nil {
				return err
			}
			if o.Items == nil {
				o.Items = map[string]int{}
			}
			o.Items[item.Name]++
		case "Placed":
			o.Placed = true
		}
		return nil
	},
}

// add decides whether an item may be added to an order.
func add(name string) func(o *order) ([]store.Event, error) {
	return func(o *order) ([]store.Event, error) {
		if o.Placed {
			return nil, errors.New("the order is placed")
		}
		payload, err := json.Marshal(map[string]string{"Name": name})
		return []store.Event{{Type: "ItemAdded", Payload: payload}}, err
	}
}

// check ends an example that does not work.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// openExample opens a database in a file of its own.
func openExample(ctx context.Context) (db *sqlite.Store, remove func()) {
	folder, err := os.MkdirTemp("", "pupwasm-example-")
	check(err)
	db, err = sqlite.Open(filepath.Join(folder, "shop.db"), sqlite.Options{})
	check(err)
	check(db.Migrate(ctx))
	return db, func() {
		db.Close()
		os.RemoveAll(folder)
	}
}

// Update is what most requests need: it loads, decides and saves, and does it again when another writer came first.
func Example() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	orders, err := aggregate.New(db, orderOptions)
	check(err)

	_, err = orders.Update(ctx, "42", add("tea"))
	check(err)
	saved, err := orders.Update(ctx, "42", add("tea"))
	check(err)
	fmt.Println("version", saved.Version(), saved.State.Items)

	_, err = orders.Update(ctx, "42", func(*order) ([]store.Event, error) { return []store.Event{{Type: "Placed"}}, nil })
	check(err)
	_, err = orders.Update(ctx, "42", add("milk"))
	fmt.Println(err)
	// Output:
	// version 2 map[tea:2]
	// the order is placed
}

// Who saves second gets a conflict, and loads again.
func ExampleRepository_Save() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	orders, err := aggregate.New(db, orderOptions)
	check(err)

	first, err := orders.Load(ctx, "42") // there is none yet: version 0
	check(err)
	second, err := orders.Load(ctx, "42")
	check(err)
	check(orders.Save(ctx, first, store.Event{Type: "Placed"}))
	fmt.Println("version", first.Version(), "placed", first.State.Placed)

	err = orders.Save(ctx, second, store.Event{Type: "ItemAdded", Payload: []byte(`{"Name":"tea"}`)})
	var conflict *store.VersionConflictError
	fmt.Println(errors.As(err, &conflict))
	fmt.Println(err)
	// Output:
	// version 1 placed true
	// true
	// saving Shop/Order/42: version conflict on stream Shop/Order/42: expected no stream, it is at version 1
}

// The application's row and the events are committed together, in a transaction of pgx.
func ExampleRepository_AppendTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()
	db, err := postgres.New(pool, postgres.Options{})
	check(err)
	defer db.Close()
	check(db.Migrate(ctx))
	orders, err := aggregate.New(db, orderOptions)
	check(err)

	tx, err := pool.Begin(ctx)
	check(err)
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after Commit
	_, err = tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS paid (order_id text PRIMARY KEY)")
	check(err)
	_, err = tx.Exec(ctx, "INSERT INTO paid VALUES ('42') ON CONFLICT DO NOTHING")
	check(err)
	root, err := orders.LoadTx(ctx, db.StreamsTx(tx), "42")
	check(err)
	check(orders.AppendTx(ctx, db.StreamsTx(tx), root, store.Event{Type: "Placed"}))
	check(tx.Commit(ctx))
	fmt.Println("version", root.Version())
	// Output:
	// version 1
}

// The same with database/sql and pgx's driver.
func ExampleRepository_AppendTx_databaseSQL() {
	ctx := context.Background()
	handle, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	check(err)
	defer handle.Close()
	db, err := postgres.Open(os.Getenv("DATABASE_URL"), postgres.Options{Lazy: true})
	check(err)
	defer db.Close()
	check(db.Migrate(ctx))
	orders, err := aggregate.New(db, orderOptions)
	check(err)

	tx, err := handle.BeginTx(ctx, nil)
	check(err)
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	root, err := orders.LoadTx(ctx, db.StreamsSQLTx(tx), "43")
	check(err)
	check(orders.AppendTx(ctx, db.StreamsSQLTx(tx), root, store.Event{Type: "Placed"}))
	check(tx.Commit())
	fmt.Println("version", root.Version())
	// Output:
	// version 1
}

// The same in the transaction of a SQLite store.
func ExampleRepository_AppendTx_sqlite() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	orders, err := aggregate.New(db, orderOptions)
	check(err)

	err = db.InTx(ctx, func(tx *sqlite.Tx) error {
		if err := tx.Conn().Exec("CREATE TABLE paid (order_id TEXT); INSERT INTO paid VALUES ('42')"); err != nil {
			return err
		}
		root, err := orders.LoadTx(ctx, tx.Streams(), "42")
		if err != nil {
			return err
		}
		return orders.AppendTx(ctx, tx.Streams(), root, store.Event{Type: "Placed"})
	})
	check(err)
	root, err := orders.Load(ctx, "42")
	check(err)
	fmt.Println("version", root.Version(), "placed", root.State.Placed)
	// Output:
	// version 1 placed true
}

// A program whose Apply has changed counts SnapshotVersion up: it reads the whole stream once, and the next save keeps a
// snapshot of the new state.
func ExampleOptions_snapshotVersion() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()

	// program is a version of the program. It counts what it applies.
	program := func(version int32, weight int) (orders *aggregate.Repository[int], applied *int) {
		applied = new(int)
		orders, err := aggregate.New(db, aggregate.Options[int]{
			Context: "Shop", Type: "Order", SnapshotEvery: 10, SnapshotVersion: version,
			Apply: func(points *int, _ store.RecordedEvent) error {
				*applied++
				*points += weight
				return nil
			},
		})
		check(err)
		return orders, applied
	}
	load := func(orders *aggregate.Repository[int], applied *int) {
		*applied = 0
		root, err := orders.Load(ctx, "42")
		check(err)
		fmt.Printf("%d points, %d events read\n", root.State, *applied)
	}
	events := func(*int) ([]store.Event, error) { return make20(), nil }

	before, applied := program(1, 1)
	_, err := before.Update(ctx, "42", events)
	check(err)
	load(before, applied)

	after, applied := program(2, 5) // an event is worth five points now
	load(after, applied)
	_, err = after.Update(ctx, "42", events)
	check(err)
	load(after, applied)
	// Output:
	// 20 points, 0 events read
	// 100 points, 20 events read
	// 200 points, 0 events read
}

// make20 makes 20 events.
func make20() []store.Event {
	events := make([]store.Event, 20)
	for i := range events {
		events[i].Type = "ItemAdded"
	}
	return events
}
