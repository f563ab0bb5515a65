package relay

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// outcome is how a call of the database has ended: a read or a note of what has become of messages.
type outcome struct {
	began time.Time
	took  time.Duration
	err   error

	claim    context.Context // of a read; nil for a note
	limit    int
	messages []store.OutboxMessage

	// What was to be noted, and whether it was.
	recovered    bool // keys of these have failed before
	sent         []store.OutboxID
	sentNoted    bool
	failures     []store.Undelivered
	failureNoted bool
}

// unsettled is how many messages the outbox does not know the end of.
func (s *sender) unsettled() int { return len(s.sent) + len(s.failures) }

// operate calls the database when there is something to note or to read. What was sent while it is called is noted
// together.
func (s *sender) operate() {
	now := clock.Now()
	if s.busy || now.Before(s.again) || s.duty.settling.Err() != nil {
		return
	}
	read := s.wantsMessages(now)
	switch {
	case s.unsettled() > 0 && !(read && s.settledLast):
		s.busy, s.settledLast = true, true
		o := outcome{began: now, recovered: s.recovered, sent: s.sent, failures: s.failures}
		s.recovered, s.sent, s.failures = false, nil, nil
		go s.note(o)
	case read:
		s.busy, s.settledLast, s.settledSince, s.wanted = true, false, false, false
		s.fetchedAt = now
		go s.read(outcome{began: now, claim: s.claim, limit: s.limit})
	}
}

// wantsMessages reports that the outbox is to be read.
func (s *sender) wantsMessages(now time.Time) bool {
	if s.claim == nil || s.claim.Err() != nil || s.duty.running.Err() != nil {
		return false
	}
	since := now.Sub(s.fetchedAt)
	switch {
	case !s.fetched:
		return true
	case s.queue.waiting > 0 && since >= s.duty.relay.tuning.refresh:
		return !s.breaker.probes() || since >= costShare*s.fetchTook
	case s.hasRoom() && !s.breaker.probes() && s.settledSince && (s.more || s.breaker.finishing):
		return true
	case s.hasRoom():
		// A read that passes very many messages which wait brings little.
		return since >= max(s.options.Poll, costShare*s.fetchTook) ||
			!s.breaker.probes() && s.wanted && since >= wakeShare*s.fetchTook
	}
	// A key with many messages may keep the others from being seen.
	return (s.wanted || s.more) && s.idles() && since >= max(s.options.Poll, costShare*s.fetchTook)
}

// wakeShare bounds what reads take while messages are committed, where one read brings all there are, to one part in so
// many of the time.
const wakeShare = 4

// roomShare is the part of the window below which it is filled again: every message is read about four thirds times.
const roomShare = 4

// hasRoom reports that few messages are in memory.
func (s *sender) hasRoom() bool {
	few := max(s.options.Window/roomShare, min(2*s.to.slots.total, s.options.Window))
	return s.queue.messages() == 0 ||
		s.queue.messages() < few && s.queue.bytes < s.options.WindowBytes/roomShare
}

// idles reports that more could be on its way, and nothing that is in memory may be.
func (s *sender) idles() bool {
	_, ready := s.choose()
	return !s.breaker.probes() && !ready && len(s.queue.onTheWay) < s.to.slots.total
}

// note tells the outbox what has become of messages.
func (s *sender) note(o outcome) {
	ctx, cancel := context.WithTimeout(s.duty.settling, databaseTimeout)
	defer cancel()
	outbox := s.duty.relay.outbox
	if len(o.sent) > 0 {
		o.err = outbox.Sent(ctx, o.sent, s.options.Keep > 0)
	}
	o.sentNoted = o.err == nil
	if o.err == nil && len(o.failures) > 0 {
		o.err = outbox.Undelivered(ctx, o.failures)
	}
	o.failureNoted = o.err == nil
	o.took = clock.Since(o.began)
	s.outcomes <- o
}

// read reads the first messages that may be sent.
func (s *sender) read(o outcome) {
	ctx, cancel := context.WithTimeout(s.duty.settling, databaseTimeout)
	defer cancel()
	o.messages, o.err = s.duty.relay.outbox.Pending(ctx, s.projection, o.limit, s.options.WindowBytes)
	o.took = clock.Since(o.began)
	s.outcomes <- o
}

// answered notes how a call of the database has ended.
func (s *sender) answered(o outcome) {
	s.busy = false
	if o.err != nil {
		s.duty.noticed(o.err)
		s.again = clock.Now().Add(s.retry.Pause())
		s.wanted = true
	} else {
		s.retry.Reset()
	}
	if o.claim != nil {
		s.filled(&o)
		return
	}
	if o.sentNoted {
		s.queue.settled(o.sent)
		s.wanted = s.wanted || o.recovered // what was behind them may be sent
	} else {
		s.sent, s.recovered = append(o.sent, s.sent...), s.recovered || o.recovered
	}
	if o.failureNoted || s.claim == nil {
		s.queue.settledFailures(o.failures)
	} else {
		s.failures = append(o.failures, s.failures...)
	}
	s.settledSince = s.settledSince || o.sentNoted || o.failureNoted
}

// growth is by how many times more messages are read than the window has, while those of a few keys fill it.
const growth = 16

// bytesNearly is by how much the messages of a read may be below the limit when that has cut it short.
const bytesNearly = 2 * store.MessageBytesMax

// filled takes what was read.
func (s *sender) filled(o *outcome) {
	if o.err != nil || o.claim != s.claim {
		return
	}
	s.fetched, s.fetchTook, s.asOf = true, o.took, o.began
	bytes := 0
	for i := range o.messages {
		bytes += o.messages[i].Size()
	}
	s.more = len(o.messages) == o.limit || len(o.messages) > 0 && bytes > s.options.WindowBytes-bytesNearly
	s.queue.fill(o.messages)
	s.drained = len(o.messages) == 0 && s.queue.messages() == 0
	switch {
	case !s.more:
		s.limit = s.options.Window
	case len(o.messages) == o.limit && s.idles():
		s.limit = min(2*o.limit, growth*s.options.Window)
	}
}
