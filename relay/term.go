package relay

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// marginMax is by how much a term ends before its lease, so that what is on its way then is not on its way when
	// another has the lease. It is a part of marginShare of a lease that is shorter.
	marginMax   = time.Second
	marginShare = 8
	// termPoll is the longest time between two looks at the lease. A process that stood still for longer than the rest of
	// its lease begins another term.
	termPoll = 250 * time.Millisecond
)

// term is a time through which the lease has held without a gap. What was claimed in it holds as long, and what is sent
// is sent under its context.
type term struct{ context.Context }

// terms keeps track of a lease.
type terms struct {
	lease   store.HeldLease
	working context.Context // of all terms

	mu      sync.Mutex
	seen    time.Time // the end of the lease that was seen last
	until   time.Time // when the term is over, unless the lease is renewed until then
	current term      // without a context when there is none
	end     context.CancelFunc
	begun   chan struct{} // a sign that a term has begun
}

func newTerms(working context.Context, lease store.HeldLease) *terms {
	return &terms{lease: lease, working: working, begun: make(chan struct{}, 1)}
}

// watch ends and begins terms until ctx ends, and then the last one.
func (t *terms) watch(ctx context.Context) {
	for {
		_, left := t.check()
		if !backoff.Sleep(ctx, min(max(left, time.Millisecond), termPoll)) {
			break
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Context != nil {
		t.end()
		t.current = term{}
	}
}

// check returns the term, or none, and how long it lasts at least. Whether the lease was renewed in time does not
// matter for a process that has not looked meanwhile: others may have had it.
func (t *terms) check() (current term, left time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := clock.Now()
	if t.current.Context != nil && !before(now, t.until) {
		t.end()
		t.current = term{}
	}
	if until := t.lease.Until(); !until.Equal(t.seen) {
		t.seen = until
		t.until = until.Add(-min(max(until.Sub(now), 0)/marginShare, marginMax))
	}
	if t.current.Context == nil {
		if !before(now, t.until) || t.working.Err() != nil {
			return term{}, termPoll
		}
		t.current.Context, t.end = context.WithCancel(t.working)
		signal(t.begun)
	}
	return t.current, t.until.Sub(now)
}

// before compares by the clock that stands still while the machine sleeps, and by the one that does not.
func before(now, then time.Time) bool { return now.Before(then) && now.Round(0).Before(then.Round(0)) }
