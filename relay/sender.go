package relay

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// sender sends the messages of a projection while it has the claim. All of it happens in the goroutine of run, except
// claimed, lost and holds, which the duty calls, and the calls of the sink and of the database, which have goroutines of
// their own: any number of sends, and one call of the database at a time. What was read from the outbox is so never
// older than what was noted there.
type sender struct {
	duty       *duty
	options    *Options
	projection string
	to         *destination
	slot       *slotUser
	logger     zerolog.Logger
	observed   ObservedRelay

	changed  chan struct{} // a sign that the claim is another
	woken    chan struct{} // a sign that messages were committed
	results  chan result   // of sends
	outcomes chan outcome  // of calls of the database
	done     chan struct{} // closed when run returned

	mu        sync.Mutex
	current   context.Context // the claim as the duty knows it, or nil
	cancel    context.CancelFunc
	dismissed bool // another host is the relay: a sender that finishes ends

	claim    context.Context // under which it sends, or nil
	queue    *queue
	breaker  *breaker
	sent     []store.OutboxID // not settled, as are failures
	failures []store.Undelivered

	recovered bool   // keys of sent have failed before
	reason    string // why the last one has failed
	failed    notice // about messages that fail
	parked    notice // about those that are not tried again
	stuck     bool   // run has returned and something is on its way

	busy         bool // the database is called
	retry        backoff.Backoff
	again        time.Time // when it is called after an error
	fetched      bool      // under this claim
	fetchedAt    time.Time // when the last read began
	fetchTook    time.Duration
	asOf         time.Time // when the last read began whose messages are in the queue
	limit        int       // of a read
	wanted       bool      // messages were committed since the last read
	more         bool      // the last read has not brought all
	settledSince bool      // something was settled since the last read began
	settledLast  bool      // the last call settled something
	drained      bool      // the last read has brought nothing, and nothing is under way
}

func newSender(d *duty, projection string, to *destination) *sender {
	options := &d.relay.options
	return &sender{
		duty: d, options: options, projection: projection, to: to, slot: to.slots.user(),
		logger:   d.logger.With().Str("projection", projection).Str("target", to.target).Logger(),
		observed: ObservedRelay{Projection: projection, Target: to.target},
		changed:  make(chan struct{}, 1), woken: make(chan struct{}, 1), results: make(chan result, to.slots.total),
		outcomes: make(chan outcome, 1), done: make(chan struct{}),
		queue: newQueue(), breaker: newBreaker(options.RetryMin, options.RetryMax),
		retry: databaseRetry(), limit: options.Window,
	}
}

// claimed says that the projection is this relay's, under a term.
func (s *sender) claimed(held term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.Err() == nil {
		return
	}
	s.dismissed = false
	s.current, s.cancel = context.WithCancel(held)
	signal(s.changed)
}

// lost says that it is not.
func (s *sender) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	s.current, s.cancel = nil, nil
	signal(s.changed)
}

// dismiss says that another host is the relay.
func (s *sender) dismiss() {
	s.lost()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismissed = true
	signal(s.changed)
}

// holds reports that the projection is this relay's.
func (s *sender) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.Err() == nil
}

// isMine reports that the projection was this relay's when it was claimed last.
func (s *sender) isMine() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil
}

// run sends until nothing more is to be sent, and what is on its way has ended and is noted.
func (s *sender) run() {
	defer close(s.done)
	stop := s.duty.running.Done()
	for {
		s.finish()
		s.follow()
		s.dispatch()
		s.operate()
		if s.over() {
			break
		}
		stop = s.wait(stop)
	}
	s.stuck = len(s.queue.onTheWay) > 0
	s.lose()
}

// over reports that nothing is left to do.
func (s *sender) over() bool {
	switch {
	case s.duty.settling.Err() != nil:
		return true
	case s.busy, len(s.queue.onTheWay) > 0, s.unsettled() > 0:
		return false
	case s.duty.running.Err() != nil:
		return true
	}
	return s.breaker.finishing && (s.drained && !s.wanted || s.givesUp() || s.isDismissed())
}

// givesUp reports that so many messages have failed that what is left is left: of fresh keys, or of others while there
// is no fresh one.
func (s *sender) givesUp() bool {
	seen := s.fetched && !s.settledSince && !s.wanted
	return s.breaker.fresh >= finishKeys ||
		s.breaker.failedAgain >= finishKeys && seen && len(s.queue.fresh) == 0
}

// finish has it end when nothing more is to be sent, once the duty finishes.
func (s *sender) finish() {
	if s.duty.finishing.Load() && !s.breaker.finishing {
		s.breaker.finishing, s.wanted = true, true
	}
}

func (s *sender) isDismissed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dismissed
}

// wait waits until something has happened. stop is nil once it was found closed.
func (s *sender) wait(stop <-chan struct{}) <-chan struct{} {
	timer := time.NewTimer(s.pause(clock.Now()))
	defer timer.Stop()
	var claimOver <-chan struct{}
	if s.claim != nil {
		claimOver = s.claim.Done()
	}
	select {
	case r := <-s.results:
		s.ended(r)
		for len(s.results) > 0 {
			s.ended(<-s.results)
		}
	case o := <-s.outcomes:
		s.answered(o)
	case <-s.woken:
		s.wanted = true
	case <-s.changed:
	case <-claimOver:
		s.lose()
	case <-s.slot.free:
	case <-timer.C:
	case <-s.duty.settling.Done():
	case <-stop:
		return nil
	}
	return stop
}

// pause is until something is due by time.
func (s *sender) pause(now time.Time) time.Duration {
	pause := s.options.Poll
	for _, due := range []time.Time{
		s.fetchedAt.Add(s.options.Poll), s.fetchedAt.Add(wakeShare * s.fetchTook), s.again, s.breaker.until,
	} {
		if left := due.Sub(now); left > 0 {
			pause = min(pause, left)
		}
	}
	return pause
}

// follow sends under the claim that the duty has.
func (s *sender) follow() {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == s.claim {
		return
	}
	s.lose()
	if current == nil || current.Err() != nil {
		return
	}
	s.claim = current
	s.slot.join()
	s.logger.Info().Msg("this host sends the messages of the projection")
	tell(s.options.Observer.Claimed, s.observed)
}

// lose stops sending. What waits is read again, by whoever sends next.
func (s *sender) lose() {
	if s.claim == nil {
		return
	}
	s.claim, s.fetched, s.drained = nil, false, false
	s.queue.clear()
	s.queue.settledFailures(s.failures) // another may have sent them by now
	s.failures = nil
	s.slot.leave()
	s.logger.Info().Msg("this host no longer sends the messages of the projection")
	tell(s.options.Observer.Released, s.observed)
}
