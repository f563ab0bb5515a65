package logstate

import (
	"context"
	"errors"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

var aLog = store.LogID{ID: store.UUID{1}, Timeline: 1}

// TestLog_goesBackWithTheServer is what a restore may bring about: positions that were seen will be handed out
// again, and a reader that went on from the old horizon would pass the events that get them.
func TestLog_goesBackWithTheServer(t *testing.T) {
	t.Parallel()
	l := New()
	l.Publish(store.Horizon{Position: 1000, Head: 1000, Log: aLog})
	l.Publish(store.Horizon{Position: 900, Head: 900, Log: aLog})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if through, err := l.Await(ctx, Joined{ID: aLog}, 899); err == nil {
		t.Errorf("a cancelled context gives %d", through)
	}
	if through, err := l.Await(t.Context(), Joined{ID: aLog}, 899); err != nil || through != 900 {
		t.Errorf("the horizon is %d with error %v, must be 900", through, err)
	}
	if through, err := l.Await(t.Context(), Joined{ID: aLog}, 901); !errors.Is(err, store.ErrOtherLog) {
		t.Errorf("behind the end of the log it gives %d with error %v, must be ErrOtherLog", through, err)
	}
	l.Forget()
	waited := make(chan int64)
	go func() {
		through, _ := l.Await(t.Context(), Joined{ID: aLog}, 899)
		waited <- through
	}()
	l.Publish(store.Horizon{Position: 950, Head: 950, Log: aLog})
	if through := <-waited; through != 950 {
		t.Errorf("after the connection was lost the horizon is %d, must be 950", through)
	}
}

// TestLog_knowsWhoseLogTheHorizonIsOf has who waits for events of one log hear of another, wherever that ends.
func TestLog_knowsWhoseLogTheHorizonIsOf(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]store.LogID{
		"another timeline": {ID: aLog.ID, Timeline: 2}, "another id": {ID: store.UUID{2}, Timeline: 1},
	} {
		for _, head := range []int64{10, 20, 30} {
			l := New()
			l.Publish(store.Horizon{Position: 20, Head: 20, Log: aLog})
			waited := make(chan error)
			go func() {
				_, err := l.Await(t.Context(), Joined{ID: aLog}, 20)
				waited <- err
			}()
			l.Publish(store.Horizon{Position: head, Head: head, Log: other})
			if err := <-waited; !errors.Is(err, store.ErrOtherLog) {
				t.Errorf("%s up to %d: %v, must be ErrOtherLog", name, head, err)
			}
			if through, err := l.Await(t.Context(), Joined{ID: other}, head-1); err != nil || through != head {
				t.Errorf("%s: the horizon of its own is %d with error %v", name, through, err)
			}
		}
	}
}

// TestLog_aClaimMayBeFartherThanTheLastPoll has a segment take over what another host has applied since this
// host's last poll.
func TestLog_aClaimMayBeFartherThanTheLastPoll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		polls []int64 // the head as it is seen after the segment has joined
		want  int64   // 0 for another log
	}{
		{"a poll that was under way, and one that has it", []int64{110, 130}, 130},
		{"nothing moves and then it is there", []int64{100, 100 + 21}, 121},
		{"the log is shorter", []int64{100, 100}, 0},
		{"the log is shorter and grows", []int64{100, 119}, 0},
	} {
		l := New()
		l.Publish(store.Horizon{Position: 100, Head: 100, Log: aLog})
		joined := l.Join(aLog)
		type answer struct {
			through int64
			err     error
		}
		given := make(chan answer)
		go func() {
			through, err := l.Await(t.Context(), joined, 120)
			given <- answer{through, err}
		}()
		for _, head := range test.polls {
			select {
			case early := <-given:
				t.Errorf("%s: before the poll at %d it gives %+v", test.name, head, early)
			case <-l.demand:
			}
			l.Publish(store.Horizon{Position: head, Head: head, Log: aLog})
		}
		got := <-given
		if got.through != test.want || errors.Is(got.err, store.ErrOtherLog) != (test.want == 0) {
			t.Errorf("%s: it gives %+v", test.name, got)
		}
	}
}

// TestLog_anEmptyLogIsKnownAgain wakes who waits when the connection is back and nothing has come.
func TestLog_anEmptyLogIsKnownAgain(t *testing.T) {
	t.Parallel()
	l := New()
	l.Publish(store.Horizon{Log: aLog})
	l.Forget()
	moved := l.moved
	l.Publish(store.Horizon{Log: aLog})
	select {
	case <-moved:
	default:
		t.Error("nobody hears that the log is known again")
	}
}
