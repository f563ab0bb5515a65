// Command outside does, by the type of an event, what a projection must not: it uses goroutines, asks for the
// time, and for random bytes. It is for tests of the host, and for Go's compiler: TinyGo's modules have no
// scheduler.
package main

import (
	"crypto/rand"
	"runtime"
	"sync"
	"time"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
)

var (
	rows = pup.NewTable("rows", pup.I64("position").Key().Position(), pup.Text("note").NotNull())
	note = rows.Insert("note", "note")
)

func init() {
	pup.Register(pup.Projection{
		Name:    "outside",
		Version: 1,
		Fields:  []pup.Field{pup.AggregateID, pup.EventType},
		Tables:  []*pup.Table{rows},
		Handle:  handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		row := func() { note.Row(out, e).I64(e.Position()).Text("fine") }
		switch e.Type() {
		case "Detached": // runs when Handle has returned
			go row()
		case "Sleeping": // runs, if at all, within another batch
			go func() {
				<-time.After(time.Hour)
				row()
			}()
		case "Timer": // is no goroutine until it fires
			time.AfterFunc(time.Hour, row)
			row()
		case "Pause": // timers of earlier batches fire
			<-time.After(2 * time.Hour)
			row()
		case "Waited":
			var group sync.WaitGroup
			group.Add(1)
			go func() {
				defer group.Done()
				row()
			}()
			group.Wait()
		case "Time":
			note.Row(out, e).I64(e.Position()).Text(time.Now().UTC().Format(time.DateOnly))
		case "Random":
			var bytes [8]byte
			if _, err := rand.Read(bytes[:]); err != nil {
				return err
			}
			row()
		case "Garbage":
			for range 3 {
				runtime.GC()
			}
			row()
		default:
			row()
		}
	}
	return nil
}

func main() {}
