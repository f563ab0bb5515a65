// Command shop is the application. It has written events of version 1 for years, writes version 2 now, and reads version 2
// only.
//
//	shop DATABASE
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/examples/versioned_events/events"
	v1 "github.com/pupwasm/pupwasm/examples/versioned_events/events/v1"
	v2 "github.com/pupwasm/pupwasm/examples/versioned_events/events/v2"
	"github.com/pupwasm/pupwasm/store"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: shop DATABASE")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func order(number string) store.Stream {
	return store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: number}
}

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, placed := range []struct {
		number string
		event  any
	}{
		{"1", v1.OrderPlaced{Customer: "ann", Article: "tea", Price: 450}},
		{"2", v1.OrderPlaced{Customer: "bob", Article: "cup", Price: 1250}},
		{"2", v1.OrderCancelled{Reason: "broken"}},
		{"3", v2.OrderPlaced{Customer: "eve", Channel: "shop", Lines: []v2.Line{
			{Article: "tea", Price: 400, Pieces: 2}, {Article: "cup", Price: 1250, Pieces: 1},
		}}},
	} {
		made, err := events.Registry.Events(placed.event)
		if err != nil {
			return err
		}
		if _, err := db.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: order(placed.number), Events: made}); err != nil {
			return err
		}
	}
	for _, number := range []string{"1", "2", "3"} {
		recorded, err := db.ReadStream(ctx, order(number), 1, 0)
		if err != nil {
			return err
		}
		for i := range recorded {
			event, err := events.Registry.Read(&recorded[i])
			if err != nil {
				return err
			}
			fmt.Printf("order %s: %s version %d reads as %+v\n", number, recorded[i].Type, recorded[i].Version, event)
		}
	}
	return nil
}
