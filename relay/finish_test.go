package relay

import (
	"context"
	"errors"
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
		w.must(h.relay.Finish(w.Context(), h.lease))
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
		err := h.relay.Finish(w.Context(), h.lease)
		var left *UnsentError
		if !errors.As(err, &left) || err.Error() != "projection mail: 2 messages not sent, 1 key failed, the last one: no such box" {
			w.Errorf("it ends with %v", err)
		}

		w.receiver.answers(func(context.Context, *store.OutboxMessage) error { return errDown })
		w.put("shop", keys(3000)...)
		began = clock.Now()
		err = h.relay.Finish(w.Context(), h.lease)
		if took := clock.Since(began); took > time.Minute {
			w.Errorf("it gives up after %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "shop: 3000 messages not sent") {
			w.Errorf("it ends with %v", err)
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
		w.must(h.relay.Finish(w.Context(), h.lease))
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
		if err := h.relay.Finish(ctx, h.lease); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("it ends with %v", err)
		}
	})
}
