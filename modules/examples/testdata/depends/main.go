// Command depends writes, by the type of an event, rows that depend on more than the events. It is for tests of
// 'pupwasm check'.
package main

import (
	"crypto/rand"
	"strconv"
	"time"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
)

var (
	rows = pup.NewTable("rows", pup.I64("position").Key().Position(), pup.Text("note").NotNull())
	note = rows.Insert("note", "note")
)

func init() {
	pup.Register(pup.Projection{
		Name:    "depends",
		Version: 1,
		Fields:  []pup.Field{pup.EventType},
		Tables:  []*pup.Table{rows},
		Handle:  handle,
	})
}

var seen int

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		text := "fine"
		switch e.Type() {
		case "Time":
			text = strconv.Itoa(time.Now().Year())
		case "Random":
			var bytes [4]byte
			if _, err := rand.Read(bytes[:]); err != nil {
				return err
			}
			text = strconv.Itoa(int(bytes[0]))
		case "Map":
			for name := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8} {
				text = name
				break
			}
		case "Global":
			seen++
			text = strconv.Itoa(seen)
		case "Batch":
			text = strconv.Itoa(b.Len())
		}
		note.Row(out, e).I64(e.Position()).Text(text)
	}
	return nil
}

func main() {}
