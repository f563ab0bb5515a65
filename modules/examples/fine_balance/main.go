// Command fine_balance keeps the charges and payments of every road-traffic fine, in exact cents.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	fines = pup.NewTable("fines",
		pup.Text("fine_id").Key().Partition(),
		pup.I64("amount_cents").NotNull().Default(0),
		pup.I64("expense_cents").NotNull().Default(0),
		pup.I64("paid_cents").NotNull().Default(0),
		pup.I64("events").NotNull().Default(0),
		pup.Text("last_event").NotNull(),
		pup.Timestamp("updated_at").NotNull(),
	)
	// There are two writes because setting a column to NULL clears it: an event without an amount must leave it out.
	charge = fines.Upsert("charge", pup.Set("amount_cents"), pup.Add("events"), pup.Set("last_event", "updated_at"))
	touch  = fines.Upsert("touch", pup.Add("expense_cents", "paid_cents", "events"), pup.Set("last_event", "updated_at"))
)

func init() {
	pup.Register(pup.Projection{
		Name:        "fine_balance",
		Version:     1,
		Description: "what was charged and paid for every fine",
		Subscription: pup.Subscription{
			BoundedContexts: []string{"Traffic"},
			AggregateTypes:  []string{"Fine"},
		},
		Tables: []*pup.Table{fines},
		Handle: handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		var amount, expense, paid int64
		charged := false
		switch e.Type() {
		case "CreateFine", "AddPenalty":
			amount, charged = cents(e, "amount")
		case "SendFine":
			expense, _ = cents(e, "expense")
		case "Payment":
			paid, _ = cents(e, "paymentAmount")
		}
		if charged {
			charge.Row(out, e).Text(e.AggregateID()).I64(amount).I64(1).Text(e.Type()).Timestamp(e.CreatedAt())
		} else {
			touch.Row(out, e).Text(e.AggregateID()).I64(expense).I64(paid).I64(1).Text(e.Type()).Timestamp(e.CreatedAt())
		}
	}
	return nil
}

// cents reads an amount of euros and reports whether the payload has it.
func cents(e pup.Event, field string) (int64, bool) {
	payload := e.JSON()
	if len(e.Payload()) == 0 || !payload.Find(field) {
		return 0, false
	}
	return payload.Decimal(2), true
}

func main() {}
