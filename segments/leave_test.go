package segments_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// unsteady is a store whose connections break.
type unsteady struct {
	store.Store

	leaves int             // so many farewells fail
	beats  int             // heartbeats so far
	inside chan struct{}   // closed when the second heartbeat begins
	cut    <-chan struct{} // which waits for this
}

func (u *unsteady) Leave(ctx context.Context, worker store.Worker) error {
	if u.leaves--; u.leaves >= 0 {
		return fmt.Errorf("%w: the connection is gone", store.ErrTransient)
	}
	return u.Store.Leave(ctx, worker)
}

func (u *unsteady) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	if u.beats++; u.beats == 2 {
		close(u.inside)
		<-u.cut
		if ctx.Err() != nil { // the server does not learn of it in time
			time.AfterFunc(50*time.Millisecond, func() { _ = u.Store.Heartbeat(context.WithoutCancel(ctx), worker, ttl) })
			return ctx.Err()
		}
	}
	return u.Store.Heartbeat(ctx, worker, ttl)
}

// TestWorker_nothingIsLeftOfOneThatWasStopped stops a worker in the middle of a heartbeat, and has its leave call
// fail twice.
func TestWorker_nothingIsLeftOfOneThatWasStopped(t *testing.T) {
	t.Parallel()
	inner := openPostgres(t, pgtest.New(t))
	ctx, stop := context.WithCancel(t.Context())
	s := &unsteady{Store: inner, leaves: 2, inside: make(chan struct{}), cut: ctx.Done()}
	worker, err := segments.New(s, s, segments.Options{PollOnly: true, Heartbeat: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	<-s.inside
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 10 { // also for a while after
		workers, err := inner.Workers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(workers) > 0 {
			t.Fatalf("still there: %v", workers)
		}
		<-tick.C
	}
}
