package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
