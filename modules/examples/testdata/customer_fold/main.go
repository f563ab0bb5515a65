// Command customer_fold keeps a count and a sum per customer, over orders that are streams of their own and
// name their customer. It is for tests of the host: every order must be counted, however the customers are
// divided.
package main

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

func init() {
	pup.Register(pup.Projection{
		Name:      "customer_fold",
		Version:   1,
		Partition: pup.ByJSON("customer"),
		Fields:    []pup.Field{pup.PartitionKey},
		Tables:    []*pup.Table{customers},
		Handle:    handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	return fold.Run(b, out, func(e pup.Event, c *customer) error {
		if e.Position() <= c.last {
			return pup.ErrorAt(e, 1, "the events of a customer are out of order")
		}
		c.orders++
		c.cents += 100
		c.last = e.Position()
		return nil
	})
}

func main() {}
