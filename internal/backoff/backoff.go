// Package backoff waits between tries.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff gives growing pauses between tries, with jitter, so that a thousand segments do not come back in one
// instant.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Pause returns how long to wait before the next try.
func (b *Backoff) Pause() time.Duration {
	b.next = min(max(2*b.next, b.Min), b.Max)
	return b.next/2 + rand.N(b.next/2+1)
}

// Reset is called after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Sleep waits, and reports false when ctx ended first.
func Sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil // both may have come
}
