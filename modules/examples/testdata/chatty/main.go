// Command chatty sends messages that depend, by the type of the events, on more than them. It is for tests of the host.
package main

import (
	"strconv"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
)

var said = pup.NewMessage("said", "chatty.{stream}.said")

var seen int // which a module must not have

func init() {
	pup.Register(pup.Projection{
		Name:     "chatty",
		Version:  1,
		Messages: []*pup.Message{said},
		Handle:   handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		seen++
		n := e.AggregateVersion()
		switch e.Type() {
		case "Batch":
			n = int64(b.Len())
		case "Global":
			n = int64(seen)
		case "Last":
			if e.Index() < b.Len()-1 {
				continue
			}
		}
		said.Send(out, e).Text(e.AggregateID()).JSON(strconv.AppendInt(nil, n, 10))
	}
	return nil
}

func main() {}
