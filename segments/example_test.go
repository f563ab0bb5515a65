package segments_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// A program that runs a projection beside its own work, and waits until what it appended can be read.
func ExampleWorker() {
	ctx, stop := context.WithCancel(context.Background())
	folder, err := os.MkdirTemp("", "pupwasm-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "shop.db")
	if err := migrate(ctx, path); err != nil {
		log.Fatal(err)
	}
	db, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	events := db.Backend()

	runtime, err := host.NewRuntime(ctx, host.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close(context.Background())
	wasm := (&hosttest.Guest{Describe: `{"name":"user_counter","version":1}`}).Wasm() // or os.ReadFile
	module, err := runtime.Load(ctx, "user_counter.wasm", wasm)
	if err != nil {
		log.Fatal(err)
	}
	worker, err := segments.New(events, events, segments.Options{})
	if err != nil {
		log.Fatal(err)
	}
	worker.Set(module)
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()

	added, err := events.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "user-1"},
		Events: []store.Event{{Type: "UserRegistered", Payload: []byte(`{}`)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := segments.WaitForPosition(ctx, events, events, "user_counter", added[0].Position); err != nil {
		log.Fatal(err)
	}
	fmt.Println("applied up to position", added[0].Position)

	stop() // batches in flight end, and the segments are given up
	fmt.Println("stopped:", <-stopped)
	// Output:
	// applied up to position 1
	// stopped: <nil>
}

// migrate makes the tables of pupwasm.
func migrate(ctx context.Context, path string) error {
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		return err
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}
