// Command order_check records every event whose version does not follow the one that the projection saw before
// in the same stream, and counts what it saw. It is for tests of the host.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	streams = pup.NewTable("streams", pup.Text("stream").Key().Partition(), pup.I64("version").NotNull())
	breaks  = pup.NewTable("breaks",
		pup.I64("position").Key().Position(), pup.Text("stream").NotNull(), pup.I64("before").NotNull(), pup.I64(
			"version").NotNull())
	record = breaks.Upsert("record", pup.Set("stream", "before", "version"))
	fold   = pup.NewFold(streams, pup.FoldFuncs[int64]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.AggregateID()) },
		Load: func(row *pup.Rows, version *int64) { *version = row.I64() },
		Save: func(row *pup.Row, version *int64) { row.I64(*version) },
	})
)

func init() {
	pup.Register(pup.Projection{
		Name:    "order_check",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID},
		Tables:  []*pup.Table{streams, breaks},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(e pup.Event, version *int64) error {
				if e.AggregateVersion() != *version+1 {
					record.Row(out, e).I64(e.Position()).Text(e.AggregateID()).I64(*version).I64(e.AggregateVersion())
				}
				*version = e.AggregateVersion()
				return nil
			})
		},
	})
}

func main() {}
