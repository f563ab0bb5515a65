// Command rows inserts a row for every event: workload W2 of the benchmarks.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	bookings = pup.NewTable("bookings",
		pup.I64("position").Key().Position(),
		pup.Text("account").NotNull(),
		pup.Text("kind").NotNull(),
		pup.I64("amount").NotNull(),
	)
	record = bookings.Insert("record")
)

func init() {
	pup.Register(pup.Projection{
		Name:    "bench_rows",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType, pup.Payload},
		Tables:  []*pup.Table{bookings},
		Handle:  handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		payload := e.JSON()
		if !payload.Find("amount") {
			continue
		}
		record.Row(out, e).I64(e.Position()).Text(e.AggregateID()).Text(e.Type()).I64(payload.Int64())
	}
	return nil
}

func main() {}
