package horizon

import "time"

const (
	// busyEvents is how many events in the shortest interval are enough for a batch. If it were counted by poll
	// and not by time, a long interval would bring enough to stay long.
	busyEvents = 8
	// burstMax bounds the interval while many events come.
	burstMax = 5 * time.Millisecond
	// heldMax bounds it while an append is in flight, which may take long.
	heldMax = 100 * time.Millisecond
	// pollShare bounds the time that polls take: an interval is at least 1/pollShare of the poll before it. A
	// poll is slow when others want the processors too, and an interval as long would make an event wait twice
	// for that.
	pollShare = 4
	// quietMin and quietMax bound the quiet period that leads to arming. It is longer for a while after the
	// listener was disarmed soon after: events then come in bursts, or at a rate at which arming does not pay.
	// An empty poll within quietMin does not lengthen the interval: between two events it says nothing.
	quietMin = 5 * time.Millisecond
	quietMax = 100 * time.Millisecond
	// armedMin is how long the listener stays armed when arming has paid.
	armedMin = time.Second

	// notifyRate is how many notifications a second appends may be asked for.
	notifyRate = 300
	// notifyBurst is how many more it takes until appends are spared.
	notifyBurst = 20
	// contendedPolls is how many polls in succession find another append by accident.
	contendedPolls = 8

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
