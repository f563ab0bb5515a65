// Command custom_logging sends what a host does to a logger of its own: JSON, with the name of the service, and without
// what personal data an error may quote.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func main() { shop.Main(run) }

// newLogger returns the logger of the application.
func newLogger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey: // the collector has the time
				return slog.Attr{}
			case "key": // names a customer
				return slog.String(a.Key, "…")
			}
			return a
		},
	})).With("service", "shop")
}

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Append(ctx, store.AppendOptions{},
		shop.Order("o1", shop.Placed("ann", 1250)),
		shop.Order("o2", shop.Placed("", 795)),
		shop.Order("o3", shop.Placed("bob", 500)),
	)
	if err != nil {
		return err
	}

	host, err := pupwasm.NewHost(db, pupwasm.Options{
		Consumers: []pupwasm.Consumer{{Name: "placed", Partition: pupwasm.ByStream(), Handle: sqlite.Handler(handle)}},
		Worker:    segments.Options{Name: "web-1", Segments: 1},
		Logger:    newLogger(),
		Observer: &segments.Observer{
			Committed: func(c segments.ObservedCommit) {
				fmt.Println("observed:", c.Projection.Name, "is at position", c.Position)
			},
		},
	})
	if err != nil {
		return err
	}
	if err := host.RunOnce(ctx); err != nil {
		return err
	}
	own, err := shop.OpenSQL(url)
	if err != nil {
		return err
	}
	defer own.Close()
	return shop.Print(ctx, own, "SELECT id FROM placed ORDER BY id")
}

// handle fails at an order without a user.
func handle(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
	if err := conn.Exec("CREATE TABLE IF NOT EXISTS placed (id text PRIMARY KEY)"); err != nil {
		return err
	}
	for _, e := range events {
		if string(e.Payload) == `{"user_id":"","cents":795}` {
			return errors.New("the order has no user")
		}
		insert, _, err := conn.Prepare("INSERT INTO placed VALUES (?)")
		if err != nil {
			return err
		}
		err = errors.Join(insert.BindText(1, e.AggregateID), insert.Exec(), insert.Close())
		if err != nil {
			return err
		}
	}
	return nil
}
