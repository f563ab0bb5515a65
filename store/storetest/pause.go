package storetest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var pauseCases = []testCase{
	{"a_paused_projection_gives_no_segment", pauseClaims},
	{"claims_of_before_hold_until_they_are_released", pauseHolds},
	{"a_worker_that_is_gone_cannot_commit_any_more", pauseFences},
	{"pausing_and_resuming_twice_changes_nothing", pauseTwice},
	{"an_unknown_projection_cannot_be_paused", pauseUnknown},
	{"a_paused_projection_stays_so_when_it_is_installed_again", pauseInstall},
	{"a_reset_ends_the_pause", pauseReset},
	{"segments_of_a_paused_projection_are_divided", pauseLayout},
	{"no_claim_succeeds_once_the_pause_has_returned", pauseRace},
}

// setPaused pauses or resumes sums, and demands that this is a change or none.
func (f *fixture) setPaused(paused, change bool) {
	f.Helper()
	changed, err := f.store.SetPaused(f.ctx, "sums", paused)
	f.must(err)
	if changed != change {
		f.Errorf("paused %t: changed is %t, want %t", paused, changed, change)
	}
	if status := f.status("sums"); status.Paused() != paused {
		f.Errorf("paused %t: the status is %+v", paused, status)
	}
}

func pauseClaims(f *fixture) {
	f.installed(3, "w1", "w2")
	_, err := f.store.Install(f.ctx, totals("other"), 1)
	f.must(err)
	f.setPaused(true, true)
	if since := time.Since(f.status("sums").PausedAt); since.Abs() > time.Minute {
		f.Errorf("it is paused since %s", since)
	}
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	if status := f.status("other"); status.Paused() {
		f.Error("another projection is paused")
	}
	f.wantSegments(f.claims(f.store, "other", "w1", 9), 0)
	f.setPaused(false, true)
	f.wantSegments(f.claims(f.store, "sums", "w1", 2), 0, 1)
	f.wantSegments(f.claims(f.store, "sums", "w2", 9), 2)
}

func pauseHolds(f *fixture) {
	r := f.running(totals("sums"))
	f.setPaused(true, true)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	if s := f.status("sums").Segments[0]; s.Owner != worker || !s.Live {
		f.Errorf("the segment in its worker's hands is %+v", s)
	}
	f.wantSegments(f.claims(f.store, "sums", worker, 1)) // not even its own, which would fence the claim
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	f.must(f.store.Release(f.ctx, r.claim))
	f.wantSegments(f.claims(f.store, "sums", worker, 1))
	f.setPaused(false, true)
	r.claim = f.claims(f.store, "sums", worker, 1)[0]
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	if got := r.table(); got != "a 3" {
		f.Errorf("the rows are %q", got)
	}
}

// pauseFences has a worker come back whose lease has ended: what it had in hand is not committed.
func pauseFences(f *fixture) {
	r := f.running(totals("sums"))
	f.setPaused(true, true)
	f.expire(worker)
	f.setPaused(true, false)
	if s := f.status("sums").Segments[0]; s.Owner != "" {
		f.Errorf("the segment of a worker that is gone is %+v", s)
	}
	r.handOut(r.claim.Position + 1)
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	err := tx.Commit(f.ctx, store.Commit{Through: r.claim.Position + 1, Log: r.claim.Applied.Log})
	if !errors.Is(err, store.ErrFenced) {
		f.Errorf("its commit: %v, want ErrFenced", err)
	}
}

func pauseTwice(f *fixture) {
	f.installed(1)
	f.setPaused(false, false)
	f.setPaused(true, true)
	since := f.status("sums").PausedAt
	f.setPaused(true, false)
	if got := f.status("sums").PausedAt; !got.Equal(since) {
		f.Errorf("it is paused since %s, and was since %s", got, since)
	}
	f.setPaused(false, true)
	f.setPaused(false, false)
}

