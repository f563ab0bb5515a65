// Command sales is a projection: what was sold of every article. It knows the newest version of each event only.
package main

import (
	pup "github.com/pupwasm/pupwasm/guest-sdk"

	"github.com/pupwasm/pupwasm/examples/versioned_events/events/pupevents"
	v2 "github.com/pupwasm/pupwasm/examples/versioned_events/events/v2"
)

var (
	sales = pup.NewTable("sales",
		pup.Text("article").Key(),
		pup.I64("pieces").NotNull().Default(0),
		pup.I64("cents").NotNull().Default(0),
	)
	add = sales.Upsert("add", pup.Add("pieces", "cents"))

	channels = pup.NewTable("channels", pup.Text("channel").Key(), pup.I64("orders").NotNull().Default(0))
	count    = channels.Upsert("count", pup.Add("orders"))

	events pupevents.Reader
)

func init() {
	pup.Register(pup.Projection{
		Name:         "sales",
		Version:      1,
		Description:  "what was sold of every article",
		Subscription: pup.Subscription{EventTypes: pupevents.Types},
		Fields:       pupevents.Fields,
		Tables:       []*pup.Table{sales, channels},
		Handle:       handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		event, err := events.Read(e)
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case *v2.OrderPlaced:
			count.Row(out, e).Text(event.Channel).I64(1)
			for _, line := range event.Lines {
				add.Row(out, e).Text(line.Article).I64(line.Pieces).I64(line.Pieces * int64(line.Price))
			}
		}
	}
	return nil
}

func main() {}
