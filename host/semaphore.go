package host

import (
	"context"
	"sync/atomic"
	"time"
)

// semaphore bounds how many run at a time, and counts those that wait.
type semaphore struct {
	slots   chan struct{}
	waiting atomic.Int64
}

func newSemaphore(size int) *semaphore { return &semaphore{slots: make(chan struct{}, size)} }

// do runs f when a slot is free.
func (s *semaphore) do(ctx context.Context, f func() error) error {
	s.waiting.Add(1)
	select {
	case s.slots <- struct{}{}:
		s.waiting.Add(-1)
	case <-ctx.Done():
		s.waiting.Add(-1)
		return ctx.Err()
	}
	defer func() { <-s.slots }()
	return f()
}

// contendedAfter returns a channel that is closed as soon as a duration is over and others wait for a slot.
func (s *semaphore) contendedAfter(duration time.Duration) (contended <-chan struct{}, stop func()) {
	isContended, quit := make(chan struct{}), make(chan struct{})
	go func() {
		timer := time.NewTimer(duration)
		defer timer.Stop()
		for {
			select {
			case <-quit:
				return
			case <-timer.C:
			}
			if s.waiting.Load() > 0 {
				close(isContended)
				return
			}
			timer.Reset(duration / 8)
		}
	}()
	return isContended, func() { close(quit) }
}
