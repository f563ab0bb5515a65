package dev

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// lastMessagesMax is how many messages are shown that were sent last.
	lastMessagesMax = 5
	// dataMax is how many bytes of the data of a message are shown.
	dataMax = 400
)

// screenSink is a sink that shows the messages: they leave the outbox as if a receiver had them.
type screenSink struct{ state *board }

// Send shows a message.
func (s screenSink) Send(_ context.Context, message *store.OutboxMessage) error {
	s.state.sent(messageLine(message))
	return nil
}

// Concurrency is one: what is shown is in the order in which it was sent.
func (s screenSink) Concurrency() int { return 1 }

// Target says that nobody else gets the messages.
func (s screenSink) Target() string { return "this session" }

// Close does nothing.
func (s screenSink) Close() error { return nil }

// messageLine is a message with the beginning of its data.
func messageLine(m *store.OutboxMessage) string {
	text, whole := status.DataText(m.Data, dataMax)
	if !whole {
		text += "…"
	}
	key := "-"
	if len(m.Key) > 0 {
		key = status.KeyText(m.Key)
	}
	return fmt.Sprintf("%s %s key=%s %s", m.Type, m.Subject, key, text)
}
