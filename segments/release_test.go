package segments_test

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
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

// TestWorker_aLostReleaseKeepsNoSegmentFromOthers has a worker give up half of its segments to a new one, and
// lose the releases.
func TestWorker_aLostReleaseKeepsNoSegmentFromOthers(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	runtime := newRuntime(t, zerolog.Nop())
	work := func(name string, on store.Store) {
		options := quick()
		options.Name = name
		startWorker(t, on, options, loadExample(t, runtime, "fine_balance"))
	}
	owned := func(want map[string]int) {
		t.Helper()
		testwait.Until(t, fmt.Sprintf("segments are owned %v", want), func() bool {
			got := map[string]int{}
			all, err := s.Status(t.Context(), "fine_balance")
			if err != nil || len(all) == 0 {
				return false
			}
			for _, segment := range all[0].Segments {
				got[segment.Owner]++
			}
			return maps.Equal(got, want)
		})
	}
	work("first", &forgetful{Store: s, heal: 2})
	owned(map[string]int{"first": 4})
	work("second", s)
	owned(map[string]int{"first": 2, "second": 2})
}

// TestWorker_aRemovedProjectionIsGivenBack has the releases of a removed projection be lost.
func TestWorker_aRemovedProjectionIsGivenBack(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	worker := startWorker(t, &forgetful{Store: s, heal: 4}, quick(),
		loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(5)...))
	worker.Remove(store.ProjectionID{Name: "fine_balance", Version: 1})
	testwait.Until(t, "no segment is owned", func() bool {
		for _, segment := range statusOf(t, s, "fine_balance").Segments {
			if segment.Owner != "" {
				return false
			}
		}
		return true
	})
	worker.runs(t)
}

// TestWorker_aRestartUnderTheSameNameFreesWhatItNoLongerRuns has a worker be killed and started again, by the
// same name, without the module whose segments it owned.
func TestWorker_aRestartUnderTheSameNameFreesWhatItNoLongerRuns(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	runtime := newRuntime(t, zerolog.Nop())
	module := loadExample(t, runtime, "fine_balance")
	if _, err := s.Install(t.Context(), &module.Description.Projection, 4); err != nil {
		t.Fatal(err)
	}
	if err := s.Heartbeat(t.Context(),
		store.Worker{Name: "host-0", Projections: []store.Membership{{ProjectionID: module.Description.ID()}}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if claims, err := s.Claim(t.Context(),
		store.ClaimRequest{
			Projection: store.ProjectionID{Name: "fine_balance", Version: 1}, Worker: "host-0",
			Limit: 4,
		}); err != nil || len(claims) != 4 {
		t.Fatalf("claims %v, error %v", claims, err)
	}
	options := quick()
	options.Name = "host-0"
	startWorker(t, s, options, loadExample(t, runtime, "activity_log"))
	startWorker(t, s, quick(), module)
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
}
