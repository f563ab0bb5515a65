// Command balance keeps the balance of every account: workload W1 of the benchmarks.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	accounts = pup.NewTable("accounts",
		pup.Text("account").Key(),
		pup.I64("balance").NotNull().Default(0),
		pup.I64("events").NotNull().Default(0),
	)
	book = accounts.Upsert("book", pup.Add("balance", "events"))
)

func init() {
	pup.Register(pup.Projection{
		Name:    "bench_balance",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType, pup.Payload},
		Tables:  []*pup.Table{accounts},
		Handle:  handle,
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

func main() {}
