package puptest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// message is what an event has sent.
type message struct {
	id       string
	position int64
	index    int // among those of the event
	of       *catalogue.MessageType
	subject  string
	key      string // messages of one key are sent one after the other
	data     any
}

// messages makes the messages of a reply, in order of their events, as the host does and in its words.
func (d *description) messages(mutations []mutation, events []event) ([]message, error) {
	counts := make([]int, len(events))
	var sent []message
	for i := range mutations {
		m := &mutations[i]
		if m.message == nil {
			continue
		}
		e := &events[m.event]
		subject, _, err := m.message.Fill(messageValues(m.values))
		if err != nil {
			return nil, e.fault(err.Error())
		}
		id := fmt.Sprintf("%s.v%d.%d.%d", d.Name, d.Version, e.Position, counts[m.event])
		key := e.key
		switch m.message.KeyOrDefault() {
		case catalogue.MessageKeyAll:
			key = ""
		case catalogue.MessageKeyNone:
			key = id
		}
		sent = append(sent, message{
			id: id, position: e.Position, index: counts[m.event], of: m.message, subject: subject, key: key,
			data: m.values[len(m.values)-1],
		})
		counts[m.event]++
	}
	slices.SortStableFunc(sent, inOrder)
	return sent, nil
}

func inOrder(a, b message) int {
	return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(a.index, b.index))
}

// messageValues are values of a message as the host has them.
func messageValues(values []any) []catalogue.Value {
	all := make([]catalogue.Value, len(values))
	for i, value := range values {
		switch v := value.(type) {
		case string:
			all[i] = catalogue.Text(v)
		case []byte:
			all[i] = catalogue.BytesOf(catalogue.KindBytes, v)
		case json.RawMessage:
			all[i] = catalogue.BytesOf(catalogue.KindJSON, v)
		}
	}
	return all
}

// format writes a message as "id=shop.v1.1.0 type=order_paid subject=shop.c1.paid key=c1 data={}".
func (m *message) format() string {
	return fmt.Sprintf("id=%s type=%s subject=%s key=%s data=%s", m.id, format(m.of.TypeName()), m.subject, format(m.key),
		format(m.data))
}

// Messages returns what was sent since the projection was made, in order of events, as lines of name=value. Text has quotes
// where that of Rows has:
//
//	id=shop.v1.1.0 type=order_paid subject=shop.orders.c1.paid key=c1 data={"cents":5}
//
// The id is that of the projection and its version, the event's position, and the message's number among those of the
// event. Messages of one key are sent one after the other; see [pup.MessageKey].
func (p *Projection) Messages() []string {
	sent := slices.Clone(p.sent)
	slices.SortStableFunc(sent, inOrder)
	lines := make([]string, len(sent))
	for i := range sent {
		lines[i] = sent[i].format()
	}
	return lines
}

// WantMessages fails the test when not exactly these messages were sent, in order of events.
func (p *Projection) WantMessages(want ...string) {
	p.t.Helper()
	p.want("messages", p.Messages(), want)
}

// sentDifference describes the first message that is not the same in what another run has sent, or returns "". Messages
// are compared key by key: those of different keys are sent in any order.
func sentDifference(got, want []message, where string) string {
	gotKeys, wantKeys := byKey(got), byKey(want)
	keys := slices.Concat(slices.Collect(maps.Keys(wantKeys)), slices.Collect(maps.Keys(gotKeys)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		ours, theirs := gotKeys[key], wantKeys[key]
		for i := range max(len(ours), len(theirs)) {
			switch {
			case i >= len(theirs):
				return fmt.Sprintf("message %s: %s there is none", ours[i], where)
			case i >= len(ours):
				return fmt.Sprintf("there is no message %s, which there is %s", theirs[i], where)
			case ours[i] != theirs[i]:
				return fmt.Sprintf("message %s, %s %s", ours[i], where, theirs[i])
			}
		}
	}
	return ""
}

// byKey returns the lines of messages by their key, in the order in which they were sent.
func byKey(messages []message) map[string][]string {
	all := map[string][]string{}
	for i := range messages {
		m := &messages[i]
		all[m.key] = append(all[m.key], m.format())
	}
	return all
}
