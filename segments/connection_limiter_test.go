package segments

import (
	"context"
	"errors"
	"testing"
)

// wantLane enters where there is a lane, or finds out that it would have to wait.
func wantLane(t *testing.T, l *connectionLimiter, r *runner, free bool) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.acquire(over, r); (err == nil) != free || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("entering gives %v, a lane must be free: %t", err, free)
	}
}

func TestConnectionLimiter_whoHoldsThemForEverLeavesTheOthersTheirs(t *testing.T) {
	t.Parallel()
	hog, other := &runner{name: "hog"}, &runner{name: "other"}
	l := newConnectionLimiter(6)
	l.divide(2)
	for range 3 {
		wantLane(t, l, hog, true)
	}
	wantLane(t, l, hog, false)
	for range 100 {
		for range 3 {
			wantLane(t, l, other, true)
		}
		wantLane(t, l, other, false)
		for range 3 {
			l.release(other)
		}
	}
	wantLane(t, l, hog, false)
}

func TestConnectionLimiter_everyProjectionHasOne(t *testing.T) {
	t.Parallel()
	l := newConnectionLimiter(2)
	l.divide(5)
	for range 5 {
		r := &runner{}
		wantLane(t, l, r, true)
		wantLane(t, l, r, false)
	}
}

func TestConnectionLimiter_oneThatIsLeftIsTaken(t *testing.T) {
	t.Parallel()
	r := &runner{}
	l := newConnectionLimiter(1)
	l.divide(1)
	wantLane(t, l, r, true)
	entered := make(chan error)
	for range 3 {
		go func() { entered <- l.acquire(t.Context(), r) }()
	}
	for range 3 {
		l.release(r)
		if err := <-entered; err != nil {
			t.Error(err)
		}
	}
	wantLane(t, l, r, false)
}

func TestConnectionLimiter_sharesChange(t *testing.T) {
	t.Parallel()
	first, second := &runner{}, &runner{}
	l := newConnectionLimiter(4)
	l.divide(2)
	wantLane(t, l, first, true)
	wantLane(t, l, first, true)
	entered := make(chan error)
	go func() { entered <- l.acquire(t.Context(), first) }()
	l.divide(1) // the other is gone
	if err := <-entered; err != nil {
		t.Error(err)
	}
	wantLane(t, l, first, true)
	wantLane(t, l, first, false)
	l.divide(2) // and back: what the first has too much does not keep the second waiting
	wantLane(t, l, second, true)
	wantLane(t, l, second, true)
	wantLane(t, l, second, false)
	for range 2 {
		l.release(first)
		wantLane(t, l, first, false)
	}
	l.release(first)
	wantLane(t, l, first, true)
}

// TestConnectionLimiter_whoComesBackWaitsItsTurn has a segment come back at once with its next batch while another waits.
func TestConnectionLimiter_whoComesBackWaitsItsTurn(t *testing.T) {
	t.Parallel()
	r := &runner{}
	l := newConnectionLimiter(1)
	l.divide(1)
	wantLane(t, l, r, true)
	entered := make(chan error)
	go func() { entered <- l.acquire(t.Context(), r) }()
	for waiting := 0; waiting == 0; {
		l.mu.Lock()
		waiting = len(l.waiting[r])
		l.mu.Unlock()
	}
	l.release(r)
	wantLane(t, l, r, false)
	if err := <-entered; err != nil {
		t.Error(err)
	}
	l.release(r)
	wantLane(t, l, r, true)
}
