// Command native_consumer runs functions of its own as projections: their rows are in its own table, and are committed
// with the checkpoint.
package main

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm"
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
	own, err := shop.OpenSQL(url)
	if err != nil {
		return err
	}
	defer own.Close()
	if _, err := own.ExecContext(ctx,
		"CREATE TABLE spent (user_id varchar(40) PRIMARY KEY, orders bigint NOT NULL, cents bigint NOT NULL)"); err != nil {
		return err
	}
	host, err := pupwasm.NewHost(db, pupwasm.Options{Consumers: []pupwasm.Consumer{{
		Name:         "spent",
		Subscription: store.Subscription{EventTypes: []string{"OrderPlaced"}},
		Partition:    pupwasm.ByJSON("user_id"), // a row belongs to one user: several segments may run
		Handle:       handler(db),
	}}})
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error)
	go func() { stopped <- host.Run(ctx) }()
	if err := use(ctx, db, host); err != nil {
		return err
	}
	if err := shop.Print(ctx, own, "SELECT user_id, orders, cents FROM spent ORDER BY user_id"); err != nil {
		return err
	}
	stop()
	return <-stopped
}

// use appends orders and waits until their rows are there.
func use(ctx context.Context, db shop.Database, host *pupwasm.Host) error {
	appended, err := db.Append(ctx, store.AppendOptions{},
		shop.Order("o1", shop.Placed("ann", 1250)),
		shop.Order("o2", shop.Placed("bob", 795)),
		shop.Order("o3", shop.Placed("ann", 500)),
	)
	if err != nil {
		return err
	}
	last := appended[len(appended)-1].Position
	if err := host.Wait(ctx, "spent", last); err != nil {
		return err
	}
	fmt.Println("spent has applied everything up to position", last)
	return nil
}
