package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Output is what a program makes of a batch of events: rows, and messages.
type Output struct {
	Mutations []Mutation
	Messages  []Message // in the order in which they are sent, where they have one key
}

// Message is what a projection sends because of an event. It goes into the outbox in the transaction that applies the
// event, see [Outbox].
type Message struct {
	MessageID
	Type        string
	Subject     string
	Key         []byte // messages of one projection and key are sent one after the other
	ContentType string
	Data        []byte
	// Spread is the hash of the event's partition key, spread (see [Spread]): the segment with it in its range has the event.
	Spread      uint32
	TraceParent string    // of the span that caused the event, as the header of W3C Trace Context; "" for none
	Time        time.Time // of the event
}

// messageOverhead is about what a message takes besides its texts and data.
const messageOverhead = 256

// Size is about how much memory the message takes.
func (m *Message) Size() int { return messageOverhead + len(m.Subject) + len(m.Key) + len(m.Data) }

// MessageID identifies a message, on every try: what it is sent by, and the event that caused it.
type MessageID struct {
	Projection string
	Version    int
	Position   int64 // of the event
	Index      int   // among the messages of the event, from 0
}

// String returns the form that receivers see, such as shop.v1.120.0.
func (id MessageID) String() string {
	return fmt.Sprintf("%s.v%d.%d.%d", id.Projection, id.Version, id.Position, id.Index)
}

// ParseMessageID reads the form that String returns.
func ParseMessageID(text string) (MessageID, error) {
	parts := strings.Split(text, ".")
	fail := func() (MessageID, error) {
		return MessageID{}, &InputError{Field: "message", Reason: fmt.Sprintf("%.80q is no id such as shop.v1.120.0", text)}
	}
	if len(parts) != 4 || !isName(parts[0]) {
		return fail()
	}
	id := MessageID{Projection: parts[0]}
	var err error
	if id.Version, err = strconv.Atoi(strings.TrimPrefix(parts[1], "v")); err != nil {
		return fail()
	}
	if id.Position, err = strconv.ParseInt(parts[2], 10, 64); err != nil {
		return fail()
	}
	if id.Index, err = strconv.Atoi(parts[3]); err != nil || id.String() != text {
		return fail()
	}
	return id, nil
}

// Make makes the message that an event causes, the one with this index. values are those of [MessageType.Params]; the
// message has copies of them. event has the columns of the projection's partition, [TraceColumns] and
// [ColumnCreatedAt].
//
// # Errors
//
// The text says what is wrong with the values. The event is at fault.
func (t *MessageType) Make(projection *Projection, event *RecordedEvent, index int, values []Value) (Message, error) {
	subject, data, err := t.Fill(values)
	if err != nil {
		return Message{}, err
	}
	m := Message{
		MessageID: MessageID{
			Projection: projection.Name, Version: projection.Version, Position: event.Position, Index: index,
		},
		Type: t.TypeName(), Subject: subject, ContentType: t.Content(), Data: append([]byte{}, data...),
		Spread: Spread(PartitionHashOf(event.KeyBytes())), Time: event.CreatedAt,
	}
	if parent, valid := event.TraceParent(); valid {
		m.TraceParent = parent.String()
	}
	switch t.KeyOrDefault() {
	case MessageKeyAll:
		m.Key = []byte{}
	case MessageKeyNone:
		m.Key = []byte(m.MessageID.String())
	default:
		m.Key = append([]byte{}, event.KeyBytes()...)
	}
	return m, nil
}
