package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var leaseNameCases = []testCase{
	{"a_name_belongs_to_the_process_that_joined_last", nameTaken},
	{"a_process_that_is_superseded_releases_nothing", nameLeave},
	{"the_name_of_a_process_that_is_gone_is_free", nameExpired},
	{"a_worker_says_what_it_cannot_run", nameRefusals},
	{"a_clock_that_is_set_back_ends_the_leases_of_its_future", clockSetBack},
	{"a_clock_that_is_set_back_a_little_ends_no_lease", clockCorrected},
	{"how_long_a_segment_is_behind", behindSince},
}

func twins() (older, newer store.Worker) {
	return store.Worker{Name: "w1", Incarnation: "older"}, store.Worker{Name: "w1", Incarnation: "newer"}
}

func (f *fixture) claimsAs(worker store.Worker, limit int) []store.Claim {
	f.Helper()
	claims, err := f.store.Claim(f.ctx, store.ClaimRequest{
		Projection: sumsID, Worker: worker.Name, Incarnation: worker.Incarnation, Limit: limit,
	})
	f.must(err)
	return claims
}

func (f *fixture) wantNameTaken(err error) {
	f.Helper()
	if !errors.Is(err, store.ErrNameTaken) {
		f.Errorf("got %v, want %v", err, store.ErrNameTaken)
	}
}

func nameTaken(f *fixture) {
	f.installed(3)
	older, newer := twins()
	f.must(f.store.Join(f.ctx, older, time.Hour))
	f.must(f.store.Heartbeat(f.ctx, older, time.Hour))
	f.wantSegments(f.claimsAs(older, 2), 0, 1)
	f.wantSegments(f.claimsAs(newer, 2)) // it has not joined
	f.must(f.store.Join(f.ctx, newer, time.Hour))
	for _, s := range f.status("sums").Segments {
		if s.Owner != "" {
			f.Errorf("after a process joined, segment %d is still owned: %+v", s.Segment, s)
		}
	}
	f.wantSegments(f.claimsAs(newer, 1), 0)
	f.wantSegments(f.claimsAs(older, 3))
	f.wantNameTaken(f.store.Heartbeat(f.ctx, older, time.Hour))
	f.must(f.store.Heartbeat(f.ctx, newer, time.Hour))
	workers, err := f.store.Workers(f.ctx)
	f.must(err)
	if len(workers) != 1 || workers[0].Incarnation != newer.Incarnation {
		f.Errorf("workers are %+v", workers)
	}
}

func nameLeave(f *fixture) {
	f.installed(2)
	older, newer := twins()
	f.must(f.store.Join(f.ctx, older, time.Hour))
	f.must(f.store.Join(f.ctx, newer, time.Hour))
	f.wantSegments(f.claimsAs(newer, 2), 0, 1)
	f.must(f.store.Leave(f.ctx, older))
	for _, s := range f.status("sums").Segments {
		if s.Owner != newer.Name || !s.Live {
			f.Errorf("segment %d was taken from the process that has the name: %+v", s.Segment, s)
		}
	}
	f.must(f.store.Leave(f.ctx, newer))
	f.must(f.store.Heartbeat(f.ctx, older, time.Hour)) // nobody has the name
	f.wantSegments(f.claimsAs(older, 2), 0, 1)
}

func nameExpired(f *fixture) {
	f.installed(1)
	older, newer := twins()
	f.must(f.store.Join(f.ctx, older, time.Hour))
	f.must(f.store.Join(f.ctx, newer, time.Millisecond))
	f.await("the lease runs out", func() bool {
		workers, err := f.store.Workers(f.ctx)
		f.must(err)
		return len(workers) == 0
	})
	f.must(f.store.Heartbeat(f.ctx, older, time.Hour))
	f.wantNameTaken(f.store.Heartbeat(f.ctx, newer, time.Hour))
}

