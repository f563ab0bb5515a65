// Command append_and_read appends events to streams, notices a conflict, and reads a stream and the whole log.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
)

func main() { shop.Main(run) }

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := appendEvents(ctx, db); err != nil {
		return err
	}
	return read(ctx, db)
}

func appendEvents(ctx context.Context, db shop.Database) error {
	order := store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "o1"}
	appended, err := db.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream:   order,
		Expected: store.NoStream(), // it is a new order
		Events: []store.Event{
			{Type: "OrderPlaced", Payload: []byte(`{"user_id":"ann","cents":1250}`)},
			{Type: "OrderPaid"},
		},
	})
	if err != nil {
		return err
	}
	for _, a := range appended {
		fmt.Println("appended at position", a.Position, "as version", a.AggregateVersion)
	}

	_, err = db.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream:   order,
		Expected: store.Exact(1), // what somebody saw who has not seen the payment
		Events:   []store.Event{{Type: "OrderCancelled"}},
	})
	var conflict *store.VersionConflictError
	if !errors.As(err, &conflict) {
		return fmt.Errorf("a conflict was expected, not %w", err)
	}
	fmt.Println("conflict: the order has version", conflict.Actual)

	_, err = db.Append(ctx, store.AppendOptions{}, shop.Order("o2", shop.Placed("bob", 795)))
	return err
}

func read(ctx context.Context, db shop.Database) error {
	order := store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "o1"}
	events, err := db.ReadStream(ctx, order, 1, 0) // from the first to the last
	if err != nil {
		return err
	}
	for _, e := range events {
		fmt.Println("stream o1, version", e.AggregateVersion, e.Type)
	}

	horizon, err := db.Horizon(ctx) // nothing can still appear up to there
	if err != nil {
		return err
	}
	var page store.Page
	for after := int64(0); after < horizon.Position; after = page.Through {
		err := db.Read(ctx, store.ReadRequest{
			After: after, Through: horizon.Position, Limit: 100,
			Range: store.FullRange(), Columns: store.AllColumns,
			Subscription: store.Subscription{EventTypes: []string{"OrderPlaced"}},
		}, &page)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			fmt.Println("log, position", e.Position, e.AggregateID, string(e.Payload))
		}
	}
	return nil
}
