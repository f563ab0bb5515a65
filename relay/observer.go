package relay

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/callback"
	"github.com/pupwasm/pupwasm/store"
)

// Observer is told what a relay does, for metrics and alerts. Functions that are nil are left out and cost nothing.
//
// The goroutines of the relay call the functions, one at a time for a projection. The relay of that projection goes on when
// a function returns. A function must not wait for the relay. What a function is given is valid after it returned, and
// must not be changed.
//
//	messages, latency, time of a send   Sent
//	failures                            Failed, Parked
//	outages of a sink                   Away, Back
//	projections that it relays          Claimed, less Released
//
// They are of this host. What holds for all, such as the number of messages that wait, is in the database: see
// [store.OutboxStatus].
type Observer struct {
	// Claimed: this host is the relay of a projection from now on.
	Claimed func(ObservedRelay)
	// Released: it is no longer.
	Released func(ObservedRelay)
	// Sent: the sink has a message.
	Sent func(ObservedMessage)
	// Failed: a message could not be sent, and its key waits until it is tried again.
	Failed func(ObservedMessage)
	// Parked: a message could not be sent, and is not tried again by itself.
	Parked func(ObservedMessage)
	// Away: no message of a projection arrives, of whatever key. From now on only some are tried, until one arrives.
	Away func(ObservedOutage)
	// Back: one has arrived.
	Back func(ObservedOutage)
}

// ObservedRelay is a projection whose messages are sent.
type ObservedRelay struct {
	Projection string
	Target     string // see [Sink]
}

// ObservedMessage is a try to send a message.
type ObservedMessage struct {
	ObservedRelay
	Message  store.MessageID
	Key      []byte
	Type     string
	Trace    store.TraceParent // the span that caused the event, or zero
	Bytes    int               // of the data
	Attempts int               // this one included
	Began    time.Time         // the try
	Took     time.Duration
	// Latency is the time since the message was put into the outbox, by the clocks of this machine and of the database.
	Latency time.Duration
	Err     error // why it could not be sent, or nil
}

// ObservedOutage is a sink that takes no message of a projection.
type ObservedOutage struct {
	ObservedRelay
	Err   error         // the last error, in Away
	After time.Duration // how long it was away, in Back
}

// JoinObservers returns an observer that tells several, in their order. Those that are nil are left out, and a function
// that none of them has is nil.
func JoinObservers(observers ...*Observer) *Observer {
	joined := &Observer{}
	for _, o := range observers {
		if o == nil {
			continue
		}
		callback.Join(&joined.Claimed, o.Claimed)
		callback.Join(&joined.Released, o.Released)
		callback.Join(&joined.Sent, o.Sent)
		callback.Join(&joined.Failed, o.Failed)
		callback.Join(&joined.Parked, o.Parked)
		callback.Join(&joined.Away, o.Away)
		callback.Join(&joined.Back, o.Back)
	}
	return joined
}

// tell calls a function of an observer, if there is one.
func tell[T any](function func(T), what T) {
	if function != nil {
		function(what)
	}
}
