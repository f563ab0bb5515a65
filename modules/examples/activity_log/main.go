// Command activity_log writes one row for every event.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	activity = pup.NewTable("activity",
		pup.I64("position").Key().Position(),
		pup.Timestamp("at").NotNull(),
		pup.Text("subject").NotNull(),
		pup.Text("event_type").NotNull(),
		pup.JSON("payload"),
	).Index("subject", "at")
	record = activity.InsertIgnore("record")
)

func init() {
	pup.Register(pup.Projection{
		Name:        "activity_log",
		Version:     1,
		Description: "every event as a row, for people to search",
		Fields:      []pup.Field{pup.AggregateType, pup.AggregateID, pup.EventType, pup.CreatedAt, pup.Payload},
		Tables:      []*pup.Table{activity},
		Handle:      handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	var subject []byte
	for e := range b.Events() {
		subject = append(append(append(subject[:0], e.AggregateType()...), '/'), e.AggregateID()...)
		row := record.Row(out, e).I64(e.Position()).Timestamp(e.CreatedAt()).TextBytes(subject).Text(e.Type())
		if isJSON(e) && fits(e.Payload()) {
			row.JSON(e.Payload())
		} else {
			row.Null()
		}
	}
	return nil
}

func main() {}
