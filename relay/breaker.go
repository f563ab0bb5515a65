package relay

import "time"

const (
	// breakerKeys is how many fresh keys in a row must fail, and nothing arrive, for the sink to count as away. It is
	// twice as many, up to breakerKeysMax, each time that one arrives after all, and again when breakerCalm has passed:
	// a sink that takes some messages and not others is not away.
	breakerKeys    = 16
	breakerKeysMax = 512
	breakerCalm    = 10 * time.Minute
	// finishKeys is the same for a relay that finishes. It has no time to find out which keys are at fault, so that it
	// tries more of them.
	finishKeys = 100
	// While a sink is away, probes are between probeMin and probeMax apart, and else one part in probeShare of the time
	// that it has been away: it is so found out soon that only some keys fail, and an outage that lasts costs little.
	probeMin   = 250 * time.Millisecond
	probeMax   = 5 * time.Second
	probeShare = 90
	// Of so many messages one is of a key that has failed before, and of so many probes, while there are others.
	retryTurn = 8
	probeTurn = 4
)

// breaker finds out that a sink is away. Then only some messages are tried, as probes, until one arrives: nobody tries a
// million keys, each with a wait of its own.
//
// Only fresh keys count, those whose first message was not tried before: that a key fails which has failed before says
// nothing about the sink. Keys that fail for ever so neither make the sink count as away, nor hold up the others.
type breaker struct {
	finishing          bool          // after finishKeys nothing is tried any more
	shortest, longest  time.Duration // between probes
	most               int           // fresh keys, for the sink to count as away
	fresh, failedAgain int           // keys that have failed since the last message arrived
	since              time.Time     // when the first fresh one of them did
	open               bool          // the sink is away
	turn               int           // messages that were sent since the last one of a key that has failed
	until              time.Time     // of the next probe
	closed             time.Time     // when it was found that the sink is not away
}

func newBreaker(retryMin, retryMax time.Duration) *breaker {
	return &breaker{most: breakerKeys, shortest: min(probeMin, retryMin), longest: min(probeMax, retryMax)}
}

// probes reports that only some messages are tried.
func (b *breaker) probes() bool { return b.open && !b.finishing }

// allows reports that another message may be sent, while so many are on their way of those that the sink takes.
func (b *breaker) allows(onTheWay, total int, now time.Time) bool {
	if b.finishing {
		return b.fresh < finishKeys
	}
	return !b.open || onTheWay < half(total) && !now.Before(b.until)
}

// allowsRetry reports the same of a message of a key that has failed before, while so many of them are on their way.
// They leave half of what the sink takes, or of the probes, to others, which so go on while all of these hang.
func (b *breaker) allowsRetry(onTheWay, total int) bool {
	most := half(total)
	if b.probes() {
		most = half(most)
	}
	return onTheWay < most && !(b.finishing && b.failedAgain >= finishKeys)
}

// half is at least one.
func half(total int) int { return max(total/2, 1) }

// turns reports that it is the turn of a key that has failed before, if there are others.
func (b *breaker) turns() bool {
	if b.probes() {
		return b.turn >= probeTurn-1
	}
	return b.turn >= retryTurn-1
}

// begins notes that a message is sent, which may be of a key that has failed before.
func (b *breaker) begins(retry bool, now time.Time) {
	b.turn++
	if retry {
		b.turn = 0
	}
	if b.open {
		b.pause(now)
	}
}

// failed notes that a message has not arrived, which the receiver wants later, or whenever by 0. It reports that the sink
// is away from now on.
func (b *breaker) failed(retry bool, later time.Duration, now time.Time) (opened bool) {
	if retry {
		b.failedAgain++
	} else {
		if b.fresh == 0 {
			b.since = now
		}
		if !b.open && now.Sub(b.closed) >= breakerCalm {
			b.most = breakerKeys
		}
		b.fresh++
	}
	if opened = !b.open && b.fresh >= b.most; opened {
		b.open = true
		b.pause(now)
	}
	if until := now.Add(min(later, b.longest)); b.open && until.After(b.until) {
		b.until = until // the time that a receiver wants for one key is no reason to leave all others alone
	}
	return opened
}

func (b *breaker) pause(now time.Time) {
	b.until = now.Add(min(max(now.Sub(b.since)/probeShare, b.shortest), b.longest))
}

// reached notes that the receiver has answered. It returns for how long the sink was away, if it was.
func (b *breaker) reached(now time.Time) (away time.Duration, closed bool) {
	if b.open {
		away, closed = now.Sub(b.since), true
		b.closed, b.most = now, min(2*b.most, breakerKeysMax)
	}
	b.open, b.fresh, b.failedAgain = false, 0, 0
	return away, closed
}
