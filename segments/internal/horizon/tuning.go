package horizon

import "time"

const (
	// heldMax bounds the interval while an append is in flight, which may take long.
	heldMax = 100 * time.Millisecond
	// quietMin is the quiet period that leads to arming, and quietMax the one after which it stays armed although an
	// append was in flight.
	quietMin = 5 * time.Millisecond
	quietMax = 100 * time.Millisecond

	// notifyRate is how many notifications a second appends may be asked for.
	notifyRate = 300
	// notifyBurst is how many more it takes until appends are spared.
	notifyBurst = 20

	// armWorth is the longest interval from which on arming pays: below it the next poll comes soon enough.
	armWorth = 100 * time.Millisecond
	// armTTL is how long an announcement holds unless it is renewed. When a host is killed, appends notify
	// nobody for that long.
	armTTL = 30 * time.Second
	// armTimeout bounds arming: it is two writes of a few bytes, or the polls must not wait for it.
	armTimeout = 2 * time.Second
	// unavailablePollMax bounds the interval while notifications are wanted and do not arrive.
	unavailablePollMax = time.Second
	// listenRetryMax is the longest pause before notifications are tried again. Nobody waits for them.
	listenRetryMax = time.Minute

	// demandTimeout is how long a poll may be put off because nobody waits for it.
	demandTimeout = 20 * time.Millisecond
	// heldLong is how long an append may hold the horizon back before the log says so.
	heldLong = 10 * time.Second
)
