// Package customers is the projection customer_fold, with or without an event at which it fails.
package customers

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	customers = pup.NewTable("customers",
		pup.Text("customer_id").Key().Partition(), pup.I64("orders").NotNull(), pup.I64("cents").NotNull(), pup.I64(
			"last_position").NotNull())
	fold = pup.NewFold(customers, pup.FoldFuncs[customer]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.PartitionKey()) },
		Load: func(row *pup.Rows, c *customer) { c.orders, c.cents, c.last = row.I64(), row.I64(), row.I64() },
		Save: func(row *pup.Row, c *customer) { row.I64(c.orders).I64(c.cents).I64(c.last) },
	})
)

type customer struct{ orders, cents, last int64 }

// Register registers the projection. A poisoned one refuses events of type Poison.
func Register(poisoned bool) {
	pup.Register(pup.Projection{
		Name:      "customer_fold",
		Version:   1,
		Partition: pup.ByJSON("customer"),
		Fields:    []pup.Field{pup.PartitionKey, pup.EventType},
		Tables:    []*pup.Table{customers},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(e pup.Event, c *customer) error {
				switch {
				case poisoned && e.Type() == "Poison":
					return pup.ErrorAt(e, 2, "as the event says")
				case e.Position() <= c.last:
					return pup.ErrorAt(e, 1, "the events of a customer are out of order")
				}
				c.orders++
				c.cents += 100
				c.last = e.Position()
				return nil
			})
		},
	})
}
