// Package tally counts the events of every stream, in three versions whose rows are the same and whose columns are not.
// It is for tests of the host.
package tally

import pup "github.com/pupwasm/pupwasm/guest-sdk"

// Register registers a version. The second one has a column more, and the third one has it at another place. Each has
// two tables with the same rows: a reader of both sees whether they are of one version.
func Register(version int) {
	columns := []pup.Column{
		pup.Text("stream").Key().Partition(), pup.I64("events").NotNull().Default(0), pup.I64("position").NotNull().Default(0),
	}
	last := pup.Text("last_type")
	switch version {
	case 2:
		columns = append(columns, last)
	case 3:
		columns = append(columns[:1:1], append([]pup.Column{last}, columns[1:]...)...)
	}
	streams, twin := pup.NewTable("streams", columns...), pup.NewTable("twin", columns...)
	actions := []pup.Assignment{pup.Add("events"), pup.Max("position")}
	if version > 1 {
		actions = append(actions, pup.Set("last_type"))
	}
	count, again := streams.Upsert("count", actions...), twin.Upsert("again", actions...)
	pup.Register(pup.Projection{
		Name:    "tally",
		Version: version,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType},
		Tables:  []*pup.Table{streams, twin},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				for _, write := range []*pup.Write{count, again} {
					row := write.Row(out, e).Text(e.AggregateID()).I64(1).I64(e.Position())
					if version > 1 {
						row.Text(e.Type())
					}
				}
			}
			return nil
		},
	})
}
