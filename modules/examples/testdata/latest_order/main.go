// Command latest_order keeps the last order of every customer, over orders that are streams of their own and
// name their customer. It is for tests of the host: the last order is the last one, however the customers are
// divided.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	latest = pup.NewTable("latest", pup.Text("customer_id").Key().Partition(), pup.Text("last_order").NotNull(),
		pup.I64("position").NotNull())
	set = latest.Upsert("set", pup.Set("last_order", "position"))
)

func init() {
	pup.Register(pup.Projection{
		Name:      "latest_order",
		Version:   1,
		Partition: pup.ByJSON("customer"),
		Fields:    []pup.Field{pup.PartitionKey, pup.AggregateID},
		Tables:    []*pup.Table{latest},
		Handle:    handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		set.Row(out, e).Text(e.PartitionKey()).Text(e.AggregateID()).I64(e.Position())
	}
	return nil
}

func main() {}
