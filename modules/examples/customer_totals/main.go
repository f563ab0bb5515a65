// Command customer_totals keeps the name of every customer and the total of the customer's orders.
// Names and orders are events of different streams; both write the same row.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	customers = pup.NewTable("customers",
		pup.Text("customer_id").Key().Partition(),
		pup.Text("name"),
		pup.I64("orders").NotNull().Default(0),
		pup.I64("paid_cents").NotNull().Default(0),
		pup.Text("last_order"),
	)
	name   = customers.Upsert("name", pup.Set("name"))
	pay    = customers.Upsert("pay", pup.Add("orders", "paid_cents"), pup.Set("last_order"))
	refund = customers.Upsert("refund", pup.Add("paid_cents"))
)

// codeNoCustomer is the code of the error about an order that does not name its customer.
const codeNoCustomer = 1

func init() {
	pup.Register(pup.Projection{
		Name:        "customer_totals",
		Version:     1,
		Description: "name, orders and payments of every customer",
		Subscription: pup.Subscription{
			BoundedContexts: []string{"Sales"},
			AggregateTypes:  []string{"Customer", "Order"},
		},
		// An order names its customer. A customer's own events do not: their key is the stream's id, which is the
		// customer's.
		Partition: pup.ByJSON("customer_id"),
		Fields:    []pup.Field{pup.PartitionKey, pup.AggregateID, pup.EventType, pup.Payload},
		Tables:    []*pup.Table{customers},
		Views: []pup.View{{
			Name: "averages",
			SQL: pup.SQL{
				Any:   "SELECT customer_id, name, paid_cents / nullif(orders, 0) AS average_cents FROM {customers}",
				MySQL: "SELECT customer_id, name, paid_cents DIV nullif(orders, 0) AS average_cents FROM {customers}",
			},
		}},
		Handle: handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		switch e.Type() {
		case "CustomerRegistered", "CustomerRenamed":
			if payload := e.JSON(); payload.Find("name") {
				name.Row(out, e).Text(e.PartitionKey()).Text(payload.Text())
			}
		case "OrderPaid":
			cents, named := amount(e)
			if !named {
				return pup.ErrorAt(e, codeNoCustomer, "the order names no customer")
			}
			pay.Row(out, e).Text(e.PartitionKey()).I64(1).I64(cents).Text(e.AggregateID())
		case "OrderRefunded":
			cents, named := amount(e)
			if !named {
				return pup.ErrorAt(e, codeNoCustomer, "the order names no customer")
			}
			refund.Row(out, e).Text(e.PartitionKey()).I64(-cents)
		}
	}
	return nil
}

// amount reads an amount of euros and reports whether the payload names a customer.
func amount(e pup.Event) (cents int64, named bool) {
	payload := e.JSON()
	for field := payload.Object(); field.Next(); {
		switch field.Key() {
		case "customer_id":
			named = true
		case "amount":
			cents = payload.Decimal(2)
		}
	}
	return cents, named
}

func main() {}
