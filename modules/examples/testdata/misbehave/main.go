// Command misbehave does what the type of an event says. It is for tests of the host.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	rows = pup.NewTable("rows", pup.I64("position").Key().Position(), pup.Text("note").NotNull())
	note = rows.Insert("note", "note")
)

func init() {
	pup.Register(pup.Projection{
		Name:    "misbehave",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType},
		Tables:  []*pup.Table{rows},
		Handle:  handle,
	})
}

var sink int

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		switch e.Type() {
		case "Panic":
			panic("as the event says")
		case "Garbled":
			panic("no text: \x00 and \xff")
		case "Error":
			return pup.ErrorAt(e, 7, "the event is not acceptable")
		case "Loop":
			for {
				sink++
			}
		case "Null": // the column is NOT NULL: the database refuses it
			note.Row(out, e).I64(e.Position()).Null()
			continue
		case "Log":
			pup.Log(pup.LevelInfo, "noted "+e.AggregateID())
		}
		note.Row(out, e).I64(e.Position()).Text("fine")
	}
	return nil
}

func main() {}
