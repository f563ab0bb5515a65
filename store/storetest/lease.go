package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var leaseCases = []testCase{
	{"claim_gives_free_segments", leaseClaim},
	{"a_worker_without_a_lease_gets_nothing", leaseNeeded},
	{"held_segments_are_left_alone", leaseHeld},
	{"claiming_again_fences_the_older_claim", leaseAgain},
	{"a_lease_that_ran_out_frees_its_segments", leaseExpiry},
	{"a_renewed_lease_keeps_its_segments", leaseRenewal},
	{"release", leaseRelease},
	{"leave", leaveCase},
	{"a_failed_segment_waits_for_install", leaseFail},
	{"another_version_gets_nothing", leaseVersion},
	{"segments_that_are_far_enough_are_left_alone", leaseBelow},
	{"two_workers_never_hold_one_segment", leaseRace},
}

// claims asks for up to limit segments of a projection in version 1.
func (f *fixture) claims(host store.Store, projection, worker string, limit int, held ...int) []store.Claim {
	f.Helper()
	claims, err := host.Claim(f.ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: projection, Version: 1}, Worker: worker, Limit: limit, Held: held,
	})
	f.must(err)
	return claims
}

func segmentsOf(claims []store.Claim) []int {
	segments := []int{}
	for _, c := range claims {
		segments = append(segments, c.Segment)
	}
	return segments
}

// wantSegments compares the segments of claims, in order.
func (f *fixture) wantSegments(claims []store.Claim, want ...int) {
	f.Helper()
	if got := segmentsOf(claims); !slices.Equal(got, want) {
		f.Errorf("claimed segments %v, want %v", got, want)
	}
}

// installed installs sums with n segments and gives workers a lease.
func (f *fixture) installed(n int, workers ...string) store.Catalogue {
	f.Helper()
	catalogue, err := f.store.Install(f.ctx, totals("sums"), n)
	f.must(err)
	for _, worker := range workers {
		f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour))
	}
	return catalogue
}

// expire lets a worker's lease run out.
func (f *fixture) expire(worker string) {
	f.Helper()
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Millisecond))
	f.await("the lease runs out", func() bool {
		for _, s := range f.status("sums").Segments {
			if s.Owner == worker && s.Live {
				return false
			}
		}
		return true
	})
}

func leaseClaim(f *fixture) {
	f.installed(4, "w1", "w2")
	first := f.claims(f.store, "sums", "w1", 3)
	f.wantSegments(first, 0, 1, 2)
	for i, c := range first {
		want := store.Claim{
			Projection: sumsID, Segment: i, Range: store.SplitRange(4)[i], Worker: "w1", Epoch: c.Epoch,
			Applied: store.Applied{Log: f.logID()},
		}
		if c != want || c.Epoch < 1 {
			f.Errorf("claim %d is %+v, want %+v", i, c, want)
		}
	}
	f.wantSegments(f.claims(f.store, "sums", "w2", 3), 3)
	f.wantSegments(f.claims(f.store, "sums", "w2", 3, 3))
	f.wantSegments(f.claims(f.store, "unknown", "w1", 3))
	f.wantSegments(f.claims(f.store, "sums", "w1", 0))
}

func leaseNeeded(f *fixture) {
	f.installed(1, "w1")
	f.wantSegments(f.claims(f.store, "sums", "stranger", 1))
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "late"}, time.Millisecond))
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "late"}))
	f.wantSegments(f.claims(f.store, "sums", "late", 1))
	f.wantSegments(f.claims(f.store, "sums", "w1", 1), 0)
}

func leaseHeld(f *fixture) {
	f.installed(3, "w1")
	f.wantSegments(f.claims(f.store, "sums", "w1", 1), 0)
	f.wantSegments(f.claims(f.store, "sums", "w1", 1, 0), 1)
	f.wantSegments(f.claims(f.store, "sums", "w1", 9, 0, 1), 2)
	f.wantSegments(f.claims(f.store, "sums", "w1", 9, 0, 1, 2))
}

