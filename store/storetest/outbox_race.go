package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/store"
)

// handOverRace has two versions apply events, park some of them and try these again, each at its own pace, while they
// take each other's place all the time.
func handOverRace(f *fixture) {
	const last = 60
	v := f.senders(1, 2)
	moved := make(chan struct{}, 4*last) // as often as anything is committed
	var working atomic.Int32
	working.Store(int32(len(v)))
	exchanges := 0
	for _, err := range concurrently(f.hosts(3), func(i int, host store.Store) error {
		if i < len(v) {
			defer func() {
				if working.Add(-1) == 0 {
					close(moved)
				}
			}()
			return v[i].race(last, moved)
		}
		next := 2
		for range moved {
			promotion, err := host.Promote(f.ctx, sumsOf(next))
			behind := (*store.BehindError)(nil)
			if err != nil && !errors.As(err, &behind) && !errors.Is(err, store.ErrTransient) {
				return err
			}
			if err == nil && promotion.From != promotion.To {
				exchanges++
				next = promotion.From.Version
			}
		}
		return nil
	}) {
		f.must(err)
	}
	f.promote(1)
	f.promote(2)
	f.Logf("the versions took each other's place %d times", exchanges)
	f.wantMessages(store.MessageHeld, "")
	by := map[int]int{}
	all := f.pending()
	for i := range all {
		if by[all[i].Version]++; all[i].Position != f.at(int64(i)+1) {
			f.Fatalf("message %d is %s, of %s", i+1, f.name(&all[i]), f.nameAll(all))
		}
	}
	if len(all) != last {
		f.Errorf("%d are sent, want %d: %s", len(all), last, f.nameAll(all))
	}
	f.Logf("the versions send %v", by)
}

// race applies events up to the last one, each of a key of its own, of which every third is parked at first.
func (r *runner) race(last int64, moved chan<- struct{}) error {
	for n := r.next(); n <= last; n++ {
		key := fmt.Sprint("key", n)
		commit := store.Commit{Messages: r.messagesAt(n, key)}
		if n%3 == 0 {
			commit = r.parked(key)
		}
		err := untilItWorks(func() error { return r.park(commit) }, func() bool { return r.applied() == r.at(n) })
		if err != nil {
			return fmt.Errorf("position %d: %w", n, err)
		}
		moved <- struct{}{}
		if r.claim.Position = r.at(n); n%3 != 0 {
			continue
		}
		id := store.ParkedID{Projection: r.projection.ID(), Key: []byte(key)}
		err = untilItWorks(func() error {
			_, err := r.retry(store.Retry{Key: id.Key, Through: r.at(n), Messages: r.messagesAt(n, key)})
			return err
		}, func() bool { return len(r.noted(id)) == 0 })
		if err != nil {
			return fmt.Errorf("a retry at position %d: %w", n, err)
		}
		moved <- struct{}{}
	}
	return nil
}

// applied is the stored checkpoint of the version.
func (r *runner) applied() int64 {
	r.Helper()
	return r.version(r.projection.Version).Segments[0].Position
}

// untilItWorks tries again what a passing fault has stopped, unless it was done all the same.
func untilItWorks(do func() error, done func() bool) error {
	for {
		err := do()
		switch {
		case err == nil || !errors.Is(err, store.ErrTransient):
			return err
		case done():
			return nil
		}
	}
}
