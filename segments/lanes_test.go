package segments

import (
	"context"
	"errors"
	"testing"
)

// wantLane enters where there is a lane, or finds out that it would have to wait.
func wantLane(t *testing.T, l *lanes, r *runner, free bool) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.enter(over, r); (err == nil) != free || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("entering gives %v, a lane must be free: %t", err, free)
	}
}

func TestLanes_whoHoldsThemForEverLeavesTheOthersTheirs(t *testing.T) {
	t.Parallel()
	hog, other := &runner{name: "hog"}, &runner{name: "other"}
	l := newLanes(6)
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
			l.leave(other)
		}
	}
	wantLane(t, l, hog, false)
}

func TestLanes_everyProjectionHasOne(t *testing.T) {
	t.Parallel()
	l := newLanes(2)
	l.divide(5)
	for range 5 {
		r := &runner{}
		wantLane(t, l, r, true)
		wantLane(t, l, r, false)
	}
}

func TestLanes_oneThatIsLeftIsTaken(t *testing.T) {
	t.Parallel()
	r := &runner{}
	l := newLanes(1)
	l.divide(1)
	wantLane(t, l, r, true)
	entered := make(chan error)
	for range 3 {
		go func() { entered <- l.enter(t.Context(), r) }()
	}
	for range 3 {
		l.leave(r)
		if err := <-entered; err != nil {
			t.Error(err)
		}
	}
	wantLane(t, l, r, false)
}

func TestLanes_sharesChange(t *testing.T) {
	t.Parallel()
	first, second := &runner{}, &runner{}
	l := newLanes(4)
	l.divide(2)
	wantLane(t, l, first, true)
	wantLane(t, l, first, true)
	entered := make(chan error)
	go func() { entered <- l.enter(t.Context(), first) }()
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
		l.leave(first)
		wantLane(t, l, first, false)
	}
	l.leave(first)
	wantLane(t, l, first, true)
}

// TestLanes_whoComesBackWaitsItsTurn has a segment come back at once with its next batch while another waits.
func TestLanes_whoComesBackWaitsItsTurn(t *testing.T) {
	t.Parallel()
	r := &runner{}
	l := newLanes(1)
	l.divide(1)
	wantLane(t, l, r, true)
	entered := make(chan error)
	go func() { entered <- l.enter(t.Context(), r) }()
	for waiting := 0; waiting == 0; {
		l.mu.Lock()
		waiting = len(l.waiting[r])
		l.mu.Unlock()
	}
	l.leave(r)
	wantLane(t, l, r, false)
	if err := <-entered; err != nil {
		t.Error(err)
	}
	l.leave(r)
	wantLane(t, l, r, true)
}
