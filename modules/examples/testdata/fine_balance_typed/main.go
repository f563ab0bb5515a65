// Command fine_balance_typed is fine_balance by generated readers, to compare their fuel.
package main

import (
	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/modules/examples/testdata/fine_balance_typed/events/pupevents"
	v1 "github.com/pupwasm/pupwasm/modules/examples/testdata/fine_balance_typed/events/v1"
)

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
	charge = fines.Upsert("charge", pup.Set("amount_cents"), pup.Add("events"), pup.Set("last_event", "updated_at"))
	touch  = fines.Upsert("touch", pup.Add("expense_cents", "paid_cents", "events"), pup.Set("last_event", "updated_at"))
)

func init() {
	pup.Register(pup.Projection{
		Name:    "fine_balance_typed",
		Version: 1,
		Subscription: pup.Subscription{
			BoundedContexts: []string{"Traffic"},
			AggregateTypes:  []string{"Fine"},
		},
		Tables: []*pup.Table{fines},
		Fields: pupevents.Fields,
		Handle: handle,
	})
}

var events pupevents.Reader

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		event, err := events.Read(e)
		if err != nil {
			return err
		}
		var amount *v1.Cents
		var expense, paid v1.Cents
		switch event := event.(type) {
		case *v1.CreateFine:
			amount = event.Amount
		case *v1.AddPenalty:
			amount = event.Amount
		case *v1.SendFine:
			expense = event.Expense
		case *v1.Payment:
			paid = event.PaymentAmount
		}
		if amount != nil {
			charge.Row(out, e).Text(e.AggregateID()).I64(int64(*amount)).I64(1).Text(e.Type()).Timestamp(e.CreatedAt())
		} else {
			touch.Row(out, e).Text(e.AggregateID()).I64(int64(expense)).I64(int64(paid)).I64(1).Text(e.Type()).
				Timestamp(e.CreatedAt())
		}
	}
	return nil
}

func main() {}
