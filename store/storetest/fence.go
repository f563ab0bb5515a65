package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var fenceCases = []testCase{
	{"a_claim_that_does_not_hold_writes_nothing", fenceStale},
	{"a_query_does_not_help_a_stale_claim", fenceAfterQuery},
	{"a_released_claim_is_fenced", fenceReleased},
	{"invariant_3_no_event_is_applied_twice", fenceRace},
	{"invariant_4_order", fenceOrder},
}

// wantFenced commits with a claim that must not pass.
func (r *runner) wantFenced(name string, claim store.Claim) {
	r.Helper()
	before, position := r.table(), r.position()
	err := r.commitAs(claim, put("a", 1000))
	if !errors.Is(err, store.ErrFenced) {
		r.Errorf("%s: %v, want ErrFenced", name, err)
	}
	if got := r.table(); got != before || r.position() != position {
		r.Errorf("%s: the table is %q at %d, was %q at %d", name, got, r.position(), before, position)
	}
}

func fenceStale(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	changes := map[string]func(c *store.Claim){
		"an older epoch":       func(c *store.Claim) { c.Epoch-- },
		"a later epoch":        func(c *store.Claim) { c.Epoch++ },
		"another worker":       func(c *store.Claim) { c.Worker = "worker-2" },
		"an earlier position":  func(c *store.Claim) { c.Position-- },
		"a later position":     func(c *store.Claim) { c.Position++ },
		"another segment":      func(c *store.Claim) { c.Segment = 7 },
		"an unknown projetion": func(c *store.Claim) { c.Projection.Name = "unknown" },
		"another version":      func(c *store.Claim) { c.Projection.Version++ },
	}
	for name, change := range changes {
		claim := r.claim
		change(&claim)
		r.wantFenced(name, claim)
	}
	stale := r.claim
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	r.wantFenced("the same batch again", stale)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	if got := r.table(); got != "a 3; b 2; c 3" {
		f.Errorf("the table is %q", got)
	}
}

func fenceAfterQuery(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	stale := r.claim
	tx := r.catalogue.Begin(stale)
	var rows store.Rows
	f.must(tx.Query(f.ctx, 0, nil, &rows))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	err := tx.Commit(f.ctx, store.Commit{
		Through: stale.Position + 1,
		Steps: r.folder.Fold([]store.Mutation{mutate(totalsPut, store.Text("a"),
			store.I64(1000))}), Log: stale.Applied.Log,
	})
	tx.Rollback()
	if !errors.Is(err, store.ErrFenced) || r.table() != "a 2; b 2; c 3" {
		f.Errorf("%v; the table is %q", err, r.table())
	}
}

func fenceReleased(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	f.must(f.store.Release(f.ctx, r.claim))
	r.wantFenced("released", r.claim)
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "worker-2"}, time.Hour))
	claims, err := f.store.Claim(f.ctx, store.ClaimRequest{Projection: sumsID, Worker: "worker-2", Limit: 1})
	f.must(err)
	if len(claims) != 1 || claims[0].Position != f.at(1) || claims[0].Epoch <= r.claim.Epoch {
		f.Fatalf("the next claim is %+v", claims)
	}
	r.wantFenced("taken over", r.claim)
	r.claim = claims[0]
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

// fenceRace lets many workers commit the same batches with the same claim: each batch may count once.
func fenceRace(f *fixture) {
	r := f.running(totals("sums"))
	hosts := f.hosts(6)
	catalogues := make([]store.Catalogue, len(hosts))
	for i, host := range hosts {
		catalogue, err := host.Install(f.ctx, totals("sums"), 1)
		f.must(err)
		catalogues[i] = catalogue
	}
	for round := range 15 {
		var winners atomic.Int64
		for _, err := range concurrently(hosts, func(i int, _ store.Store) error {
			tx := catalogues[i].Begin(r.claim)
			defer tx.Rollback()
			err := tx.Commit(f.ctx, store.Commit{
				Through: r.claim.Position + 1, Steps: r.plan(put("a", 1)),
				Log: r.claim.Applied.Log,
			})
			if err == nil {
				winners.Add(1)
			}
			return err
		}) {
			if err != nil && !errors.Is(err, store.ErrFenced) {
				f.Error(err)
			}
		}
		r.claim.Position++
		if winners.Load() != 1 || r.table() != fmt.Sprint("a ", round+1) || r.position() != r.claim.Position {
			f.Fatalf("round %d: %d commits went through, the table is %q at %d", round, winners.Load(), r.table(),
				r.position())
		}
	}
}

// fenceOrder checks that whatever the pages, ranges and subscriptions, the events of a stream are read in the
// order of versions.
func fenceOrder(f *fixture) {
	const writers, each, streams = 6, 40, 5
	for _, err := range concurrently(f.hosts(writers), func(w int, host store.Store) error {
		for i := range each {
			if _, err := host.Append(f.ctx, store.AppendOptions{},
				store.StreamAppend{Stream: stream(fmt.Sprint("s", (i+w)%streams)), Events: events(1 + i%3)},
				store.StreamAppend{Stream: stream(fmt.Sprint("s", (i+w+1)%streams)), Events: events(1)}); err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	for _, n := range []int{1, 3} {
		for _, limit := range []int{1, 7, 1000} {
			last := map[store.Stream]int64{}
			for _, share := range store.SplitRange(n) {
				got, _ := f.follow(store.ReadRequest{
					Through: f.head(), Limit: limit, Range: share,
					Columns: store.AllColumns,
				})
				for i := range got {
					if got[i].AggregateVersion != last[got[i].Stream]+1 {
						f.Fatalf("%d ranges, pages of %d: %s: version %d follows %d", n, limit, got[i].Stream,
							got[i].AggregateVersion, last[got[i].Stream])
					}
					last[got[i].Stream]++
				}
			}
			if len(last) != streams {
				f.Errorf("%d ranges, pages of %d: %d streams, want %d", n, limit, len(last), streams)
			}
		}
	}
}
