package pupwasm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// Send sends a message that a [Consumer] has among its Messages. Its Handle calls it, with its context or one that was
// made of that, because of an event of the batch:
//
//	err := pupwasm.Send(ctx, "order_paid", &events[i], data, customer)
//
// subject has a text for each name in braces of the message's subject, each name once, in the order in which they come
// first. The data must be what the content type says, and is copied. The message goes into the outbox in the transaction
// of the batch, and is sent once that is committed: see [store.Outbox]. Messages of an event are sent in the order in
// which Send was called, where they have one key. Send is safe for concurrent use until Handle returns.
//
// # Errors
//
// The message is not declared, the event is not of the batch, or the values are wrong. The batch fails then, whatever
// Handle returns.
func Send(ctx context.Context, message string, event *store.RecordedEvent, data []byte, subject ...string) error {
	b, is := ctx.Value(sendingKey{}).(*sending)
	if !is {
		return fmt.Errorf("message %q: Send needs the context that Handle of a consumer was given", message)
	}
	return b.send(message, event, data, subject)
}

type sendingKey struct{}

// sending is what a batch of a consumer sends.
type sending struct {
	program *consumerProgram
	events  []store.RecordedEvent

	mu       sync.Mutex
	closed   bool        // Handle has returned
	counts   map[int]int // messages of events, by their place in the batch
	messages []store.Message
	failure  error // the first
	position int64 // of the event at fault, or 0
}

// send makes a message, or notes why the batch fails.
func (b *sending) send(name string, event *store.RecordedEvent, data []byte, subject []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fmt.Errorf("message %q: Send is called after Handle has returned, so that it would be lost", name)
	}
	at, err := b.find(event)
	if err == nil {
		err = b.make(name, at, data, subject)
	}
	if err == nil || b.failure != nil {
		return err
	}
	if b.failure = err; at >= 0 {
		b.position = b.events[at].Position
	}
	return err
}

// find returns the place of an event in the batch, by its position: it may be a copy.
func (b *sending) find(event *store.RecordedEvent) (int, error) {
	if event == nil {
		return -1, errors.New("a message needs the event that causes it")
	}
	at, found := slices.BinarySearchFunc(b.events, event.Position, func(e store.RecordedEvent, position int64) int {
		return cmp.Compare(e.Position, position)
	})
	if !found {
		return -1, fmt.Errorf("event %d, which is to cause a message, is not of the batch", event.Position)
	}
	return at, nil
}

// make makes the message that an event of the batch causes.
func (b *sending) make(name string, at int, data []byte, subject []string) error {
	projection := &b.program.projection
	place := slices.IndexFunc(projection.Messages, func(m store.MessageType) bool { return m.Name == name })
	if place < 0 {
		return fmt.Errorf("message %q is not among the Messages of the consumer: list it there", name)
	}
	t := &projection.Messages[place]
	values, err := messageValues(t, data, subject)
	if err != nil {
		return err
	}
	event := b.events[at]
	if event.Key == nil && projection.Partition != nil {
		if event.Key, err = projection.Partition.Key(&event); err != nil {
			return err
		}
	}
	m, err := t.Make(projection, &event, b.counts[at], values)
	if err != nil {
		return err
	}
	if b.counts == nil {
		b.counts = map[int]int{}
	}
	b.counts[at]++
	b.messages = append(b.messages, m)
	return nil
}

// messageValues are the values of a message, which are those of no module: nobody has checked them.
func messageValues(t *store.MessageType, data []byte, subject []string) ([]store.Value, error) {
	if names := t.Names(); len(subject) != len(names) {
		return nil, fmt.Errorf("message %q takes %d values of its subject (%s), %d were given", t.Name, len(names), t.Subject,
			len(subject))
	}
	values := make([]store.Value, 0, len(subject)+1)
	for i, text := range subject {
		if !isText([]byte(text)) {
			return nil, fmt.Errorf("message %q, %s: is not UTF-8 without NUL", t.Name, t.ParamName(i))
		}
		values = append(values, store.Text(text))
	}
	switch kind := t.DataKind(); {
	case kind == store.KindJSON && !(json.Valid(data) && utf8.Valid(data)):
		return nil, fmt.Errorf("message %q: the data is not JSON, and its content type is %s", t.Name, t.Content())
	case kind == store.KindText && !isText(data):
		return nil, fmt.Errorf("message %q: the data is not UTF-8 without NUL, and its content type is %s", t.Name,
			t.Content())
	}
	return append(values, store.BytesOf(t.DataKind(), data)), nil
}

func isText(text []byte) bool { return utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 }

// close ends the sending, and returns the messages in order of position and index.
func (b *sending) close() []store.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	slices.SortStableFunc(b.messages, func(x, y store.Message) int { return cmp.Compare(x.Position, y.Position) })
	return b.messages
}
