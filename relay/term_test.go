package relay

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// lease is a lease that a test renews.
type lease struct {
	worker store.Worker
	mu     sync.Mutex
	until  time.Time
}

func (l *lease) Worker() store.Worker { return l.worker }

func (l *lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// renew has the lease hold for so long from now.
func (l *lease) renew(ttl time.Duration) { l.set(clock.Now().Add(ttl)) }

func (l *lease) set(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// TestTerms_endBeforeTheLease has a lease that is renewed for a while: the term goes on, and ends before the lease does.
func TestTerms_endBeforeTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lease{}
		terms := newTerms(t.Context(), l)
		ctx, stop := context.WithCancel(t.Context())
		go terms.watch(ctx)
		synctest.Wait()
		if none, _ := terms.check(); none.Context != nil {
			t.Fatal("there is a term without a lease")
		}
		l.renew(10 * time.Second)
		first, left := terms.check()
		if first.Context == nil || left > 9*time.Second {
			t.Fatalf("the term is %v, for %s", first, left)
		}
		for range 10 {
			pass(8 * time.Second)
			l.renew(10 * time.Second)
			pass(termPoll)
		}
		if now, _ := terms.check(); now != first || first.Err() != nil {
			t.Fatal("the term has not gone on")
		}
		pass(l.Until().Add(-marginMax).Sub(clock.Now()) - time.Millisecond)
		synctest.Wait()
		if first.Err() != nil {
			t.Fatal("the term is over too early")
		}
		pass(2 * time.Millisecond)
		synctest.Wait()
		if first.Err() == nil {
			t.Fatal("the term is not over before its lease")
		}

		l.renew(80 * time.Millisecond)
		second, left := terms.check()
		if second.Context == nil || second == first || left > 70*time.Millisecond {
			t.Fatalf("the next term is %v, for %s", second, left)
		}
		stop()
		synctest.Wait()
		if second.Err() == nil {
			t.Fatal("the term goes on without anybody who watches the lease")
		}
	})
}

// TestTerms_aProcessThatStoodStill begins another term, although its lease was renewed by the time that it looks.
func TestTerms_aProcessThatStoodStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lease{}
		terms := newTerms(t.Context(), l)
		l.renew(10 * time.Second)
		first, _ := terms.check()
		pass(11 * time.Second)
		l.renew(10 * time.Second)
		second, _ := terms.check()
		if first.Err() == nil || second.Context == nil || second.Err() != nil {
			t.Errorf("first %v, second %v", first.Err(), second)
		}
		select {
		case <-terms.begun:
		default:
			t.Error("nobody is told of the term")
		}
	})
}

// TestTerms_aClockThatWasSetOn counts as time that has passed: the machine may have slept.
func TestTerms_aClockThatWasSetOn(t *testing.T) {
	t.Parallel()
	now := clock.Now()
	if !before(now, now.Add(time.Second)) || before(now, now) {
		t.Error("a second from now is not later")
	}
	asleep := now.Add(time.Hour).Round(0) // without the reading of the clock that stands still
	if before(asleep, now.Add(time.Second)) {
		t.Error("what has passed while the machine slept does not count")
	}
}
