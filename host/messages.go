package host

import (
	"cmp"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// messageColumns are the fields of events that messages are made with, besides their values.
func messageColumns(p *store.Projection) store.Columns {
	division := p.Division()
	return division.Columns() | store.TraceColumns | store.ColumnCreatedAt
}

// sender is what the messages of an event share.
type sender struct {
	messages int // that it has caused so far
	traced   bool
	trace    string // the span that caused it, as a header; "" for none. Set when traced
}

// beginMessages forgets the messages of the batch before.
func (g *Guest) beginMessages(events int) {
	g.messages, g.messageBytes = nil, 0
	if len(g.module.Description.Messages) == 0 {
		return
	}
	g.senders = slices.Grow(g.senders[:0], events)[:events]
	clear(g.senders)
}

// makeMessage makes the message that an event causes, and counts its memory.
func (g *Guest) makeMessage(t *store.MessageType, event *store.RecordedEvent, at int, values []store.Value) error {
	s := &g.senders[at]
	if !s.traced {
		s.traced = true
		if parent, valid := event.TraceParent(); valid {
			s.trace = parent.String()
		}
	}
	// However many messages an event has, its metadata is read once: it may be large.
	short := *event
	short.Metadata, short.TraceID = nil, s.trace
	if short.Key == nil && g.module.usesKeys {
		short.Key = g.keys[at]
	}
	m, err := t.Make(&g.module.Description.Projection, &short, s.messages, values)
	if err != nil {
		return err
	}
	if g.messageBytes += m.Size(); g.messageBytes > g.module.limits.ReplyBytesMax {
		return exceeded("the messages of a reply take more than %d bytes: make batches smaller",
			g.module.limits.ReplyBytesMax)
	}
	s.messages++
	g.messages = append(g.messages, m)
	return nil
}

// sortMessages puts the messages into the order of their events. Those of an event are in the order of the reply.
func (g *Guest) sortMessages() {
	byPosition := func(a, b store.Message) int { return cmp.Compare(a.Position, b.Position) }
	if !slices.IsSortedFunc(g.messages, byPosition) {
		slices.SortStableFunc(g.messages, byPosition)
	}
}
