package relay

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
)

// breakerKeys is how many keys in a row must fail, and none arrive, for the sink to count as away. So many are noted as
// failed at the beginning of an outage. A few keys that fail for reasons of their own do not slow others down.
const breakerKeys = 16

// breaker finds out that a sink is away. Then messages are tried one at a time, as probes, with growing pauses, until one
// arrives: nobody tries a million keys, each with a wait of its own.
type breaker struct {
	keys   map[string]struct{} // that have failed since the last message arrived
	since  time.Time           // when the first of them did
	open   bool                // the sink is away
	probes int                 // that have failed
	retry  backoff.Backoff     // between probes
	until  time.Time           // of the next one
}

func newBreaker(retryMin, retryMax time.Duration) *breaker {
	return &breaker{keys: map[string]struct{}{}, retry: backoff.Backoff{Min: retryMin, Max: retryMax}}
}

// allows reports that another message may be sent, while so many are on their way.
func (b *breaker) allows(onTheWay int, now time.Time) bool {
	return !b.open || onTheWay == 0 && !now.Before(b.until)
}

// failed notes that a message has not arrived, which the receiver wants later, or whenever by 0. It reports that the sink
// is away from now on.
func (b *breaker) failed(key []byte, later time.Duration, now time.Time) (opened bool) {
	if b.open {
		b.probes++
		b.pause(later, now)
		return false
	}
	if len(b.keys) == 0 {
		b.since = now
	}
	b.keys[string(key)] = struct{}{}
	if len(b.keys) < breakerKeys {
		return false
	}
	b.open = true
	b.pause(later, now)
	return true
}

func (b *breaker) pause(later time.Duration, now time.Time) {
	b.until = now.Add(max(b.retry.Pause(), later))
}

// reached notes that the receiver has answered. It returns for how long the sink was away, if it was.
func (b *breaker) reached(now time.Time) (away time.Duration, closed bool) {
	if b.open {
		away, closed = now.Sub(b.since), true
	}
	clear(b.keys)
	b.open, b.probes = false, 0
	b.retry.Reset()
	return away, closed
}
