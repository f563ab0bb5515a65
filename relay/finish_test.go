package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// TestFinish_sendsAndLeaves sends everything, or says what it has left.
func TestFinish_sendsAndLeaves(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.put("shop", keys(1500)...)
		w.put("mail", "k")
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		began := clock.Now()
		w.must(h.finish(w.Context()))
		if took := clock.Since(began); took > time.Second {
			w.Errorf("it took %s", took)
		}
		w.complete()

		w.receiver.answers(func(_ context.Context, m *store.OutboxMessage) error {
			if m.Projection == "mail" && string(m.Key) == "k1" {
				return &RefusedError{Err: errors.New("no such box")}
			}
			return nil
		})
		w.put("shop", keys(3)...)
		w.put("mail", "k0", "k1", "k1", "k2")
		err := h.finish(w.Context())
		var left *UnsentError
		if !errors.As(err, &left) || err.Error() != "projection mail: 2 messages not sent, 1 key failed, the last one: no such box" {
			w.Errorf("it ends with %v", err)
		}

		w.receiver.answers(func(context.Context, *store.OutboxMessage) error { return errDown })
		w.put("shop", keys(3000)...)
		began = clock.Now()
		err = h.finish(w.Context())
		if took := clock.Since(began); took > time.Minute {
			w.Errorf("it gives up after %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "shop: 3000 messages not sent") {
			w.Errorf("it ends with %v", err)
		}
		if n := w.status("shop").FailedKeys; n < finishKeys || n > finishKeys+8 {
			w.Errorf("it gives up after %d keys", n)
		}
	})
}

// TestFinish_keysThatFail leaves what fails, and sends everything else. It names the reason also when nothing is due.
func TestFinish_keysThatFail(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(poisonous(func(context.Context) error { return errDown }))
		w.put("shop", keys(60)...)
		w.put("shop", "healthy0", "healthy1", "healthy2", "healthy2")
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		const want = "projection shop: 60 messages not sent, 60 keys failed, the last one: nobody answers"
		for range 2 {
			if err := h.finish(w.Context()); err == nil || err.Error() != want {
				w.Errorf("it ends with %v", err)
			}
		}
		if n := len(w.receiver.begun()); n != 64 {
			w.Errorf("%d sends have begun", n)
		}
		pass(2 * time.Minute) // all are due
		w.put("shop", keys(300)...)
		w.put("shop", "healthy1")
		w.receiver.answers(func(context.Context, *store.OutboxMessage) error { return errDown })
		began := clock.Now()
		if err := h.finish(w.Context()); err == nil {
			w.Error("it ends without an error")
		}
		if took := clock.Since(began); took > time.Minute {
			w.Errorf("it gives up after %s", took)
		}
	})
}

// TestFinish_afterOthersFailed gives up on keys that failed before, and not on the others.
func TestFinish_afterOthersFailed(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(poisonous(func(context.Context) error { return errDown }))
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		for some := range slices.Chunk(keys(297), 99) { // not a hundred in a row
			w.put("shop", some...)
			if err := h.finish(w.Context()); err == nil {
				w.Error("it ends without an error")
			}
		}
		if n := w.status("shop").FailedKeys; n != 297 {
			w.Fatalf("%d keys have failed", n)
		}
		pass(2 * time.Minute)
		before := len(w.receiver.begun())
		w.put("shop", "healthy")
		if err := h.finish(w.Context()); err == nil {
			w.Error("it ends without an error")
		}
		// A hundred before the message arrives, which takes its time, and a hundred behind it.
		if n := len(w.receiver.begun()) - before; n < finishKeys || n > 2*finishKeys+16 {
			w.Errorf("%d sends have begun", n)
		}
		healthy := w.putter("shop").byKey["healthy"]
		if w.receiver.count(healthy[len(healthy)-1]) == 0 {
			w.Error("a message of a key that did not fail is left")
		}
	})
}

// TestFinish_untilComplete sends what is put in meanwhile, and ends when nothing more is.
func TestFinish_untilComplete(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		complete, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- h.relay.Finish(w.Context(), h.lease, complete) }()
		w.putter("shop")
		for range 3 {
			pass(time.Minute)
			w.put("shop", keys(30)...)
			w.sent("shop")
		}
		w.receiver.answers(takes(20 * time.Second)) // longer than what is on its way has when a relay stops
		w.put("shop", "k0", "k0")
		w.until("it is on its way", func() bool { return len(w.receiver.begun()) == 91 })
		w.put("late", "k")
		close(complete)
		w.must(<-ended)
		w.complete()
		if n := len(w.receiver.begun()); n != 93 {
			w.Errorf("%d sends for 93 messages", n)
		}
	})
}

// TestFinish_besideAnotherRelay leaves to it what is its own.
func TestFinish_besideAnotherRelay(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(takes(time.Minute))
		w.put("shop", "k", "k")
		w.relaying("other", Options{})
		w.until("it sends", func() bool { return len(w.receiver.begun()) == 1 })
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		w.must(h.finish(w.Context()))
		w.sent("shop")
		w.complete()
	})
}

// TestFinish_ends with its context.
func TestFinish_ends(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(takes(time.Minute))
		w.put("shop", "k", "k")
		h := w.host("host", Sinks{Default: w.receiver.sink("host", "the receiver", 8)}, Options{})
		ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
		defer cancel()
		if err := h.finish(ctx); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("it ends with %v", err)
		}
	})
}
