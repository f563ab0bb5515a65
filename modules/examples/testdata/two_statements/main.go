// Command two_statements changes a row by two SQL statements for every event, which the host sends one by one.
// It is for tests of large commits.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	counts = pup.NewTable("counts",
		pup.Text("id").Key(), pup.I64("events").NotNull().Default(0), pup.I64("bytes").NotNull().Default(0))
	count = pup.NewStatement("count", pup.SQL{
		Any:   "INSERT INTO {counts} AS c (id, events) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET events = c.events + 1",
		MySQL: "INSERT INTO {counts} (id, events) VALUES ($1, 1) ON DUPLICATE KEY UPDATE events = events + 1",
	}, pup.TypeText).Unordered()
	weigh = pup.NewStatement("weigh", pup.SQL{
		Any: "UPDATE {counts} SET bytes = bytes + $2 WHERE id = $1",
	}, pup.TypeText, pup.TypeI64).Unordered()
)

func init() {
	pup.Register(pup.Projection{
		Name:       "two_statements",
		Version:    1,
		Fields:     []pup.Field{pup.AggregateID, pup.Payload},
		Tables:     []*pup.Table{counts},
		Statements: []*pup.Write{count, weigh},
		Handle:     handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		count.Row(out, e).Text(e.AggregateID())
		weigh.Row(out, e).Text(e.AggregateID()).I64(int64(len(e.Payload())))
	}
	return nil
}

func main() {}
