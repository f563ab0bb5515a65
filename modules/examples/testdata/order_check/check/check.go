// Package check is the projection order_check, with or without an event at which it fails.
package check

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	streams = pup.NewTable("streams", pup.Text("stream").Key().Partition(), pup.I64("version").NotNull())
	breaks  = pup.NewTable("breaks",
		pup.I64("position").Key().Position(), pup.Text("stream").NotNull(), pup.I64("before").NotNull(), pup.I64(
			"version").NotNull())
	odd    = pup.NewTable("odd", pup.I64("position").Key().Position(), pup.Text("stream").NotNull())
	record = breaks.Upsert("record", pup.Set("stream", "before", "version"))
	note   = odd.Insert("note", "stream")
	fold   = pup.NewFold(streams, pup.FoldFuncs[int64]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.AggregateID()) },
		Load: func(row *pup.Rows, version *int64) { *version = row.I64() },
		Save: func(row *pup.Row, version *int64) { row.I64(*version) },
	})
)

// Register registers the projection. A poisoned one panics at events of type Poison. Events of type Odd have a row of
// their own, which a test can have the database refuse.
func Register(poisoned bool) {
	pup.Register(pup.Projection{
		Name:    "order_check",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType},
		Tables:  []*pup.Table{streams, breaks, odd},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(e pup.Event, version *int64) error {
				if poisoned && e.Type() == "Poison" {
					panic("as the event says")
				}
				if e.Type() == "Odd" {
					note.Row(out, e).I64(e.Position()).Text(e.AggregateID())
				}
				if e.AggregateVersion() != *version+1 {
					record.Row(out, e).I64(e.Position()).Text(e.AggregateID()).I64(*version).I64(e.AggregateVersion())
				}
				*version = e.AggregateVersion()
				return nil
			})
		},
	})
}