func pauseUnknown(f *fixture) {
	f.installed(1)
	for _, paused := range []bool{true, false} {
		var input *store.InputError
		if _, err := f.store.SetPaused(f.ctx, "none", paused); !errors.As(err, &input) ||
			!strings.Contains(err.Error(), "projection none is not known") {
			f.Errorf("paused %t: %v", paused, err)
		}
	}
	if status := f.status("sums"); status.Paused() {
		f.Error("another projection is paused")
	}
}

func pauseInstall(f *fixture) {
	f.installed(2, "w1")
	f.setPaused(true, true)
	since := f.status("sums").PausedAt
	_, err := f.store.Install(f.ctx, totals("sums"), 2)
	f.must(err)
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	later := totals("sums")
	later.Version = 2 // while no event is applied, it takes the place of the first
	_, err = f.store.Install(f.ctx, later, 2)
	f.must(err)
	claims, err := f.store.Claim(f.ctx, store.ClaimRequest{Projection: later.ID(), Worker: "w1", Limit: 9})
	f.must(err)
	f.wantSegments(claims)
	if got := f.status("sums"); got.Version != 2 || !got.PausedAt.Equal(since) {
		f.Errorf("the status is %+v, it was paused since %s", got, since)
	}
}

func pauseReset(f *fixture) {
	f.installed(2, "w1")
	f.wantSegments(f.claims(f.store, "sums", "w1", 1), 0)
	f.setPaused(true, true)
	if err := f.store.Reset(f.ctx, "sums"); err == nil {
		f.Error("it is reset while a worker has a segment")
	}
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "w1"}))
	f.must(f.store.Reset(f.ctx, "sums"))
	f.installed(2, "w1")
	f.setPaused(false, false)
	f.wantSegments(f.claims(f.store, "sums", "w1", 9), 0, 1)
}

func pauseLayout(f *fixture) {
	f.installed(2, "w1")
	f.setPaused(true, true)
	f.must(f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error { return l.Split(1, 2) }))
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	f.must(f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error { return l.Merge(0, 1) }))
	f.must(f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error { return l.Resize(4) }))
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	f.setPaused(false, true)
	if claims := f.claims(f.store, "sums", "w1", 9); len(claims) != 4 {
		f.Errorf("after the pause there are %d segments, want 4", len(claims))
	}
}

// pauseRace has workers claim and release all the time, with claims in flight when the projection is paused. A claim
// that succeeds after the pause has returned gives its segment another epoch.
func pauseRace(f *fixture) {
	const workers, rounds, segments = 3, 8, 4
	f.installed(segments)
	for round := range rounds {
		stop, paused := make(chan struct{}), make(chan map[int]int64, 1)
		go func() {
			defer close(stop)
			defer close(paused)
			if changed, err := f.store.SetPaused(f.ctx, "sums", true); err != nil || !changed {
				f.Errorf("round %d: changed is %t, %v", round, changed, err)
				return
			}
			paused <- epochsOf(f.status("sums"))
		}()
		for _, err := range concurrently(f.hosts(workers), func(i int, host store.Store) error {
			return claimUntil(f, host, fmt.Sprint("w", i), stop)
		}) {
			f.must(err)
		}
		if at, now := <-paused, epochsOf(f.status("sums")); !maps.Equal(at, now) {
			f.Errorf("round %d: the epochs were %v when it was paused, and are %v", round, at, now)
		}
		f.setPaused(false, true)
	}
}

// claimUntil claims and releases segments of sums until stop is closed, and a few times more.
func claimUntil(f *fixture, host store.Store, worker string, stop <-chan struct{}) error {
	if err := host.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour); err != nil {
		return err
	}
	for left := 3; left > 0; {
		select {
		case <-stop:
			left--
		default:
		}
		claims, err := host.Claim(f.ctx, store.ClaimRequest{Projection: sumsID, Worker: worker, Limit: 2})
		if err != nil {
			return err
		}
		for _, claim := range claims {
			if err := host.Release(f.ctx, claim); err != nil {
				return err
			}
		}
	}
	return host.Leave(f.ctx, store.Worker{Name: worker})
}

func epochsOf(status store.ProjectionStatus) map[int]int64 {
	epochs := map[int]int64{}
	for _, s := range status.Segments {
		epochs[s.Segment] = s.Epoch
	}
	return epochs
}
