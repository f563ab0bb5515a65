// Package accounts keeps the balance of every account, for the modules that divide it in different ways.
package accounts

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	accounts = pup.NewTable("accounts",
		pup.Text("account").Key(),
		pup.I64("balance").NotNull().Default(0),
		pup.I64("events").NotNull().Default(0),
	)
	book = accounts.Upsert("book", pup.Add("balance", "events"))
)

// Register makes it the projection of the module, by a name and divided by a key.
func Register(name string, partition pup.Partition) {
	pup.Register(pup.Projection{
		Name:      name,
		Version:   1,
		Partition: partition,
		Fields:    []pup.Field{pup.AggregateID, pup.EventType, pup.Payload},
		Tables:    []*pup.Table{accounts},
		Handle:    handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		payload := e.JSON()
		if !payload.Find("amount") {
			continue
		}
		amount := payload.Int64()
		if e.Type() == "Withdrawn" {
			amount = -amount
		}
		book.Row(out, e).Text(e.AggregateID()).I64(amount).I64(1)
	}
	return nil
}
