//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// comparison is what differs between the stream and the log.
type comparison struct {
	messages                               int // in the stream
	missing, twice, unexpected, disordered int
	keys                                   int
}

// compareStream compares what a stream has with what the log says.
func compareStream(all []stored, log *ordersLog) comparison {
	c := comparison{messages: len(all)}
	seen := map[string]bool{}
	last := map[string]int64{} // position of the last message of each key
	for _, message := range all {
		key, known := log.messages[message.id]
		switch {
		case !known || key != message.key:
			c.unexpected++
			continue
		case seen[message.id]:
			c.twice++
			continue
		}
		seen[message.id] = true
		id, _ := store.ParseMessageID(message.id) // it is known
		if id.Position < last[key] {
			c.disordered++
		}
		last[key] = id.Position
	}
	c.missing, c.keys = len(log.messages)-len(seen), len(last)
	return c
}

// compare says what came of it, and fails unless each message is there once, in order.
func (d *demo) compare(ctx context.Context, log *ordersLog) error {
	all, err := d.stream.all(ctx)
	if err != nil {
		return err
	}
	c := compareStream(all, log)
	fmt.Printf(`
events that cause a message   %8s
messages in the stream        %8s
  missing                     %8s
  there twice                 %8s
  that no event causes        %8s
  out of order in their key   %8s   of %s keys
`, number(len(log.messages)), number(c.messages), number(c.missing), number(c.twice), number(c.unexpected),
		number(c.disordered), number(c.keys))
	if c.missing+c.twice+c.unexpected+c.disordered > 0 {
		return errors.New("the stream is not what the log says")
	}
	fmt.Println("\nevery event is told of once, in order")
	return nil
}
