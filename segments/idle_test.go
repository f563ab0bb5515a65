package segments_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// calls counts what a worker asks a store.
type calls struct {
	store.Store
	polls, heartbeats, workers, statuses, others atomic.Int64
}

func (c *calls) Horizon(ctx context.Context) (store.Horizon, error) {
	c.polls.Add(1)
	return c.Store.Horizon(ctx)
}

func (c *calls) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	c.heartbeats.Add(1)
	return c.Store.Heartbeat(ctx, worker, ttl)
}

func (c *calls) Workers(ctx context.Context) ([]store.Worker, error) {
	c.workers.Add(1)
	return c.Store.Workers(ctx)
}

func (c *calls) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	c.statuses.Add(1)
	return c.Store.Status(ctx, only...)
}

func (c *calls) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	c.others.Add(1)
	return c.Store.Read(ctx, request, page)
}

func (c *calls) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	c.others.Add(1)
	return c.Store.Claim(ctx, request)
}

func (c *calls) Reshard(ctx context.Context, projection store.ProjectionID, change func(*store.Layout) error) error {
	c.others.Add(1)
	return c.Store.Reshard(ctx, projection, change)
}

// TestInvariant8_idleCostsTheSameHoweverManySegments counts an idle worker's questions: with all intervals the
// same, for each poll of the horizon there is one heartbeat, one poll of the workers and one of the layouts,
// and nothing else.
func TestInvariant8_idleCostsTheSameHoweverManySegments(t *testing.T) {
	t.Parallel()
	const interval = 50 * time.Millisecond
	s := &calls{Store: openPostgres(t, pgtest.New(t))}
	runtime := newRuntime(t, zerolog.Nop())
	startWorker(t, s, segments.Options{
		Segments: 40, Lease: time.Minute, Heartbeat: interval, Rebalance: interval, Poll: interval, PollMax: interval,
	}, loadExample(t, runtime, "fine_balance"), loadExample(t, runtime, "activity_log"))
	head := appendTo(t, s.Store, finesOf(50)...)
	for _, projection := range []string{"fine_balance", "activity_log"} {
		applied(t, s.Store, projection, head)
	}
	testwait.Until(t, "nothing happens any more", func() bool {
		before := s.others.Load()
		polls := s.polls.Load()
		testwait.Until(t, "two polls", func() bool { return s.polls.Load() >= polls+2 })
		return s.others.Load() == before
	})
	counts := func() [5]int64 {
		return [5]int64{s.polls.Load(), s.heartbeats.Load(), s.workers.Load(), s.statuses.Load(), s.others.Load()}
	}
	before := counts()
	testwait.Until(t, "twenty polls", func() bool { return s.polls.Load() >= before[0]+20 })
	after := counts()
	for i, name := range []string{"", "heartbeats", "polls of workers", "polls of layouts"} {
		// The four tick apart from each other; a busy machine may let one of them run ahead.
		if n := after[i] - before[i]; name != "" && n > 2*(after[0]-before[0]) {
			t.Errorf("%d %s for %d polls of the horizon", n, name, after[0]-before[0])
		}
	}
	if n := after[4] - before[4]; n != 0 {
		t.Errorf("%d reads and claims while nothing happens", n)
	}
}
