package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// poisonous has all keys of keys fail as a function says, and takes the others.
func poisonous(fails func(context.Context) error) func(context.Context, *store.OutboxMessage) error {
	return func(ctx context.Context, m *store.OutboxMessage) error {
		if strings.HasPrefix(string(m.Key), "k") {
			return fails(ctx)
		}
		return wait(ctx, time.Millisecond)
	}
}

// TestRun_keysThatKeepFailing has messages of other keys arrive soon, however many keys fail: when all are new, later,
// and after a restart.
func TestRun_keysThatKeepFailing(t *testing.T) {
	t.Parallel()
	refuses := func(context.Context) error { return errors.New("503") }
	later := func(context.Context) error { return &LaterError{After: time.Hour, Err: errors.New("429")} }
	hang := func(ctx context.Context) error {
		return errors.Join(wait(ctx, 10*time.Second), errors.New("no answer"))
	}
	for _, c := range []struct {
		name  string
		keys  int
		fails func(context.Context) error
		most  time.Duration // until the first ones have arrived
	}{
		{"20 not taken", 20, refuses, 15 * time.Second},
		{"40 not taken", 40, refuses, 30 * time.Second},
		{"400 not taken", 400, refuses, 15 * time.Minute},
		{"40 for later", 40, later, 5 * time.Minute},
		{"20 without an answer", 20, hang, time.Minute},
		{"40 without an answer", 40, hang, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in(t, func(w *world) {
				w.receiver.answers(poisonous(c.fails))
				arrives := func(what string, most time.Duration, some ...string) {
					w.put("shop", some...)
					took := w.until(what, func() bool { return w.status("shop").Pending == int64(c.keys) })
					if took > most {
						w.Errorf("%s: it took %s", what, took)
					}
				}
				w.put("shop", keys(c.keys)...)
				w.relaying("first", Options{})
				arrives("new ones", c.most, "healthy0", "healthy1", "healthy2")
				pass(10 * time.Minute)
				for n := range 10 {
					pass(time.Minute)
					arrives("later ones", 5*time.Second, "healthy1", fmt.Sprint("new", n))
				}
				w.hosts[0].stop()
				w.put("shop", "healthy0")
				w.relaying("second", Options{})
				arrives("after a restart", 5*time.Second, "healthy1", "healthy3")
			})
		})
	}
}

// TestRun_manyBehindAKeyThatFails has a key fail slowly that has very many messages. Others do not wait for it.
func TestRun_manyBehindAKeyThatFails(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.receiver.answers(poisonous(func(ctx context.Context) error {
			return errors.Join(wait(ctx, 10*time.Second), errDown)
		}))
		w.put("shop", slices.Repeat([]string{"k"}, 500)...)
		w.relaying("host", Options{Window: 10})
		pass(10 * time.Minute)
		for range 100 {
			w.put("shop", "healthy")
			took := w.until("it is sent", func() bool { return w.status("shop").Pending == 500 })
			if took > time.Second {
				w.Errorf("a message of another key took %s", took)
			}
			pass(time.Second)
		}
		w.receiver.answers(nil)
		w.until("its time comes", func() bool { return w.status("shop").Pending < 500 })
		if took := w.sent("shop"); took > time.Second {
			w.Errorf("what was behind it took %s", took)
		}
		w.complete()
	})
}

// slowReads is an outbox whose reads take their time.
type slowReads struct {
	store.Outbox
	reads atomic.Int64
}

func (s *slowReads) Pending(ctx context.Context, projection string, n, bytes int) ([]store.OutboxMessage, error) {
	s.reads.Add(1)
	if err := wait(ctx, 200*time.Millisecond); err != nil {
		return nil, err
	}
	return s.Outbox.Pending(ctx, projection, n, bytes)
}

// TestRun_readsThatTakeLong are rare: such a read passes very many messages that wait.
func TestRun_readsThatTakeLong(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		slow := &slowReads{Outbox: w.store}
		w.putter("shop")
		sinks := Sinks{Default: w.receiver.sink("host", "the receiver", 8)}
		w.hostOn(slow, "host", sinks, Options{}, func() bool { return false }).run()
		pass(time.Minute)
		if n := slow.reads.Load(); n < 10 || n > 20 {
			w.Errorf("there are %d reads a minute while nothing is put in", n)
		}
		before := slow.reads.Load()
		for range 600 {
			w.put("shop", "k")
			pass(100 * time.Millisecond)
		}
		if n := slow.reads.Load() - before; n < 60 || n > 160 {
			w.Errorf("there are %d reads a minute while messages are put in", n)
		}
		w.sent("shop")
		w.complete()
	})
}
