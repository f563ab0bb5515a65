package segments

import (
	"context"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestHead_goesBackWithTheServer is what a failover or a restore brings about: positions that were seen will be handed out
// again, and a reader that went on from the old horizon would pass the events that get them.
func TestHead_goesBackWithTheServer(t *testing.T) {
	t.Parallel()
	h := newHead(&Worker{feed: newFeed(nil)})
	h.publish(store.Horizon{Position: 1000, Head: 1000})
	h.publish(store.Horizon{Position: 900, Head: 900})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if through, _, err := h.after(ctx, 899); err == nil {
		t.Errorf("a cancelled context gives %d", through)
	}
	if through, _, err := h.after(t.Context(), 899); err != nil || through != 900 {
		t.Errorf("the horizon is %d with error %v, must be 900", through, err)
	}
	h.forget()
	waited := make(chan int64)
	go func() {
		through, _, _ := h.after(t.Context(), 899)
		waited <- through
	}()
	h.publish(store.Horizon{Position: 950, Head: 950})
	if through := <-waited; through != 950 {
		t.Errorf("after the connection was lost the horizon is %d, must be 950", through)
	}
}

// TestHead_knowsWhoseLogTheHorizonIsOf is what keeps a batch that was read before a failover from being committed after it.
func TestHead_knowsWhoseLogTheHorizonIsOf(t *testing.T) {
	t.Parallel()
	h := newHead(&Worker{feed: newFeed(nil)})
	h.publish(store.Horizon{Position: 10, Head: 10})
	_, first, _ := h.after(t.Context(), 9)
	h.publish(store.Horizon{Position: 20, Head: 20})
	if h.log() != first {
		t.Error("a horizon that moves on is taken for that of another log")
	}
	h.publish(store.Horizon{Position: 15, Head: 20})
	if h.log() == first {
		t.Error("a horizon that goes back is taken for that of the same log")
	}
	_, second, _ := h.after(t.Context(), 9)
	h.forget()
	h.publish(store.Horizon{Position: 20, Head: 20})
	if h.log() == second {
		t.Error("a server that was not to be had is taken for the same one")
	}
}
