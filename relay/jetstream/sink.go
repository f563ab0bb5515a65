package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

// Sink sends messages to JetStream: to their subject, as CloudEvents in binary mode, with their id as Nats-Msg-Id.
//
// The user needs the rights to publish to the subjects of the messages, to $JS.API.STREAM.NAMES, $JS.API.STREAM.INFO.*
// and $JS.API.STREAM.MSG.GET.*, and to subscribe to _INBOX.>.
type Sink struct {
	conn    *connection
	streams *streams
	source  string
}

var _ relay.Sink = (*Sink)(nil)

// Open returns a sink for servers of one cluster: nats:// or tls:// with a host, and a port where it is not 4222, several
// with commas between them. Servers that are down are no error: the sink connects when they are there.
//
// # Errors
//
// The URL or an option cannot be used. The text has no secrets.
func Open(ctx context.Context, urls string, options Options) (*Sink, error) {
	if err := cloudevents.CheckSource(options.Source); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := dial(urls, options, dialTimeout)
	if err != nil {
		return nil, err
	}
	return &Sink{conn: conn, streams: &streams{conn: conn, warned: map[string]bool{}}, source: options.Source}, nil
}

// Concurrency is how many messages may be on their way at once.
func (s *Sink) Concurrency() int { return 256 }

// Target has the URLs without credentials.
func (s *Sink) Target() string { return s.conn.servers.shown }

// Close closes the connection.
func (s *Sink) Close() error {
	s.conn.close()
	return nil
}

// Send sends a message, see [relay.Sink].
//
// # Errors
//
// [*relay.RefusedError] for one that is too large, whose subject belongs to the copy of a log, or whose id another one has in
// the stream; [*UnavailableError]; ctx's.
func (s *Sink) Send(ctx context.Context, message *store.OutboxMessage) error {
	err := s.send(ctx, message)
	var large *tooLargeError
	if errors.As(err, &large) {
		return &relay.RefusedError{Err: fmt.Errorf("message %s has %d bytes of data: %w", message.MessageID, len(message.Data), large)}
	}
	return err
}

func (s *Sink) send(ctx context.Context, message *store.OutboxMessage) error {
	if !store.IsSubject(message.Subject) {
		return &relay.RefusedError{Err: fmt.Errorf("message %s has a subject that NATS does not take", message.MessageID)}
	}
	if err := s.conn.wait(ctx, s.conn.timeout); err != nil {
		return err
	}
	stream, err := s.streams.find(ctx, message.Subject)
	if err != nil {
		return err
	}
	if stream.isCopy {
		return &relay.RefusedError{Err: fmt.Errorf("message %s has the subject %s, which belongs to stream %s, the copy of a log: "+
			"give it another subject, or the copy another prefix", message.MessageID, message.Subject, stream.name)}
	}
	if mayBeThere(message, stream.window) {
		return s.publishUnlessThere(ctx, stream, message)
	}
	return s.publish(ctx, stream, message)
}

const (
	// looksMax is how often a subject is looked at for a message while others are stored on it.
	looksMax = 10
	// lookMin and lookMax bound the pauses between: what is on its way to a replica is seen a moment later.
	lookMin = 2 * time.Millisecond
	lookMax = 200 * time.Millisecond
)

// publishUnlessThere publishes a message that the stream does not have. On a subject that only its key uses it is stored
// only if nothing is stored there since that was seen: whatever is late on its way is not stored again.
func (s *Sink) publishUnlessThere(ctx context.Context, stream *knownStream, message *store.OutboxMessage) error {
	again := backoff.Backoff{Min: lookMin, Max: lookMax}
	for looks := 1; ; looks++ {
		seen, err := s.look(ctx, stream, message)
		if err != nil || seen.there {
			return err
		}
		if seen.shared || stream.transforms {
			return s.publish(ctx, stream, message)
		}
		err = s.publish(ctx, stream, message, natsjs.WithExpectLastSequencePerSubject(seen.sequence))
		if !isWrongSequence(err) || looks == looksMax {
			return err
		}
		if !backoff.Sleep(ctx, again.Pause()) {
			return ctx.Err()
		}
	}
}

func (s *Sink) publish(ctx context.Context, stream *knownStream, message *store.OutboxMessage, options ...natsjs.PublishOpt) error {
	within, cancel := s.conn.within(ctx)
	defer cancel()
	ack, err := s.conn.js.PublishMsg(within, s.message(message), options...)
	if errors.Is(err, natsjs.ErrNoStreamResponse) {
		s.streams.forget(stream) // it may be gone
	}
	if err != nil {
		return s.conn.explain(ctx, err)
	}
	if ack.Duplicate {
		return s.duplicate(ctx, stream, message, ack.Sequence)
	}
	return nil
}

// message returns the message for NATS.
func (s *Sink) message(message *store.OutboxMessage) *nats.Msg {
	event := cloudevents.Of(&message.Message, s.source)
	header := nats.Header{natsjs.MsgIDHeader: {message.MessageID.String()}, headerKey: {keyHash(message.Key)}}
	for name, value := range event.Headers() {
		header[name] = []string{value}
	}
	if event.DataContentType != "" {
		header["ce-datacontenttype"] = []string{cloudevents.HeaderValue(event.DataContentType)}
	}
	return &nats.Msg{Subject: message.Subject, Header: header, Data: message.Data}
}

// keyHash is a key as a header: it may be any bytes, and many of them.
func keyHash(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}
