package host

import (
	"context"
	"sync/atomic"
	"time"
)

// queue lets some at a time do something.
type queue struct {
	taken   chan struct{}
	waiting atomic.Int64
}

func newQueue(atATime int) *queue { return &queue{taken: make(chan struct{}, atATime)} }

// with waits for a turn and does something in it.
func (q *queue) with(ctx context.Context, do func() error) error {
	q.waiting.Add(1)
	select {
	case q.taken <- struct{}{}:
		q.waiting.Add(-1)
	case <-ctx.Done():
		q.waiting.Add(-1)
		return ctx.Err()
	}
	defer func() { <-q.taken }()
	return do()
}

// over tells when a turn has lasted so long and somebody waits.
func (q *queue) over(length time.Duration) (over <-chan struct{}, stop func()) {
	ended, quit := make(chan struct{}), make(chan struct{})
	go func() {
		wait := time.NewTimer(length)
		defer wait.Stop()
		for {
			select {
			case <-quit:
				return
			case <-wait.C:
			}
			if q.waiting.Load() > 0 {
				close(ended)
				return
			}
			wait.Reset(length / 8)
		}
	}()
	return ended, func() { close(quit) }
}
