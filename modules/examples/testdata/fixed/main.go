// Command fixed is misbehave without its faults, under the same name and version. It is for tests of the host.
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
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				note.Row(out, e).I64(e.Position()).Text("fine")
			}
			return nil
		},
	})
}

func main() {}
