// Command snapshots is the write side of an application: it loads an account, decides, and saves what has happened. A
// snapshot every 50 events keeps the load of a long stream short.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/eventmap"
	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
)

// Deposited and Withdrawn are the events of an account.
type (
	Deposited struct{ Cents int64 }
	Withdrawn struct{ Cents int64 }
)

var registry = eventmap.MustNew(
	eventmap.Type[Deposited]("Deposited", 1),
	eventmap.Type[Withdrawn]("Withdrawn", 1),
)

// account is the state of an account. What a snapshot keeps is exported.
type account struct {
	Cents  int64
	Events int
}

// applied counts the events that loads and saves have applied.
var applied int

func apply(a *account, e store.RecordedEvent) error {
	applied++
	event, err := registry.Read(&e)
	if err != nil {
		return err
	}
	switch event := event.(type) {
	case Deposited:
		a.Cents += event.Cents
	case Withdrawn:
		a.Cents -= event.Cents
	}
	a.Events++
	return nil
}

func main() { shop.Main(run) }

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	accounts, err := aggregate.New(db, aggregate.Options[account]{
		Context: "Bank", Type: "Account", Apply: apply,
		SnapshotEvery: 50, SnapshotVersion: 1,
	})
	if err != nil {
		return err
	}

	for i := range 120 {
		if _, err := accounts.Update(ctx, "ann", deposit(int64(i))); err != nil {
			return err
		}
	}
	applied = 0
	ann, err := accounts.Load(ctx, "ann")
	if err != nil {
		return err
	}
	fmt.Printf("%d events, %d cents: the load applied %d events\n", ann.State.Events, ann.State.Cents, applied)

	_, err = accounts.Update(ctx, "ann", withdraw(1_000_000))
	fmt.Println("withdraw too much:", err)
	if ann, err = accounts.Update(ctx, "ann", withdraw(7000)); err != nil {
		return err
	}
	fmt.Printf("version %d, %d cents\n", ann.Version(), ann.State.Cents)
	return nil
}

func deposit(cents int64) func(*account) ([]store.Event, error) {
	return func(*account) ([]store.Event, error) { return registry.Events(Deposited{Cents: cents}) }
}

func withdraw(cents int64) func(*account) ([]store.Event, error) {
	return func(a *account) ([]store.Event, error) {
		if a.Cents < cents {
			return nil, errors.New("the account has too little")
		}
		return registry.Events(Withdrawn{Cents: cents})
	}
}
