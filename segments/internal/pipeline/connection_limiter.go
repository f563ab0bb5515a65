package pipeline

import (
	"context"
	"slices"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// ConnectionLimiter keeps a projection whose commits take long, or hang, from taking every connection of the
// store: of all reads and commits that may be in flight at once each projection has an equal share, one at
// least. Its segments get them in turn. Two versions of a projection have a share each, of which one that readers do not
// see gets a part.
//
// A segment that has a connection never waits for another one: it reads with one and commits with another, and
// a transaction with queries keeps its own to the end.
type ConnectionLimiter struct {
	total      int
	buildShare int // in percent

	mu      sync.Mutex
	shares  int                         // among so many
	unseen  map[store.ProjectionID]bool // by readers
	busy    map[store.ProjectionID]int
	waiting map[store.ProjectionID][]chan struct{} // first come, first served: each is closed when its connection is there
}

// NewConnectionLimiter shares so many connections. A version that readers do not see gets so many percent of its share.
func NewConnectionLimiter(total, buildShare int) *ConnectionLimiter {
	return &ConnectionLimiter{
		total: total, buildShare: buildShare, unseen: map[store.ProjectionID]bool{}, busy: map[store.ProjectionID]int{}, waiting: map[store.ProjectionID][]chan struct{}{},
	}
}

// Divide sets among how many projections they are shared. A projection that holds more than its new share keeps
// them until what they are for ends.
func (l *ConnectionLimiter) Divide(projections int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares = projections
	for projection := range l.waiting {
		l.grant(projection)
	}
}

// Seen sets whether readers see a projection.
func (l *ConnectionLimiter) Seen(projection store.ProjectionID, seen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unseen[projection] == !seen {
		return
	}
	if delete(l.unseen, projection); !seen {
		l.unseen[projection] = true
	}
	l.grant(projection)
}

// share is how many connections a projection may have. The lock is held.
func (l *ConnectionLimiter) share(projection store.ProjectionID) int {
	share := l.total / max(l.shares, 1)
	if l.unseen[projection] {
		share = share * l.buildShare / 100
	}
	return max(share, 1)
}

// Acquire waits for a connection, or for the end of ctx.
func (l *ConnectionLimiter) Acquire(ctx context.Context, projection store.ProjectionID) error {
	l.mu.Lock()
	turn := make(chan struct{})
	l.waiting[projection] = append(l.waiting[projection], turn)
	l.grant(projection)
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
	if at := slices.Index(l.waiting[projection], turn); at >= 0 {
		l.waiting[projection] = slices.Delete(l.waiting[projection], at, at+1)
	} else { // it came at the same moment
		l.busy[projection]--
	}
	l.grant(projection)
	return ctx.Err()
}

// Release gives a connection back.
func (l *ConnectionLimiter) Release(projection store.ProjectionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[projection]--
	l.grant(projection)
}

// grant gives the free connections of a projection to those who have waited longest. The lock is held.
func (l *ConnectionLimiter) grant(projection store.ProjectionID) {
	for len(l.waiting[projection]) > 0 && l.busy[projection] < l.share(projection) {
		close(l.waiting[projection][0])
		l.waiting[projection] = l.waiting[projection][1:]
		l.busy[projection]++
	}
	if len(l.waiting[projection]) == 0 {
		delete(l.waiting, projection)
	}
	if l.busy[projection] == 0 {
		delete(l.busy, projection)
	}
}
