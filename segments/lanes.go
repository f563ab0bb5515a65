package segments

import (
	"context"
	"sync"
)

// lanes keeps a projection whose batches take long, or hang, from taking every connection of the store: of all batches that may be
// under way at once each projection has an equal share, one at least.
type lanes struct {
	mu     sync.Mutex
	total  int
	busy   map[*runner]int
	freed  chan struct{} // closed when a batch ends or shares change
	shares int           // among so many
}

func newLanes(total int) *lanes {
	return &lanes{total: total, busy: map[*runner]int{}, freed: make(chan struct{})}
}

// divide sets among how many projections the lanes are shared.
func (l *lanes) divide(projections int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares = projections
	l.signal()
}

// enter waits for a lane, or for the end of ctx.
func (l *lanes) enter(ctx context.Context, r *runner) error {
	for {
		l.mu.Lock()
		if l.busy[r] < max(l.total/max(l.shares, 1), 1) {
			l.busy[r]++
			l.mu.Unlock()
			return nil
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *lanes) leave(r *runner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[r]--; l.busy[r] == 0 {
		delete(l.busy, r)
	}
	l.signal()
}

// signal wakes all who wait. The lock is held.
func (l *lanes) signal() {
	close(l.freed)
	l.freed = make(chan struct{})
}
