package postgres_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// The application's pool, its tables and its row: the row and the event are committed together. A second append to the
// same version of a stream is a conflict.
func Example() {
	ctx := context.Background()
	server, err := pgtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	pool, err := pgxpool.New(ctx, server.DSN) // your URL
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	db, err := postgres.New(pool, postgres.Options{Schema: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	placed := store.StreamAppend{
		Stream:   store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "42"},
		Expected: store.NoStream(),
		Events:   []store.Event{{Type: "placed", Payload: []byte(`{"total":"9.90"}`)}},
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after Commit
	if _, err := tx.Exec(ctx, "CREATE TABLE orders AS SELECT 42 AS id"); err != nil {
		log.Fatal(err)
	}
	appended, err := db.AppendTx(ctx, tx, store.AppendOptions{}, placed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("position", appended[0].Position, tx.Commit(ctx))
	_, err = db.Append(ctx, store.AppendOptions{}, placed)
	fmt.Println(err)
	// Output:
	// position 1 <nil>
	// version conflict on stream shop/order/42: expected no stream, it is at version 1
}
