// Command revenue sums the payments of orders per day and currency, in exact cents. It keeps the payments of each
// order, so that it can refund a cancelled one.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	revenue = pup.NewTable("revenue",
		pup.Text("day").Key(),
		pup.Text("currency").Key(),
		pup.I64("payments").NotNull().Default(0),
		pup.I64("paid_cents").NotNull().Default(0),
		pup.I64("refunded_cents").NotNull().Default(0),
	)
	book = revenue.Upsert("book", pup.Add("payments", "paid_cents", "refunded_cents"))

	orders = pup.NewTable("orders",
		pup.Text("order_id").Key().Partition(),
		pup.Text("currency").NotNull(),
		pup.I64("paid_cents").NotNull(),
	)
	fold = pup.NewFold(orders, pup.FoldFuncs[order]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.AggregateID()) },
		Load: func(row *pup.Rows, o *order) { o.currency, o.paid = row.Text(), row.I64() },
		Save: func(row *pup.Row, o *order) { row.Text(o.currency).I64(o.paid) },
		Drop: func(o *order) bool { return o.paid == 0 },
	})
)

// order is the state of an order.
type order struct {
	currency string
	paid     int64 // cents
}

// codeCurrency is the code of the error about an order that is paid in two currencies.
const codeCurrency = 1

func init() {
	pup.Register(pup.Projection{
		Name:        "revenue",
		Version:     1,
		Description: "payments and refunds per day and currency",
		Subscription: pup.Subscription{
			BoundedContexts: []string{"Shop"},
			AggregateTypes:  []string{"Order"},
			EventTypes:      []string{"OrderPaid", "OrderCancelled"},
		},
		Tables: []*pup.Table{revenue, orders},
		Handle: handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	return fold.Run(b, out, func(e pup.Event, o *order) error {
		if e.Type() == "OrderCancelled" {
			if o.paid != 0 {
				book.Row(out, e).Date(e.CreatedAt()).Text(o.currency).I64(0).I64(0).I64(o.paid)
				o.paid = 0
			}
			return nil
		}
		cents, currency := payment(e)
		if o.currency != "" && o.currency != currency {
			return pup.ErrorAt(e, codeCurrency, "the order is paid in "+o.currency+" and in "+currency)
		}
		o.currency = currency
		o.paid += cents
		book.Row(out, e).Date(e.CreatedAt()).Text(currency).I64(1).I64(cents).I64(0)
		return nil
	})
}

func payment(e pup.Event) (cents int64, currency string) {
	payload := e.JSON()
	for field := payload.Object(); field.Next(); {
		switch field.Key() {
		case "amount":
			cents = payload.Decimal(2)
		case "currency":
			currency = payload.Text()
		}
	}
	return cents, currency
}

func main() {}
