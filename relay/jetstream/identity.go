package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

// Headers by which a stored message is known.
const (
	headerKey    = "Pupwasm-Key" // a hash of the key
	headerSource = "ce-source"
	headerTime   = "ce-time"
)

// mayBeThere reports that a stream may have a message and have forgotten its id: it was put into the outbox so long ago, or
// its event is so old that the message may have been put in again, after the database had lost it.
func mayBeThere(message *store.OutboxMessage, window time.Duration) bool {
	since := message.PutAt
	if message.Time.Before(since) {
		since = message.Time
	}
	return clock.Since(since) > window/2
}

// sighting is what a stream has on the subject of a message.
type sighting struct {
	there    bool   // the message, as far as can be seen
	sequence uint64 // of the last message on the subject, or 0
	shared   bool   // that one is not of the message's key
}

// look finds out whether a stream has a message that may have been sent before: when the last one on its subject is the
// message, or a later one of its key, which is sent behind it.
//
// # Errors
//
// [*relay.RefusedError] when the last one has its id and another source; those of explain.
func (s *Sink) look(ctx context.Context, stream *knownStream, message *store.OutboxMessage) (seen sighting, err error) {
	last, err := s.conn.stored(ctx, stream.name, storedRequest{LastOf: message.Subject})
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	seen.sequence = last.Sequence
	seen.shared = last.Header.Get(headerKey) != keyHash(message.Key)
	id, err := store.ParseMessageID(last.Header.Get(natsjs.MsgIDHeader))
	if err != nil {
		return seen, nil //nolint:nilerr // it is of somebody else
	}
	event := cloudevents.Of(&message.Message, s.source)
	ofSource := isOfSource(last, &event)
	// What was stored before the message was put into the outbox is of another log, as a rule.
	sincePut := !last.Time.Before(message.PutAt.Add(-stream.window / 2))
	own := message.MessageID
	switch {
	case id == own && !ofSource:
		return seen, stream.taken(last, message)
	case id == own:
		same := !seen.shared && bytes.Equal(last.Data, message.Data)
		seen.there = isOfTime(last, &event) && (sincePut || same)
	case id.Projection == own.Projection && id.Version == own.Version && ofSource && !seen.shared:
		seen.there = sincePut && (id.Position > own.Position || id.Position == own.Position && id.Index > own.Index)
	}
	return seen, nil
}

// duplicate checks that what a stream has under the id of a message is that message. One that the stream has dropped
// meanwhile is taken to have been.
//
// # Errors
//
// [*relay.RefusedError] when it is another one; those of explain.
func (s *Sink) duplicate(ctx context.Context, stream *knownStream, message *store.OutboxMessage, sequence uint64) error {
	there, err := s.conn.stored(ctx, stream.name, storedRequest{Sequence: sequence})
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	event := cloudevents.Of(&message.Message, s.source)
	if isOfSource(there, &event) && isOfTime(there, &event) {
		return nil
	}
	return stream.taken(there, message)
}

// isOfSource reports whether a message has the source of an event.
func isOfSource(stored *storedMessage, event *cloudevents.Event) bool {
	return stored.Header.Get(headerSource) == cloudevents.HeaderValue(event.Source)
}

// isOfTime reports whether a message has the time of an event. At a position of another log is an event of another time.
func isOfTime(stored *storedMessage, event *cloudevents.Event) bool {
	return stored.Header.Get(headerTime) == cloudevents.HeaderValue(event.Time)
}

// taken is the error for a message whose id another one has.
func (k *knownStream) taken(by *storedMessage, message *store.OutboxMessage) error {
	return &relay.RefusedError{Err: fmt.Errorf("stream %s has another message with the id %s, from %.100q, of an event of %.100q: "+
		"give each deployment a stream, or a name of the projection, of its own; if only the log or the source was changed, send "+
		"it again when %s have passed, or skip it", k.name, message.MessageID, by.Header.Get(headerSource),
		by.Header.Get(headerTime), k.window)}
}
