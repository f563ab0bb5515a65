package segments_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// TestInvariant4_streamsArriveInOrderAcrossHandOver has two workers take segments from each other, by leases
// that run out and by graceful ends, while writers append. A projection records every version that does not
// follow its predecessor.
func TestInvariant4_streamsArriveInOrderAcrossHandOver(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())

	appending, stopAppending := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var appended [4]int64
	for w := range appended {
		writers.Go(func() {
			for n := 0; appending.Err() == nil; n++ {
				stream := store.Stream{
					BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprintf("s%d", n%7),
				}
				events := make([]store.Event, 1+n%3)
				for i := range events {
					events[i].Type = "Noted"
				}
				if _, err := s.Append(context.WithoutCancel(appending), store.AppendOptions{},
					store.StreamAppend{Stream: stream, Events: events}); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				appended[w] += int64(len(events))
			}
		})
	}

	// Workers come and go; some are cut off from their lease by one that is shorter than their heartbeat.
	random := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(150+random.IntN(250))*time.Millisecond)
		var workers sync.WaitGroup
		for range 2 {
			worker, err := segments.New(s, s, segments.Options{
				Segments: 3, BatchEvents: 1 + random.IntN(40), Lease: 100 * time.Millisecond, Rebalance: 10 * time.Millisecond, Poll: time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			worker.Set(loadTest(t, runtime, "order_check"))
			workers.Go(func() { _ = worker.Run(ctx) })
		}
		workers.Wait()
		stop()
	}
	stopAppending()
	writers.Wait()

	worker, err := segments.New(s, s, segments.Options{Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, runtime, "order_check"))
	if err := worker.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "order_check.breaks"); n != 0 {
		t.Errorf("%d events came out of order", n)
	}
	var seen, total int64
	if err := db.Connect(t).QueryRow(t.Context(),
		"SELECT sum(version)::bigint FROM order_check.streams").Scan(&seen); err != nil {
		t.Fatal(err)
	}
	for _, n := range appended {
		total += n
	}
	if seen != total {
		t.Errorf("the streams end at versions that sum up to %d, appended were %d", seen, total)
	}
	t.Logf("%d events", total)
}
