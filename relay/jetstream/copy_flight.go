package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// copyFlightMax and copyFlightBytes bound what is on its way: it is sent before what is before it was acknowledged.
	copyFlightMax   = 1024
	copyFlightBytes = 16 << 20
	// messageOverhead is about what a message takes besides its payload.
	messageOverhead = 1024
)

// streamEnd is where a stream ends: the last message, and the event that it has.
type streamEnd struct {
	sequence uint64
	position int64
	log      store.LogID
}

// flight is what a copy has sent and what was not acknowledged yet. It goes on as long as nothing fails.
type flight struct {
	copy  *Copy
	end   streamEnd // as it will be when everything has arrived
	sent  []sentMessage
	bytes int // of sent
}

type sentMessage struct {
	natsjs.PubAckFuture
	sequence uint64 // that it is to have
	position int64
	bytes    int
}

// send sends events, each to be stored behind the one before it.
func (f *flight) send(ctx context.Context, events []store.RecordedEvent) error {
	c := f.copy
	for i := range events {
		if err := f.land(ctx, copyFlightMax-1); err != nil {
			return err
		}
		event := &events[i]
		message := messageOf(c.options.Prefix, f.end.log.ID, event)
		// It is never sent again: the page that the message is in will be read into again.
		future, err := c.conn.js.PublishMsgAsync(message, natsjs.WithExpectStream(c.options.Stream),
			natsjs.WithExpectLastSequence(f.end.sequence), natsjs.WithRetryAttempts(0))
		if err != nil {
			return c.explainSent(ctx, event.Position, err)
		}
		f.end.sequence++
		f.end.position = event.Position
		sent := sentMessage{future, f.end.sequence, event.Position, len(message.Data) + messageOverhead}
		f.sent, f.bytes = append(f.sent, sent), f.bytes+sent.bytes
	}
	return nil
}

// land waits until at most so many messages are on their way, and not too many bytes.
func (f *flight) land(ctx context.Context, most int) error {
	for len(f.sent) > most || f.bytes > copyFlightBytes {
		first := f.sent[0]
		f.sent, f.bytes = f.sent[1:], f.bytes-first.bytes
		select {
		case ack := <-first.Ok():
			if ack.Sequence != first.sequence || ack.Stream != f.copy.options.Stream {
				return &UnavailableError{Reason: fmt.Sprintf("the event at position %d was to be message %d of stream %s, it is "+
					"message %d of %s", first.position, first.sequence, f.copy.options.Stream, ack.Sequence, ack.Stream)}
			}
		case err := <-first.Err():
			return f.copy.explainSent(ctx, first.position, err)
		case <-ctx.Done():
			return ctx.Err()
		}
		f.copy.landed(first)
	}
	return nil
}

// landed notes that a message is stored, and everything before it.
func (c *Copy) landed(message sentMessage) {
	c.progress.Sequence, c.progress.Position = message.sequence, message.position
	c.progress.Copied++
	if clock.Since(c.told) >= progressInterval {
		c.told = clock.Now()
		c.options.Progress(c.progress)
	}
}

// settle waits for the answers to what is still on its way, or until ctx ends: then the next copy waits for none.
func (f *flight) settle(ctx context.Context) {
	for _, message := range f.sent {
		select {
		case <-message.Ok():
		case err := <-message.Err(): // at the latest when the time for an acknowledgement is over
			f.copy.logger.Debug().Err(err).Int64("position", message.position).Msg("not copied, or not known")
		case <-ctx.Done():
			return
		}
	}
}

// explainSent returns what the error of a sent event means.
func (c *Copy) explainSent(ctx context.Context, position int64, err error) error {
	if isWrongSequence(err) {
		return errOvertaken
	}
	explained := c.conn.explain(ctx, err)
	var large *tooLargeError
	if errors.As(explained, &large) {
		return fmt.Errorf("the event at position %d cannot be copied: %w", position, large)
	}
	if errors.Is(err, nats.ErrBadSubject) {
		return fmt.Errorf("the event at position %d cannot be copied: its subject is none for NATS", position)
	}
	return explained
}
