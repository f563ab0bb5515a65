package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// takes has a receiver take so long.
func takes(d time.Duration) func(context.Context, *store.OutboxMessage) error {
	return func(ctx context.Context, _ *store.OutboxMessage) error { return wait(ctx, d) }
}

// wait waits, and fails when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hangs waits for the end of ctx.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestRun_sendsEverything sends what was put before and after it began, within moments.
func TestRun_sendsEverything(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(takes(time.Millisecond))
		for range 5 {
			w.put("shop", keys(500)...)
		}
		w.relaying("host", Options{})
		if took := w.sent("shop"); took > time.Second {
			w.Errorf("it took %s", took)
		}
		if n := w.receiver.mostOnTheWay; n != 8 {
			w.Errorf("%d messages were on their way, the sink takes 8", n)
		}
		w.put("shop", "k1", "k2", "k1")
		if took := w.sent("shop"); took > 20*time.Millisecond {
			w.Errorf("what was put later took %s", took)
		}
		w.complete()
		if n := len(w.receiver.begun()); n != 2503 {
			w.Errorf("%d sends for 2503 messages", n)
		}
	})
}

// TestRun_aKeyThatHangs holds up its own messages, and no others.
func TestRun_aKeyThatHangs(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(func(ctx context.Context, m *store.OutboxMessage) error {
			if string(m.Key) == "k3" {
				return hangs(ctx)
			}
			return wait(ctx, time.Millisecond)
		})
		w.relaying("host", Options{})
		for range 20 {
			w.put("shop", keys(20)...)
		}
		took := w.until("the others are sent", func() bool { return w.status("shop").Pending == 20 })
		if took > 3*time.Second {
			w.Errorf("the others took %s", took)
		}
	})
}

// TestRun_aKeyWithManyMessages has more messages than the window, and its first one hangs. Others behind it are found.
func TestRun_aKeyWithManyMessages(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(func(ctx context.Context, m *store.OutboxMessage) error {
			if string(m.Key) == "many" {
				return hangs(ctx)
			}
			return nil
		})
		w.put("shop", slices.Repeat([]string{"many"}, 100)...)
		w.put("shop", keys(20)...)
		w.relaying("host", Options{Window: 10})
		took := w.until("the others are sent", func() bool { return w.status("shop").Pending == 100 })
		if took > 5*time.Second {
			w.Errorf("the others took %s", took)
		}
	})
}

// TestRun_aProjectionThatHangs leaves the sink to the others.
func TestRun_aProjectionThatHangs(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(func(ctx context.Context, m *store.OutboxMessage) error {
			if m.Projection == "hung" {
				return hangs(ctx)
			}
			return wait(ctx, time.Millisecond)
		})
		w.putter("shop")
		w.put("hung", keys(100)...)
		w.relaying("host", Options{})
		pass(5 * time.Second)
		w.put("shop", keys(100)...)
		if took := w.sent("shop"); took > time.Second {
			w.Errorf("the other projection took %s", took)
		}
	})
}

