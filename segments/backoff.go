package segments

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff gives growing pauses between tries, with jitter, so that a thousand segments do not come back in one instant.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

// pause returns how long to wait before the next try.
func (b *backoff) pause() time.Duration {
	b.next = min(max(2*b.next, b.min), b.max)
	return b.next/2 + rand.N(b.next/2+1)
}

// reset is called after a success.
func (b *backoff) reset() { b.next = 0 }

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil // both may have come
}
