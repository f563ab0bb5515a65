package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// layoutConcurrent counts in what was asked for, and splits the widest segment, at many hosts: nobody's change is lost.
func layoutConcurrent(f *fixture) {
	const hosts, rounds = 5, 6
	f.installed(1)
	for _, err := range concurrently(f.hosts(hosts), func(_ int, host store.Store) error {
		for range rounds {
			if err := host.Reshard(f.ctx, sumsID, func(l *store.Layout) error {
				l.Desired++
				widest := slices.MaxFunc(l.Segments, func(a,
					b store.LayoutSegment,
				) int {
					return cmp.Compare(a.Range.Share(), b.Range.Share())
				})
				return l.Split(widest.Segment, 2)
			}); err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	status := f.status("sums")
	if status.Desired != 1+hosts*rounds || len(status.Segments) != 1+hosts*rounds {
		f.Errorf("%d segments, %d asked for, want %d", len(status.Segments), status.Desired, 1+hosts*rounds)
	}
	f.must((&applied{}).agree(status.Segments))
}

// layoutRace lets workers claim and commit while others split, merge and settle, and replays the commits: every
// event has come to every place of the hash space once, in order.
func layoutRace(f *fixture) {
	const workers, rounds = 4, 60
	f.installed(2)
	f.handOut(f.at(2 * workers * rounds))
	type move struct {
		share         store.HashRange
		from, through int64
	}
	var mu sync.Mutex
	var moves []move
	// Where changes of the layout come between most claims and their commits, it takes more rounds.
	few := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(moves) < rounds
	}
	for _, err := range concurrently(f.hosts(workers), func(i int, host store.Store) error {
		name := fmt.Sprint("w", i)
		catalogue, err := host.Install(f.ctx, totals("sums"), 2)
		if err != nil {
			return err
		}
		if err := host.Heartbeat(f.ctx, store.Worker{Name: name}, time.Hour); err != nil {
			return err
		}
		for round := 0; round < rounds || round < 10*rounds && few(); round++ {
			if err := host.Reshard(f.ctx, sumsID, func(l *store.Layout) error {
				disturb(l, i+round)
				return nil
			}); err != nil {
				return err
			}
			claims, err := host.Claim(f.ctx, store.ClaimRequest{Projection: sumsID, Worker: name, Limit: 2})
			if err != nil {
				return err
			}
			for _, claim := range claims {
				through := claim.Position + 1 + int64(round%2)
				if claim.MergeAt > 0 {
					through = claim.MergeAt
				}
				switch err := f.move(catalogue, claim, through); {
				case err == nil:
					mu.Lock()
					moves = append(moves, move{claim.Range, claim.Position, through})
					mu.Unlock()
				case !errors.Is(err, store.ErrFenced):
					return err
				}
				if err := host.Release(f.ctx, claim); err != nil {
					return err
				}
			}
		}
		return nil
	}) {
		f.must(err)
	}
	slices.SortFunc(moves, func(a, b move) int { return cmp.Compare(a.from, b.from) })
	done := &applied{}
	for _, m := range moves {
		f.must(done.move(m.share, m.from, m.through))
	}
	f.must(done.agree(f.status("sums").Segments))
	if len(moves) < rounds {
		f.Errorf("only %d commits went through", len(moves))
	}
}

// disturb changes the layout in one way or another, where that is possible.
func disturb(l *store.Layout, by int) {
	l.CompleteMerges()
	at := by % len(l.Segments)
	switch {
	case by%3 == 0 && len(l.Segments) < 6:
		_ = l.Split(l.Segments[at].Segment, 2)
	case by%3 == 1 && at > 0:
		_ = l.Merge(l.Segments[at-1].Segment, l.Segments[at].Segment)
	}
}
