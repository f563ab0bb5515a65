// Command unmarked_set sets the last order of customers over streams that are divided without regard to
// customers. It is for tests of the host, which must refuse it: which order is the last would depend on which
// segment is.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	latest = pup.NewTable("latest", pup.Text("customer_id").Key(), pup.Text("last_order"))
	set    = latest.Upsert("set", pup.Set("last_order"))
)

func init() {
	pup.Register(pup.Projection{Name: "unmarked_set", Version: 1, Tables: []*pup.Table{latest}, Handle: handle})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		if payload := e.JSON(); payload.Find("customer") {
			set.Row(out, e).Text(payload.Text()).Text(e.AggregateID())
		}
	}
	return nil
}

func main() {}
