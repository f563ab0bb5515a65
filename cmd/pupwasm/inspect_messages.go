package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

// sends says whether data leaves the database by a module.
func sends(d *host.Description) string {
	if len(d.Messages) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s, with data of the events that it reads, to wherever the host publishes", countMessages(len(d.Messages)))
}

func countMessages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// printMessage shows what a module may send, and where.
func printMessage(out io.Writer, p *store.Projection, m *store.MessageType) {
	params := m.Params()
	values := make([]string, len(params))
	for i, t := range params {
		values[i] = m.ParamName(i) + " " + t.String()
	}
	fmt.Fprintf(out, "\nmessage %s (%s)\n", m.Name, strings.Join(values, ", "))
	fmt.Fprintf(out, "  subject %s\n  type %s\n  content type %s\n  %s\n", printable(m.Subject), printable(m.TypeName()),
		printable(m.Content()), messageOrder(p, m))
}

// messageOrder says which messages are sent one after the other.
func messageOrder(p *store.Projection, m *store.MessageType) string {
	key := m.KeyOrDefault()
	switch key {
	case store.MessageKeyAll:
		return fmt.Sprintf("key %s: in the order of all events", key)
	case store.MessageKeyNone:
		return fmt.Sprintf("key %s: in any order", key)
	}
	division := p.Division()
	return fmt.Sprintf("key %s: in order within a partition key, by %s", key, printable(division.String()))
}