func leaseAgain(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	older := r.claim
	again := f.claims(f.store, "sums", worker, 1)
	if len(again) != 1 || again[0].Epoch <= older.Epoch || again[0].Position != older.Position {
		f.Fatalf("after %+v the worker claims %+v", older, again)
	}
	r.wantFenced("the older claim", older)
	r.claim = again[0]
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

func leaseExpiry(f *fixture) {
	f.installed(2, "w2")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, time.Hour))
	first := f.claims(f.store, "sums", "w1", 2)
	f.wantSegments(first, 0, 1)
	f.wantSegments(f.claims(f.store, "sums", "w2", 2))
	f.expire("w1")
	second := f.claims(f.store, "sums", "w2", 1)
	f.wantSegments(second, 0)
	if second[0].Epoch <= first[0].Epoch || second[0].Worker != "w2" {
		f.Errorf("after %+v came %+v", first[0], second[0])
	}
	status := f.status("sums").Segments
	if status[0].Owner != "w2" || !status[0].Live || status[1].Owner != "w1" || status[1].Live {
		f.Errorf("status is %+v", status)
	}
	f.wantSegments(f.claims(f.store, "sums", "w1", 2)) // its lease is over
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, time.Hour))
	f.wantSegments(f.claims(f.store, "sums", "w1", 2), 1)
}

func leaseRenewal(f *fixture) {
	f.installed(1, "w1", "w2")
	f.wantSegments(f.claims(f.store, "sums", "w1", 1), 0)
	f.expire("w1")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, time.Hour))
	f.wantSegments(f.claims(f.store, "sums", "w2", 1))
}

func leaseRelease(f *fixture) {
	f.installed(2, "w1", "w2")
	claims := f.claims(f.store, "sums", "w1", 2)
	f.must(f.store.Release(f.ctx, claims[1]))
	f.must(f.store.Release(f.ctx, claims[1])) // no more than once, and no fault
	taken := f.claims(f.store, "sums", "w2", 2)
	f.wantSegments(taken, 1)
	f.must(f.store.Release(f.ctx, claims[1])) // it no longer holds
	if got := f.status("sums").Segments[1].Owner; got != "w2" {
		f.Errorf("a stale release took the segment from w2, the owner is %q", got)
	}
	again := f.claims(f.store, "sums", "w1", 2)
	f.must(f.store.Release(f.ctx, claims[0])) // of an older epoch by the same worker
	if got := f.status("sums").Segments[0].Owner; got != "w1" {
		f.Errorf("a release of an older claim freed %+v, the owner is %q", again, got)
	}
}

func leaveCase(f *fixture) {
	f.installed(3, "w1", "w2")
	f.claims(f.store, "sums", "w1", 2)
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "w1"}))
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "w1"}))
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "nobody"}))
	f.wantSegments(f.claims(f.store, "sums", "w1", 3))
	f.wantSegments(f.claims(f.store, "sums", "w2", 3), 0, 1, 2)
}

func leaseFail(f *fixture) {
	f.installed(2, "w1", "w2")
	claims := f.claims(f.store, "sums", "w1", 1)
	stale := claims[0]
	stale.Epoch--
	if err := f.store.Fail(f.ctx, stale, "not mine to tell"); !errors.Is(err, store.ErrFenced) {
		f.Errorf("failing a stale claim: %v, want ErrFenced", err)
	}
	if got := f.status("sums").Segments[0]; got.Failure != "" || got.Owner != "w1" {
		f.Errorf("a stale claim failed the segment: %+v", got)
	}
	f.must(f.store.Fail(f.ctx, claims[0], "event 7 is bad"))
	if got := f.status("sums").Segments[0]; got.Failure != "event 7 is bad" || got.Owner != "" || got.Live {
		f.Errorf("the failed segment is %+v", got)
	}
	f.wantSegments(f.claims(f.store, "sums", "w2", 2), 1)
	f.wantSegments(f.claims(f.store, "sums", "w1", 2))
	_, err := f.store.Install(f.ctx, totals("sums"), 2)
	f.must(err)
	if got := f.status("sums").Segments[0].Failure; got != "" {
		f.Errorf("after Install the failure is %q", got)
	}
	f.wantSegments(f.claims(f.store, "sums", "w1", 2), 0)
}

