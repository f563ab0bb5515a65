// Package relay sends the messages that projections have put into the outbox (see [store.Outbox]) to where others read
// them. A relay runs beside the worker of each host that has a sink; of each projection, one has the lease and sends.
//
//	outbox ──► Pending ──► in order per key ──► Sink ──► Sent
//	                                            └──────► Undelivered: the key waits, others go on
//
// A message is sent until the outbox knows that the sink has it: once as a rule, and again, with the same id, when a host
// was killed or lost its lease in between. Messages of a key are sent one after the other. What fails is tried again with
// growing pauses, and while nothing of a projection arrives, only some of its messages; what the receiver refuses is
// parked after some tries, see [Options].Attempts. Nothing is on its way when the lease is over, as far as the sink obeys
// its context.
//
// Sinks are in packages relay/jetstream, relay/webhook and relay/lines.
package relay

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Sink is where messages go. It is safe for concurrent use.
type Sink interface {
	// Send sends a message, and returns nil when the sink has it for good. A message that is sent again, because nobody
	// knows whether it arrived, has the same id: [store.MessageID]. It gives up when ctx ends, and may have sent the
	// message all the same. It keeps no reference to the message.
	//
	// # Errors
	//
	// A [*RefusedError] when the message itself is at fault; a [*LaterError] when the receiver says when to try again. Any
	// other error is of the way there: the message is tried again. Texts are one line without secrets.
	Send(ctx context.Context, message *store.OutboxMessage) error

	// Concurrency is how many messages, of as many keys, may be on their way at once.
	Concurrency() int

	// Target names the sink for people, without secrets.
	Target() string

	// Close gives back what the sink holds, once no Send is in progress.
	Close() error
}

// RefusedError says that a receiver does not take a message, and will not when it is sent again as it is.
type RefusedError struct{ Err error }

// Error is the text of Err.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// LaterError says that a receiver takes the message later.
type LaterError struct {
	After time.Duration // from now
	Err   error
}

// Error is the text of Err.
func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *LaterError) Unwrap() error { return e.Err }
