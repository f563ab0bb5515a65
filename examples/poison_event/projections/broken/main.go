// Command broken keeps the total of every order, and fails at an order without one.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	totals = pup.NewTable("totals", pup.Text("order_id").Key().Partition(), pup.I64("cents").NotNull(), pup.Text("state"))
	place  = totals.Upsert("place", pup.Set("cents", "state"))
	ship   = totals.Upsert("ship", pup.Set("state"), pup.Add("cents"))
)

// codeNoTotal is the code of the error about an order without a total.
const codeNoTotal = 1

func init() {
	pup.Register(pup.Projection{Name: "order_totals", Version: 1, Tables: []*pup.Table{totals}, Handle: handle})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		switch e.Type() {
		case "OrderPlaced":
			payload := e.JSON()
			if !payload.Find("total") {
				return pup.ErrorAt(e, codeNoTotal, "the order has no total")
			}
			place.Row(out, e).Text(e.AggregateID()).I64(payload.Decimal(2)).Text("placed")
		case "OrderShipped":
			ship.Row(out, e).Text(e.AggregateID()).Text("shipped").I64(0)
		}
	}
	return nil
}

func main() {}
