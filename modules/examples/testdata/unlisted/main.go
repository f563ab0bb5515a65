// Command unlisted forgets to list a table that it writes to. It is for tests of the host.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	listed    = pup.NewTable("listed", pup.Text("id").Key())
	forgotten = pup.NewTable("forgotten", pup.Text("id").Key(), pup.I64("n"))
	see       = listed.InsertIgnore("see")
	count     = forgotten.Upsert("count", pup.Add("n"))
)

func init() {
	pup.Register(pup.Projection{
		Name:    "unlisted",
		Version: 1,
		Tables:  []*pup.Table{listed},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				see.Row(out, e).Text(e.AggregateID())
				count.Row(out, e).Text(e.AggregateID()).I64(1)
			}
			return nil
		},
	})
}

func main() {}
