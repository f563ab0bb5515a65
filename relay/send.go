package relay

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// sendTimeout bounds a send whose sink knows no bound.
const sendTimeout = 2 * time.Minute

// result is how a send has ended.
type result struct {
	message *store.OutboxMessage
	probe   bool
	began   time.Time
	took    time.Duration
	err     error
	cut     bool // the claim was over before
}

// dispatch sends what may be sent.
func (s *sender) dispatch() {
	for s.sends() && !s.isStale() {
		retry, is := s.choose()
		if !is {
			break
		}
		if !s.slot.take() {
			return
		}
		// Whatever fails, somebody who is found by chance is found soon.
		m := s.queue.next(retry, s.breaker.open || s.breaker.finishing)
		s.breaker.begins(retry, clock.Now())
		go s.send(s.claim, m, s.breaker.probes())
	}
	s.slot.pass()
}

// choose reports whether a message may be sent now, and whether it is one of a key that has failed before. Those of
// fresh keys come first, as a rule.
func (s *sender) choose() (retry, is bool) {
	total := s.to.slots.total
	if !s.breaker.allows(len(s.queue.onTheWay), total, clock.Now()) {
		return false, false
	}
	fresh := len(s.queue.fresh) > 0
	failed := len(s.queue.retries) > 0 && s.breaker.allowsRetry(s.queue.retrying, total)
	return failed && (!fresh || s.breaker.turns()), fresh || failed
}

// sends reports that messages may be sent.
func (s *sender) sends() bool {
	if s.claim == nil || !s.fetched || s.duty.running.Err() != nil {
		return false
	}
	s.duty.terms.check() // which may end the claim
	return s.claim.Err() == nil
}

// isStale reports that what waits was read so long ago that it is read again first.
func (s *sender) isStale() bool { return clock.Since(s.asOf) >= 2*s.duty.relay.tuning.refresh }

func (s *sender) send(claim context.Context, m *store.OutboxMessage, probe bool) {
	defer s.slot.give()
	ctx, cancel := context.WithTimeout(claim, sendTimeout)
	defer cancel()
	began := clock.Now()
	err := s.to.sink.Send(ctx, m)
	r := result{message: m, probe: probe, began: began, took: clock.Since(began), err: err, cut: claim.Err() != nil}
	select {
	case s.results <- r:
	case <-s.done: // nobody waits any more
	}
}

// ended notes how a send has ended.
func (s *sender) ended(r result) {
	m := r.message
	switch {
	case r.err == nil:
		s.reached()
		s.queue.sent(m)
		s.sent, s.recovered = append(s.sent, m.ID()), s.recovered || isRetry(m)
		tell(s.options.Observer.Sent, s.observe(&r))
	case r.cut:
		s.queue.giveUp(m)
		s.wanted = true
	default:
		s.notSent(&r)
	}
}

// notSent notes that a message has failed.
func (s *sender) notSent(r *result) {
	m, f := r.message, failureOf(r.err)
	s.reason = storable(r.err)
	switch {
	case f.refused:
		s.reached()
	case s.breaker.probes() && !r.probe:
		s.queue.putBack(m) // it was on its way when the outage was found out
		return
	case s.breaker.failed(isRetry(m), f.later, clock.Now()):
		s.logger.Warn().Err(r.err).Msg("no message arrives, trying some")
		tell(s.options.Observer.Away, ObservedOutage{ObservedRelay: s.observed, Err: r.err})
	}
	u := f.undelivered(m, s.options)
	s.queue.failed(m)
	s.failures = append(s.failures, u)
	if u.RetryAfter < 0 {
		if others, due := s.parked.due(); due {
			s.logger.Warn().Err(r.err).Str("id", m.MessageID.String()).Bytes("key", m.Key).Int("others", others).
				Msg("the message is refused and not tried again, those of its key wait")
		}
		tell(s.options.Observer.Parked, s.observe(r))
		return
	}
	if others, due := s.failed.due(); due {
		s.logger.Warn().Err(r.err).Str("id", m.MessageID.String()).Bytes("key", m.Key).Int("others", others).
			Dur("again", u.RetryAfter).Msg("the message could not be sent, trying again")
	}
	tell(s.options.Observer.Failed, s.observe(r))
}

// reached notes that the receiver answers.
func (s *sender) reached() {
	if away, closed := s.breaker.reached(clock.Now()); closed {
		s.logger.Info().Dur("after", away).Msg("messages arrive again")
		tell(s.options.Observer.Back, ObservedOutage{ObservedRelay: s.observed, After: away})
	}
}

// observe is what observers are told of a try.
func (s *sender) observe(r *result) ObservedMessage {
	m := r.message
	observed := ObservedMessage{
		ObservedRelay: s.observed, Message: m.MessageID, Key: m.Key, Type: m.Type, Bytes: len(m.Data),
		Attempts: m.Attempts + 1, Began: r.began, Took: r.took, Err: r.err,
		Latency: max(r.began.Add(r.took).Sub(m.PutAt), 0),
	}
	observed.Trace, _ = store.ParseTraceParent([]byte(m.TraceParent))
	return observed
}
