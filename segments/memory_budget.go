package segments

import (
	"context"
	"slices"
	"sync"
)

// memoryBudget bounds the bytes of events, and of the rows that come of them, which all segments of a worker have in memory: without it the
// memory of a host grows with its segments and the size of events (see [Options.EventBytes]).
//
// A read waits until its bytes fit. Rows are counted and never wait, since it is their commit that makes room. A waiting read holds no
// connection and nothing else that another needs. When nothing is in memory a read is let through, however large, so that there is
// always progress.
type memoryBudget struct {
	total int

	mu      sync.Mutex
	used    int
	waiting []*waitingRead // first come, first served
}

// waitingRead is a read that waits.
type waitingRead struct {
	bytes int
	turn  chan struct{} // closed when the bytes are there
}

func newMemoryBudget(total int) *memoryBudget { return &memoryBudget{total: total} }

// acquire waits for room, or for the end of ctx.
func (b *memoryBudget) acquire(ctx context.Context, bytes int) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(bytes) {
		b.used += bytes
		b.mu.Unlock()
		return nil
	}
	r := &waitingRead{bytes: bytes, turn: make(chan struct{})}
	b.waiting = append(b.waiting, r)
	b.grant()
	b.mu.Unlock()
	select {
	case <-r.turn:
		return nil
	default:
	}
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := slices.Index(b.waiting, r); at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
	} else { // it came at the same moment
		b.used -= bytes
	}
	b.grant()
	return ctx.Err()
}

// change adds to what is in memory, or takes from it, without waiting.
func (b *memoryBudget) change(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes
	b.grant()
}

// scarce tells that somebody waits.
func (b *memoryBudget) scarce() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}

// fits tells whether a read may begin. The lock is held.
func (b *memoryBudget) fits(bytes int) bool { return b.used <= 0 || b.used+bytes <= b.total }

// grant lets those go on who have waited longest. The lock is held.
func (b *memoryBudget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].bytes) {
		b.used += b.waiting[0].bytes
		close(b.waiting[0].turn)
		b.waiting = b.waiting[1:]
	}
}
