// Package spent is a projection of an application and its test: see main_test.go.
package spent

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Consumer counts the orders of every user in the table spent.
var Consumer = pupwasm.Consumer{
	Name:         "spent",
	Subscription: store.Subscription{EventTypes: []string{"OrderPlaced"}},
	Partition:    pupwasm.ByJSON("user_id"),
	Handle:       sqlite.Handler(handle),
}

// Schema makes the table.
const Schema = "CREATE TABLE spent (user_id text PRIMARY KEY, orders bigint NOT NULL)"

func handle(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
	add, _, err := conn.Prepare(`INSERT INTO spent VALUES (?1 ->> 'user_id', 1)
		ON CONFLICT (user_id) DO UPDATE SET orders = orders + 1`)
	if err != nil {
		return err
	}
	defer add.Close()
	for _, e := range events {
		if err := add.BindText(1, string(e.Payload)); err != nil {
			return err
		}
		if err := add.Exec(); err != nil {
			return err
		}
		if err := add.Reset(); err != nil {
			return err
		}
	}
	return nil
}
