// Command misbehave does what the type of an event says. It is for tests of the host.
package main

import (
	"errors"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
)

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

var (
	sink int
	kept [][]byte
	none map[string]int
)

// deep calls itself until there is no stack left, or as often as depth says.
func deep(depth int) int {
	var frame [64]int
	for i := range frame {
		frame[i] = depth + i
	}
	if depth > 0 {
		frame[depth%len(frame)] += deep(depth - 1)
	}
	return frame[sink&63]
}

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
		case "Index":
			sink = len(e.AggregateID())
			sink += []int{1, 2}[sink]
		case "Nil":
			none[e.AggregateID()]++
		case "Memory": // more than any host grants
			for {
				kept = append(kept, make([]byte, 1<<20))
			}
		case "Pile": // much, of which a batch may have few
			kept = append(kept, make([]byte, 8<<20))
		case "Deep":
			sink = deep(1 << 30)
		case "Work": // some ten million instructions
			for i := range 1_000_000 {
				sink ^= i * sink
			}
		case "Field": // is none of those that were asked for
			sink = len(e.CausationID())
		case "Unordered":
			return errors.New("the batch is not acceptable")
		case "Text": // is not UTF-8
			note.Row(out, e).I64(e.Position()).Text("\xff")
			continue
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
