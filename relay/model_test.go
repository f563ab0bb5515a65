package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// TestModel has hosts relay two projections for some minutes in which everything happens: a receiver that fails, hangs,
// refuses and loses answers, a database that is slow and fails before and after it has done what it was asked for, hosts
// that stand still until others have their lease, somebody who skips messages, and many keys of which hardly a message is
// taken. The receiver checks every send: at most one of a key is on its way, none before those before it have arrived, and
// none without the lease. In the end each message has arrived, soon.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			in(t, func(w *world) { (&chaos{world: w, random: rand.New(rand.NewPCG(seed, 1)), on: true}).run() })
		})
	}
}

// chaos is what happens.
type chaos struct {
	*world
	random *rand.Rand
	on     bool // the receiver's lock is that of what changes here
	down   bool // the receiver
}

// chance reports true in so many cases of a hundred, while there is chaos.
func (c *chaos) chance(percent int) bool {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	return c.on && c.random.IntN(100) < percent
}

// below is a random number.
func (c *chaos) below(n int64) int64 {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	return c.random.Int64N(n)
}

// upTo is a random time.
func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.below(int64(d))) }

// isDown reports that the receiver is away.
func (c *chaos) isDown() bool {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	return c.on && c.down
}

// set says what happens.
func (c *chaos) set(on, down bool) {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	c.on, c.down = on, down
}

func (c *chaos) run() {
	c.receiver.answers(c.answer)
	for n := range 3 {
		name := fmt.Sprint("host", n)
		sinks := Sinks{Default: c.receiver.sink(name, "the receiver", 3)}
		options := Options{
			Window: 10, Poll: 500 * time.Millisecond, RetryMax: 20 * time.Second, Keep: time.Duration(n) * time.Second,
		}
		until := time.Time{}
		c.hostOn(&flaky{Outbox: c.store, chaos: c}, name, sinks, options, func() bool {
			if c.chance(3) {
				until = clock.Now().Add(c.upTo(3 * hostTTL))
			}
			return clock.Now().Before(until)
		}).run()
	}
	c.happen()
	c.set(false, false)
	pass(time.Minute) // what was refused by then is noted
	_, err := c.store.Resend(c.Context(), store.MessagesRequest{})
	c.must(err)
	if took := c.sent("shop") + c.sent("mail"); took > 5*time.Minute {
		c.Errorf("what was left took %s", took)
	}
	c.complete()
}

// happen puts messages for some minutes, and does what people do.
func (c *chaos) happen() {
	c.putter("shop")
	c.putter("mail")
	for range 100 {
		pass(c.upTo(3 * time.Second))
		var some []string
		for range 1 + c.below(6) {
			some = append(some, c.key())
		}
		projection := []string{"shop", "mail"}[c.below(2)]
		c.put(projection, some...)
		if c.chance(3) {
			c.set(true, !c.isDown())
		}
		if c.chance(10) {
			c.skip(projection, some[0])
		}
	}
}

// key is one of some keys, or of more that fail.
func (c *chaos) key() string {
	if c.below(3) == 0 {
		return fmt.Sprint("bad", c.below(40))
	}
	return fmt.Sprint("k", c.below(8))
}

// skip skips the first message of a key that is to be sent, if there is one. What comes behind it may come.
func (c *chaos) skip(projection, key string) {
	c.Helper()
	pending, err := c.store.Messages(c.Context(), store.MessagesRequest{Projection: projection, Key: []byte(key), Limit: 1})
	c.must(err)
	if len(pending) == 0 {
		return
	}
	c.receiver.pretend(pending[0].ID())
	var gone *store.InputError
	if err := c.store.SkipMessage(c.Context(), pending[0].MessageID); err != nil && !errors.As(err, &gone) {
		c.Fatal(err)
	}
}

// answer is what becomes of a send.
func (c *chaos) answer(ctx context.Context, m *store.OutboxMessage) error {
	if err := wait(ctx, c.upTo(50*time.Millisecond)); err != nil {
		return err
	}
	switch {
	case c.isDown(), strings.HasPrefix(string(m.Key), "bad") && c.chance(97):
		return errDown
	case c.chance(5):
		return errDown
	case c.chance(5):
		return errLate
	case c.chance(5):
		return &RefusedError{Err: errors.New("refused")}
	case c.chance(5):
		return &LaterError{After: c.upTo(20 * time.Second), Err: errors.New("later")}
	case c.chance(5):
		return wait(ctx, c.upTo(20*time.Second))
	case c.chance(2):
		return hangs(ctx)
	case c.chance(2):
		return errors.Join(hangs(ctx), errLate)
	}
	return nil
}

// flaky is an outbox that is slow, and fails before or after it has done something.
type flaky struct {
	store.Outbox
	chaos *chaos
}

// call calls the outbox.
func (f *flaky) call(ctx context.Context, call func() error) error {
	c := f.chaos
	slow := func() error {
		if !c.chance(20) {
			return nil
		}
		return wait(ctx, c.upTo(4*time.Second))
	}
	fails := func() error {
		if err := slow(); err != nil {
			return err
		}
		if c.chance(4) {
			return fmt.Errorf("%w: the connection is lost", store.ErrTransient)
		}
		return nil
	}
	if err := fails(); err != nil {
		return err
	}
	if err := call(); err != nil {
		return err
	}
	return fails()
}

func (f *flaky) ClaimRelays(
	ctx context.Context, worker store.Worker, projections []string, target string,
) (own []string, err error) {
	err = f.call(ctx, func() error {
		own, err = f.Outbox.ClaimRelays(ctx, worker, projections, target)
		return err
	})
	return own, err
}

func (f *flaky) Pending(ctx context.Context, projection string, n, bytes int) (all []store.OutboxMessage, err error) {
	err = f.call(ctx, func() error {
		all, err = f.Outbox.Pending(ctx, projection, n, bytes)
		return err
	})
	return all, err
}

func (f *flaky) Sent(ctx context.Context, messages []store.OutboxID, keep bool) error {
	return f.call(ctx, func() error { return f.Outbox.Sent(ctx, messages, keep) })
}

func (f *flaky) Undelivered(ctx context.Context, failures []store.Undelivered) error {
	return f.call(ctx, func() error { return f.Outbox.Undelivered(ctx, failures) })
}

func (f *flaky) ReleaseRelays(ctx context.Context, worker store.Worker, projections []string) error {
	return f.call(ctx, func() error { return f.Outbox.ReleaseRelays(ctx, worker, projections) })
}
