package pupwasm_test

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// greeter is a sink: where messages go. Packages relay/jetstream, relay/webhook and relay/lines have others.
type greeter struct{}

func (greeter) Send(_ context.Context, m *store.OutboxMessage) error {
	fmt.Printf("%s, about %s: %s\n", m.MessageID, m.Subject, m.Data)
	return nil
}

func (greeter) Concurrency() int { return 10 }
func (greeter) Target() string   { return "the terminal" }
func (greeter) Close() error     { return nil }

// A consumer that sends a message because of an event. It is sent once the transaction is committed that applies the
// event, and again, with the same id, when nobody knows whether it has arrived.
func Example_messages() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	welcome := pupwasm.Consumer{
		Name: "welcome", Version: 1, Partition: pupwasm.ByStream(),
		Messages: []store.MessageType{{Name: "registered", Subject: "users.{user}.registered"}},
		Handle: sqlite.Handler(func(ctx context.Context, _ *sqlite3.Conn, events []store.RecordedEvent) error {
			for i := range events {
				err := pupwasm.Send(ctx, "registered", &events[i], events[i].Payload, events[i].AggregateID)
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	sender, err := relay.New(db.Backend(), relay.Sinks{Default: greeter{}}, relay.Options{})
	must(err)
	host, err := pupwasm.NewHost(db, pupwasm.Options{
		Consumers: []pupwasm.Consumer{welcome},
		Worker: segments.Options{
			Relay: sender,
			Projections: map[string]segments.ProjectionOptions{
				"welcome": {MessagesFrom: segments.MessagesFromBeginning}, // otherwise it greets those who come from now on
			},
		},
	})
	must(err)
	_, err = db.Append(ctx, store.AppendOptions{}, registered("ann"))
	must(err)
	must(host.RunOnce(ctx))
	// Output: welcome.v1.1.0, about users.ann.registered: {"country":"NL"}
}
