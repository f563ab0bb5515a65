package segments_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// forgetful is a store that loses every release.
type forgetful struct {
	store.Store

	lost atomic.Int64
	heal int64 // after so many, releases arrive
}

func (f *forgetful) Release(ctx context.Context, claim store.Claim) error {
	if f.lost.Add(1) <= f.heal {
		return fmt.Errorf("%w: the connection is gone", store.ErrTransient)
	}
	return f.Store.Release(ctx, claim)
}

// TestWorker_aLostReleaseKeepsNoSegmentFromOthers has a worker give up half of its segments to a new one, and lose the releases.
func TestWorker_aLostReleaseKeepsNoSegmentFromOthers(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	runtime := newRuntime(t, zerolog.Nop())
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	work := func(name string, on store.Store) {
		worker, err := segments.New(on, segments.Options{Name: name, Segments: 4, Rebalance: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		worker.Set(loadExample(t, runtime, "fine_balance"))
		running.Go(func() { _ = worker.Run(ctx) })
	}
	owned := func(want map[string]int) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(20 * time.Second)
		for {
			status, err := s.Status(t.Context(), "fine_balance")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for i := range status {
				for _, segment := range status[i].Segments {
					got[segment.Owner]++
				}
			}
			if fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("segments are owned %v, must be %v", got, want)
			}
		}
	}
	work("first", &forgetful{Store: s, heal: 2})
	owned(map[string]int{"first": 4})
	work("second", s)
	owned(map[string]int{"first": 2, "second": 2})
}