func leaseVersion(f *fixture) {
	f.installed(2, "w1")
	installed := totals("sums").Version
	for _, version := range []int{installed + 1, installed - 1, installed} {
		claims, err := f.store.Claim(f.ctx, store.ClaimRequest{
			Projection: store.ProjectionID{Name: "sums", Version: version}, Worker: "w1",
			Limit: 2,
		})
		f.must(err)
		if want := version == installed; (len(claims) == 2) != want || !want && len(claims) > 0 {
			f.Errorf("version %d gets %v, installed is %d", version, segmentsOf(claims), installed)
		}
	}
}

func leaseBelow(f *fixture) {
	r := f.runningOn(f.store, totals("sums"), worker) // with one segment
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	for below, want := range map[int64]int{r.claim.Position: 0, r.claim.Position + 1: 1, 1 << 60: 1} {
		claims, err := f.store.Claim(f.ctx, store.ClaimRequest{
			Projection: sumsID, Worker: worker, Limit: 9,
			Below: below,
		})
		f.must(err)
		got := 0
		for _, c := range claims {
			if c.Segment == r.claim.Segment {
				got++
			}
		}
		if got != want {
			f.Errorf("below %d the segment at %d is given %d times, want %d", below, r.claim.Position, got, want)
		}
	}
}

// leaseRace lets workers claim, commit, release and lose their leases at random, and counts what each commit adds: a
// second holder would let one of them add to a checkpoint that is not its own.
func leaseRace(f *fixture) {
	const workers, rounds, segments = 5, 30, 3
	f.installed(segments)
	f.handOut(workers * rounds)
	hosts := f.hosts(workers)
	commits := make([]int64, workers)
	for _, err := range concurrently(hosts, func(i int, host store.Store) error {
		worker := fmt.Sprint("w", i)
		catalogue, err := host.Install(f.ctx, totals("sums"), segments)
		if err != nil {
			return err
		}
		folder := store.NewFolder(totals("sums"))
		for round := range rounds {
			ttl := time.Hour
			if round%3 == 0 {
				ttl = time.Microsecond // others take over while this one thinks that it holds
			}
			if err := host.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour); err != nil {
				return err
			}
			claims, err := host.Claim(f.ctx, store.ClaimRequest{Projection: sumsID, Worker: worker, Limit: 1 + round%2})
			if err != nil {
				return err
			}
			if err := host.Heartbeat(f.ctx, store.Worker{Name: worker}, ttl); err != nil {
				return err
			}
			for _, claim := range claims {
				tx := catalogue.Begin(claim)
				key := store.Text(fmt.Sprint("segment ", claim.Segment))
				if tx.Commit(f.ctx, store.Commit{
					Through: claim.Position + 1,
					Steps: folder.Fold([]store.Mutation{mutate(totalsPut, key,
						store.I64(1))}), Log: claim.Applied.Log,
				}) == nil {
					commits[i]++
				}
				tx.Rollback()
				if round%2 == 0 {
					if err := host.Release(f.ctx, claim); err != nil {
						return err
					}
				}
			}
		}
		return host.Leave(f.ctx, store.Worker{Name: worker})
	}) {
		f.must(err)
	}
	var total, positions int64
	for _, n := range commits {
		total += n
	}
	for _, s := range f.status("sums").Segments {
		positions += s.Position
		if s.Owner != "" {
			f.Errorf("segment %d is still owned by %s", s.Segment, s.Owner)
		}
	}
	rows := f.Query(f, "SELECT sum(n) FROM "+f.Table("sums", "total"))
	if total == 0 || positions != total || rows[0][0] != fmt.Sprint(total) {
		f.Errorf("%d commits, checkpoints add up to %d, rows to %s", total, positions, rows[0][0])
	}
}
