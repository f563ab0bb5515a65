// Command unmarked_fold keeps a count per customer over streams that are divided without regard to customers.
// It is for tests of the host, which must refuse it: several segments would read and write one row at once.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	customers = pup.NewTable("customers", pup.Text("customer_id").Key(), pup.I64("orders").NotNull())
	fold      = pup.NewFold(customers, pup.FoldFuncs[int64]{
		Key: func(e pup.Event, key *pup.Row) {
			if payload := e.JSON(); payload.Find("customer") {
				key.Text(payload.Text())
			}
		},
		Load: func(row *pup.Rows, orders *int64) { *orders = row.I64() },
		Save: func(row *pup.Row, orders *int64) { row.I64(*orders) },
	})
)

func init() {
	pup.Register(pup.Projection{Name: "unmarked_fold", Version: 1, Tables: []*pup.Table{customers}, Handle: handle})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	return fold.Run(b, out, func(_ pup.Event, orders *int64) error {
		*orders++
		return nil
	})
}

func main() {}
