package segments

import (
	"context"
	"slices"
	"sync"
)

// connectionLimiter keeps a projection whose commits take long, or hang, from taking every connection of the store: of all reads and commits
// that may be under way at once each projection has an equal share, one at least. Its segments get them in turn.
//
// Who has a lane never waits for another one: a segment reads in one and commits in another, and a unit of work that queries keeps
// its own to the end.
type connectionLimiter struct {
	total int

	mu      sync.Mutex
	shares  int // among so many
	busy    map[*runner]int
	waiting map[*runner][]chan struct{} // first come, first served: each is closed when its lane is there
}

func newConnectionLimiter(total int) *connectionLimiter {
	return &connectionLimiter{total: total, busy: map[*runner]int{}, waiting: map[*runner][]chan struct{}{}}
}

// divide sets among how many projections the lanes are shared. A projection that holds more than its new share keeps them until
// what they are for ends.
func (l *connectionLimiter) divide(projections int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares = projections
	for r := range l.waiting {
		l.grant(r)
	}
}

// acquire waits for a lane, or for the end of ctx.
func (l *connectionLimiter) acquire(ctx context.Context, r *runner) error {
	l.mu.Lock()
	turn := make(chan struct{})
	l.waiting[r] = append(l.waiting[r], turn)
	l.grant(r)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	default:
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.waiting[r], turn); at >= 0 {
		l.waiting[r] = slices.Delete(l.waiting[r], at, at+1)
	} else { // it came at the same moment
		l.busy[r]--
	}
	l.grant(r)
	return ctx.Err()
}

func (l *connectionLimiter) release(r *runner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[r]--
	l.grant(r)
}

// grant gives the lanes of a projection that are free to those who have waited longest. The lock is held.
func (l *connectionLimiter) grant(r *runner) {
	for len(l.waiting[r]) > 0 && l.busy[r] < max(l.total/max(l.shares, 1), 1) {
		close(l.waiting[r][0])
		l.waiting[r] = l.waiting[r][1:]
		l.busy[r]++
	}
	if len(l.waiting[r]) == 0 {
		delete(l.waiting, r)
	}
	if l.busy[r] == 0 {
		delete(l.busy, r)
	}
}
