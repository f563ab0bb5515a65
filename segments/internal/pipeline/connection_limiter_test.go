package pipeline

import (
	"context"
	"errors"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// wantConnection acquires where there is a connection, or finds out that it would have to wait.
func wantConnection(t *testing.T, l *ConnectionLimiter, projection store.ProjectionID, free bool) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Acquire(over, projection); (err == nil) != free || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("acquiring gives %v, a connection must be free: %t", err, free)
	}
}

func TestConnectionLimiter_whoHoldsThemForEverLeavesTheOthersTheirs(t *testing.T) {
	t.Parallel()
	hog, other := store.ProjectionID{Name: "hog", Version: 1}, store.ProjectionID{Name: "hog", Version: 2}
	l := NewConnectionLimiter(6, 50)
	l.Divide(2)
	for range 3 {
		wantConnection(t, l, hog, true)
	}
	wantConnection(t, l, hog, false)
	for range 100 {
		for range 3 {
			wantConnection(t, l, other, true)
		}
		wantConnection(t, l, other, false)
		for range 3 {
			l.Release(other)
		}
	}
	wantConnection(t, l, hog, false)
}

func TestConnectionLimiter_everyProjectionHasOne(t *testing.T) {
	t.Parallel()
	l := NewConnectionLimiter(2, 50)
	l.Divide(5)
	for i := range 5 {
		r := store.ProjectionID{Name: "projection", Version: i}
		wantConnection(t, l, r, true)
		wantConnection(t, l, r, false)
	}
}

func TestConnectionLimiter_oneThatIsLeftIsTaken(t *testing.T) {
	t.Parallel()
	r := store.ProjectionID{Name: "projection", Version: 1}
	l := NewConnectionLimiter(1, 50)
	l.Divide(1)
	wantConnection(t, l, r, true)
	entered := make(chan error)
	for range 3 {
		go func() { entered <- l.Acquire(t.Context(), r) }()
	}
	for range 3 {
		l.Release(r)
		if err := <-entered; err != nil {
			t.Error(err)
		}
	}
	wantConnection(t, l, r, false)
}

func TestConnectionLimiter_sharesChange(t *testing.T) {
	t.Parallel()
	first, second := store.ProjectionID{Name: "first"}, store.ProjectionID{Name: "second"}
	l := NewConnectionLimiter(4, 50)
	l.Divide(2)
	wantConnection(t, l, first, true)
	wantConnection(t, l, first, true)
	entered := make(chan error)
	go func() { entered <- l.Acquire(t.Context(), first) }()
	l.Divide(1) // the other is gone
	if err := <-entered; err != nil {
		t.Error(err)
	}
	wantConnection(t, l, first, true)
	wantConnection(t, l, first, false)
	l.Divide(2) // and back: what the first has too much does not keep the second waiting
	wantConnection(t, l, second, true)
	wantConnection(t, l, second, true)
	wantConnection(t, l, second, false)
	for range 2 {
		l.Release(first)
		wantConnection(t, l, first, false)
	}
	l.Release(first)
	wantConnection(t, l, first, true)
}

// TestConnectionLimiter_whoComesBackWaitsItsTurn has a segment come back at once with its next batch while
// another waits.
func TestConnectionLimiter_whoComesBackWaitsItsTurn(t *testing.T) {
	t.Parallel()
	r := store.ProjectionID{Name: "projection", Version: 1}
	l := NewConnectionLimiter(1, 50)
	l.Divide(1)
	wantConnection(t, l, r, true)
	entered := make(chan error)
	go func() { entered <- l.Acquire(t.Context(), r) }()
	for waiting := 0; waiting == 0; {
		l.mu.Lock()
		waiting = len(l.waiting[r])
		l.mu.Unlock()
	}
	l.Release(r)
	wantConnection(t, l, r, false)
	if err := <-entered; err != nil {
		t.Error(err)
	}
	l.Release(r)
	wantConnection(t, l, r, true)
}

func TestConnectionLimiter_whatReadersDoNotSeeHasLess(t *testing.T) {
	t.Parallel()
	live, candidate := store.ProjectionID{Name: "p", Version: 1}, store.ProjectionID{Name: "p", Version: 2}
	l := NewConnectionLimiter(8, 50)
	l.Divide(2)
	l.Seen(live, true)
	l.Seen(candidate, false)
	for range 2 {
		wantConnection(t, l, candidate, true)
	}
	wantConnection(t, l, candidate, false)
	for range 4 {
		wantConnection(t, l, live, true)
	}
	wantConnection(t, l, live, false)
	l.Seen(candidate, true) // it is promoted
	for range 2 {
		wantConnection(t, l, candidate, true)
	}
	wantConnection(t, l, candidate, false)
	l.Seen(candidate, false)
	l.Divide(100)
	for range 4 {
		wantConnection(t, l, candidate, false)
		l.Release(candidate)
	}
	wantConnection(t, l, candidate, true)
}