// TestRun_refusedAndLater has messages that the receiver does not take: one for good, one for a while, one not yet.
func TestRun_refusedAndLater(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		var tries [3]atomic.Int64
		var mended atomic.Bool
		w.receiver.answers(func(_ context.Context, m *store.OutboxMessage) error {
			switch key := string(m.Key); {
			case key == "k0" && !mended.Load():
				tries[0].Add(1)
				return &RefusedError{Err: errors.New("no such customer")}
			case key == "k1" && tries[1].Add(1) <= 7:
				return errDown
			case key == "k2" && tries[2].Add(1) == 1:
				return &LaterError{After: 30 * time.Minute, Err: errors.New("we are closed")}
			}
			return nil
		})
		observed := map[string]int{}
		observer := &Observer{
			Claimed:  func(ObservedRelay) { observed["claimed"]++ },
			Released: func(ObservedRelay) { observed["released"]++ },
			Sent: func(m ObservedMessage) {
				observed["sent"]++
				if string(m.Key) == "k2" && m.Attempts == 2 && (m.Latency < 30*time.Minute || m.Latency > 32*time.Minute) {
					w.Errorf("the latency is %s", m.Latency)
				}
			},
			Failed: func(ObservedMessage) { observed["failed"]++ },
			Parked: func(m ObservedMessage) {
				observed["parked"]++
				if m.Attempts != 5 || m.Type != "done" || m.Projection != "shop" || m.Target != "the receiver" {
					w.Errorf("parked is %+v", m)
				}
			},
		}
		h := w.relaying("host", Options{Observer: observer, Poll: 10 * time.Second})
		w.put("shop", "k0", "k1", "k2", "k3", "k0", "k1", "k2", "k3")
		w.until("k3 is sent", func() bool { return w.status("shop").Pending == 6 })
		pass(20 * time.Minute)
		if status := w.status("shop"); status.Pending != 4 || status.FailedKeys != 2 || status.Exhausted != 1 {
			w.Errorf("the status is %+v", status)
		}
		if n := tries[0].Load(); n != 5 {
			w.Errorf("what was refused was tried %d times", n)
		}
		w.until("k2 is sent", func() bool { return w.status("shop").Pending == 2 })
		failed, err := w.store.Messages(w.Context(), store.MessagesRequest{State: store.MessageFailed})
		if err != nil || len(failed) != 1 || failed[0].Error != "no such customer" || failed[0].Attempts != 5 {
			w.Errorf("failed are %+v, %v", failed, err)
		}
		mended.Store(true)
		if _, err := w.store.Resend(w.Context(), store.MessagesRequest{Projection: "shop"}); err != nil {
			w.Fatal(err)
		}
		w.sent("shop")
		w.complete()
		h.stop()
		want := map[string]int{"claimed": 1, "released": 1, "sent": 8, "failed": 4 + 7 + 1, "parked": 1}
		if fmt.Sprint(observed) != fmt.Sprint(want) {
			w.Errorf("observed is %v, want %v", observed, want)
		}
	})
}

// TestRun_anOutage has the receiver away for a while, with more keys than anybody wants to mark.
func TestRun_anOutage(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		var tries atomic.Int64
		away := &atomic.Bool{}
		w.receiver.answers(func(ctx context.Context, _ *store.OutboxMessage) error {
			if err := wait(ctx, time.Millisecond); err != nil || !away.Load() {
				return err
			}
			tries.Add(1)
			return errDown
		})
		away.Store(true)
		outages := map[string]int{}
		w.relaying("host", Options{Observer: &Observer{
			Away: func(o ObservedOutage) { outages["away: "+o.Err.Error()]++ },
			Back: func(o ObservedOutage) {
				outages["back"]++
				if o.After < 20*time.Minute || o.After > 22*time.Minute {
					w.Errorf("it was away %s", o.After)
				}
			},
		}})
		for range 2 {
			w.put("shop", keys(1500)...)
		}
		w.until("it is found out", func() bool { return tries.Load() >= breakerKeys })
		pass(time.Second)
		// The first keys and what was on its way then, and probes, of which there are fewer and fewer.
		if n := tries.Load(); n > 30 {
			w.Errorf("in the first second it was tried %d times", n)
		}
		pass(20 * time.Minute)
		if n := tries.Load(); n < 300 || n > 600 {
			w.Errorf("it was tried %d times", n)
		}
		if n := w.status("shop").FailedKeys; n > 450 {
			w.Errorf("%d keys are marked", n)
		}
		away.Store(false)
		if took := w.sent("shop"); took > 3*time.Minute {
			w.Errorf("everything has arrived after %s", took)
		}
		w.complete()
		if want := map[string]int{"away: " + errDown.Error(): 1, "back": 1}; fmt.Sprint(outages) != fmt.Sprint(want) {
			w.Errorf("outages are %v", outages)
		}
	})
}