func nameRefusals(f *fixture) {
	w := store.Worker{Name: "w1", Projections: []store.Membership{
		{ProjectionID: store.ProjectionID{Name: "ants", Version: 1}},
	}, Refused: []store.Refusal{
		{Projection: store.ProjectionID{Name: "sums", Version: 2}, Reason: "module sums.wasm: \"it\" does not fit\nat all"},
		{Projection: store.ProjectionID{Name: "zebras", Version: 1}, Reason: "no"},
	}}
	troubles := []store.Trouble{{Projection: w.Projections[0].ProjectionID, Segment: 3, Reason: "the disk is \"full\""}}
	for _, refused := range [][]store.Refusal{w.Refused, nil, w.Refused[1:]} {
		w.Refused, w.Troubles = refused, troubles[:len(refused)%2]
		f.must(f.store.Heartbeat(f.ctx, w, time.Hour))
		workers, err := f.store.Workers(f.ctx)
		f.must(err)
		if len(workers) != 1 || !slices.Equal(workers[0].Refused, refused) || !slices.Equal(workers[0].Troubles, w.Troubles) {
			f.Errorf("workers are %+v, want %+v", workers, w)
		}
	}
	w.Refused, w.Troubles = w.Refused[:1], troubles
	f.must(f.store.Join(f.ctx, w, time.Hour))
	workers, err := f.store.Workers(f.ctx)
	f.must(err)
	if len(workers) != 1 || !slices.Equal(workers[0].Refused, w.Refused) || !slices.Equal(workers[0].Troubles, troubles) {
		f.Errorf("after Join workers are %+v", workers)
	}
}

// clockSetBack has the owner of segments die, and the server's clock set back by an hour: what the dead one had is
// free at once, and not after that hour.
func clockSetBack(f *fixture) {
	set := f.Clock(f, f.store)
	set(2 * time.Hour)
	f.installed(2)
	const ttl = 10 * time.Second
	dead, other := store.Worker{Name: "dead"}, store.Worker{Name: "other"}
	f.must(f.store.Heartbeat(f.ctx, dead, ttl))
	f.wantSegments(f.claims(f.store, "sums", "dead", 2), 0, 1)
	set(time.Hour)
	if s := f.status("sums").Segments[0]; s.Owner != "dead" || s.Live {
		f.Errorf("the segment of the dead worker is %+v", s)
	}
	f.must(f.store.Heartbeat(f.ctx, other, ttl))
	f.wantSegments(f.claims(f.store, "sums", "other", 2), 0, 1)
	workers, err := f.store.Workers(f.ctx)
	f.must(err)
	if len(workers) != 1 || workers[0].Name != "other" {
		f.Errorf("workers are %+v", workers)
	}
	// What it had said of itself does not come back when that hour has passed.
	set(2*time.Hour + time.Second)
	f.must(f.store.Heartbeat(f.ctx, other, ttl))
	workers, err = f.store.Workers(f.ctx)
	f.must(err)
	if len(workers) != 1 || workers[0].Name != "other" {
		f.Errorf("an hour later workers are %+v", workers)
	}
}

// clockCorrected has a time server set the clock back by less than a lease: a live worker keeps what it has.
func clockCorrected(f *fixture) {
	set := f.Clock(f, f.store)
	set(time.Hour)
	f.installed(1)
	const ttl = 10 * time.Second
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, ttl))
	f.wantSegments(f.claims(f.store, "sums", "w1", 1), 0)
	set(time.Hour - ttl/2)
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w2"}, ttl))
	f.wantSegments(f.claims(f.store, "sums", "w2", 1))
	set(time.Hour + ttl)
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w2"}, ttl))
	f.wantSegments(f.claims(f.store, "sums", "w2", 1), 0)
}

func behindSince(f *fixture) {
	r := f.claimed(f.store, totals("sums"), worker)
	f.handOut(f.at(5))
	since := func() time.Time { return f.status("sums").Segments[0].BehindSince }
	if at := since(); !at.IsZero() {
		f.Errorf("before the first commit it is %s", at)
	}
	through := func(position int64) {
		f.Helper()
		tx := r.catalogue.Begin(r.claim)
		defer tx.Rollback()
		f.must(tx.Commit(f.ctx, store.Commit{Through: position, Log: r.claim.Applied.Log}))
		r.claim.Position = position
	}
	through(r.claim.Position + 1)
	first := since()
	if time.Since(first).Abs() > time.Minute {
		f.Fatalf("after a commit that does not reach the end it is %s", first)
	}
	through(r.claim.Position + 1)
	if again := since(); !again.Equal(first) {
		f.Errorf("the next commit moves it from %s to %s", first, again)
	}
	horizon, err := f.store.Horizon(f.ctx)
	f.must(err)
	through(horizon.Head)
	if at := since(); !at.IsZero() {
		f.Errorf("at the end of the log it is %s", at)
	}
}
