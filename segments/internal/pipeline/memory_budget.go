package pipeline

import (
	"context"
	"slices"
	"sync"
)

// MemoryBudget bounds the bytes of events, and of the rows that come of them, which all segments of a worker
// have in memory: without it the memory of a host grows with its segments and the size of events (see
// segments.Options.EventBytes).
//
// A read waits until its bytes fit. Rows are counted and never wait, since it is their commit that makes room.
// A waiting read holds no connection and nothing else that another needs. When nothing is in memory a read is
// let through, however large, so that there is always progress.
type MemoryBudget struct {
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

// NewMemoryBudget has so many bytes.
func NewMemoryBudget(total int) *MemoryBudget { return &MemoryBudget{total: total} }

// Acquire waits for room, or for the end of ctx.
func (b *MemoryBudget) Acquire(ctx context.Context, bytes int) error {
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

// Add adds to what is in memory, or takes from it, without waiting.
func (b *MemoryBudget) Add(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes
	b.grant()
}

// Scarce reports that a read waits.
func (b *MemoryBudget) Scarce() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}

// Used returns how many bytes are in memory.
func (b *MemoryBudget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// fits reports that a read may begin. The lock is held.
func (b *MemoryBudget) fits(bytes int) bool { return b.used <= 0 || b.used+bytes <= b.total }

// grant lets those go on that have waited longest. The lock is held.
func (b *MemoryBudget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].bytes) {
		b.used += b.waiting[0].bytes
		close(b.waiting[0].turn)
		b.waiting = b.waiting[1:]
	}
}