// TestRun_skippedWhileItWaits has somebody skip a message that the relay has in memory.
func TestRun_skippedWhileItWaits(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		block := make(chan struct{})
		w.receiver.answers(func(ctx context.Context, m *store.OutboxMessage) error {
			select {
			case <-block:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		w.relaying("host", Options{})
		w.put("shop", "a", "a", "a")
		w.until("the first one is on its way", func() bool { return len(w.receiver.begun()) == 1 })
		skipped := w.putter("shop").byKey["a"][1]
		w.receiver.pretend(skipped)
		w.must(w.store.SkipMessage(w.Context(), skipped.MessageID))
		pass(6 * time.Second)
		close(block)
		w.sent("shop")
		w.complete()
		if slices.Contains(w.receiver.begun(), skipped) {
			w.Error("it was sent all the same")
		}
	})
}

// TestRun_keepsWhatWasSent for a while.
func TestRun_keepsWhatWasSent(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.relaying("host", Options{Keep: time.Hour, Poll: time.Minute})
		w.put("shop", keys(1500)...)
		w.sent("shop")
		pass(50 * time.Minute)
		if kept := w.status("shop").Kept; kept != 1500 {
			w.Errorf("%d are kept", kept)
		}
		pass(11 * time.Minute)
		if kept := w.status("shop").Kept; kept != 0 {
			w.Errorf("%d are kept too long", kept)
		}
	})
}

// TestRun_stops lets what is on its way arrive, and cuts off what does not. Another host goes on at once.
func TestRun_stops(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(func(ctx context.Context, m *store.OutboxMessage) error {
			switch string(m.Key) {
			case "slow":
				return wait(ctx, 3*time.Second)
			case "hangs":
				return hangs(ctx)
			}
			return nil
		})
		first := w.relaying("first", Options{})
		w.put("shop", "hangs", "slow", "slow", "k")
		w.until("they are on their way", func() bool { return len(w.receiver.begun()) == 3 })
		began := clock.Now()
		first.stop()
		if took := clock.Since(began); took < 5*time.Second || took > 6*time.Second {
			w.Errorf("it has stopped after %s", took)
		}
		if status := w.status("shop"); status.Pending != 2 || status.Relay != "" || status.FailedKeys != 0 {
			w.Errorf("the status is %+v", status)
		}
		w.receiver.answers(nil)
		w.relaying("second", Options{})
		if took := w.sent("shop"); took > time.Second {
			w.Errorf("the other host took %s", took)
		}
		w.complete()
	})
}

// TestRun_aClaimThatIsLost has another host become the relay although the lease holds, as after a restore.
func TestRun_aClaimThatIsLost(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		var cut atomic.Bool
		w.receiver.answers(func(ctx context.Context, _ *store.OutboxMessage) error {
			err := hangs(ctx)
			cut.Store(true)
			return err
		})
		h := w.relaying("host", Options{})
		other := w.host("other", Sinks{Default: w.receiver.sink("other", "the receiver", 8)}, Options{})
		w.put("shop", "a", "a", "b")
		w.until("they are on their way", func() bool { return len(w.receiver.begun()) == 2 })
		w.must(w.store.ReleaseRelays(w.Context(), h.lease.worker, []string{"shop"}))
		own, err := w.store.ClaimRelays(w.Context(), other.lease.worker, nil, "the receiver")
		w.must(err)
		if !slices.Equal(own, []string{"shop"}) {
			w.Fatalf("the other one has %q", own)
		}
		if took := w.until("what is on its way is cut off", cut.Load); took > 2*time.Second {
			w.Errorf("it is cut off after %s", took)
		}
		w.put("shop", "c")
		pass(10 * time.Second)
		if n := len(w.receiver.begun()); n != 2 {
			w.Errorf("%d sends have begun", n)
		}
		if status := w.status("shop"); status.Pending != 4 || status.FailedKeys != 0 {
			w.Errorf("the status is %+v", status)
		}
	})
}

// TestRun_twice is refused.
func TestRun_twice(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		h := w.relaying("host", Options{})
		w.putter("shop")
		w.until("it runs", func() bool { return w.status("shop").Relay == "host" })
		if err := h.relay.Run(w.Context(), h.lease); !errors.Is(err, errRuns) {
			w.Errorf("it runs twice: %v", err)
		}
		if err := h.finish(w.Context()); !errors.Is(err, errRuns) {
			w.Errorf("it runs twice: %v", err)
		}
	})
}
