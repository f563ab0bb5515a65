package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/store"
)

var horizonCases = []testCase{
	{"an_empty_log", horizonEmpty},
	{"an_appended_position_is_reached", horizonReached},
	{"an_open_append_holds_it", horizonHeld},
	{"invariant_2_no_event_is_skipped", horizonFollowed},
	{"appends_of_any_version_never_conflict", appendConcurrentAny},
	{"one_append_at_an_exact_version_wins", appendConcurrentExact},
	{"appends_in_opposite_order_do_not_deadlock", appendOppositeOrder},
}

func horizonEmpty(f *fixture) {
	horizon, err := f.store.Horizon(f.ctx)
	f.must(err)
	origin := f.origin
	if f.dialect == store.DialectMySQL {
		origin = 0 // the head is of an event
	}
	if horizon.Log.ID == (store.UUID{}) || horizon != (store.Horizon{Position: origin, Head: origin, Log: horizon.Log}) {
		f.Errorf("the horizon of an empty log is %+v", horizon)
	}
}

func horizonReached(f *fixture) {
	for range 5 {
		last := f.appendTo(stream("a"), 2)[1].Position
		horizon, err := f.store.Horizon(f.ctx)
		f.must(err)
		if horizon.Position < last || horizon.Position > horizon.Head || horizon.Holder != 0 {
			f.Errorf("after position %d the horizon is %+v", last, horizon)
		}
	}
}

func horizonHeld(f *fixture) {
	if f.HoldAppend == nil {
		f.Skip("one writer at a time")
	}
	before := f.appendTo(stream("a"), 1)[0].Position
	known := f.dialect != store.DialectMySQL // who holds it
	for _, commit := range []bool{true, false} {
		// A reader may remember what it has seen, and go by that while the append is open.
		_, err := f.store.Horizon(f.ctx)
		f.must(err)
		finish := f.HoldAppend(f, stream(fmt.Sprint("held", commit)))
		after := f.appendTo(stream("a"), 1)[0].Position
		horizon, err := f.store.Horizon(f.ctx)
		f.must(err)
		if horizon.Position < before || horizon.Position >= after-1 || horizon.Head < after || known && horizon.Holder == 0 {
			f.Errorf("with an append open between %d and %d the horizon is %+v", before, after, horizon)
		}
		finish(commit)
		if horizon, err = f.store.Horizon(f.ctx); err != nil || horizon.Position < after || horizon.Holder != 0 {
			f.Errorf("after the append ended the horizon is %+v, %v", horizon, err)
		}
		before = after
	}
	if got := summary(f.read()); got != "a@1 heldtrue@1 a@2 a@3" {
		f.Errorf("the log is %s", got)
	}
}

// horizonFollowed lets writers append while a reader follows the horizon.
func horizonFollowed(f *fixture) {
	const writers, each = 8, 60
	var appended sync.Map // position → version
	var group sync.WaitGroup
	var left atomic.Int64
	left.Store(writers)
	for w := range writers {
		group.Go(func() {
			defer left.Add(-1)
			host := f.Open(f)
			for i := range each {
				result, err := host.Append(f.ctx, store.AppendOptions{},
					store.StreamAppend{Stream: stream(fmt.Sprint("own", w)), Events: events(1)},
					store.StreamAppend{Stream: stream("shared"), Events: events(1 + i%2)})
				if err != nil {
					f.Error(err)
					return
				}
				for _, a := range result {
					appended.Store(a.Position, a.AggregateVersion)
				}
			}
		})
	}
	seen, position := map[int64]bool{}, int64(0)
	last := map[store.Stream]int64{}
	var page store.Page
	for {
		finished := left.Load() == 0
		horizon, err := f.store.Horizon(f.ctx)
		f.must(err)
		f.must(f.store.Read(f.ctx, store.ReadRequest{
			After: position, Through: horizon.Position, Limit: 64,
			Range: store.FullRange(), Columns: store.AllColumns,
		}, &page))
		for i := range page.Events {
			e := &page.Events[i]
			if seen[e.Position] {
				f.Errorf("position %d came twice", e.Position)
			}
			seen[e.Position] = true
			if e.AggregateVersion != last[e.Stream]+1 {
				f.Errorf("version %d of %s follows %d", e.AggregateVersion, e.Stream, last[e.Stream])
			}
			last[e.Stream] = e.AggregateVersion
		}
		position = page.Through
		if finished && position >= horizon.Position {
			break
		}
	}
	group.Wait()
	appended.Range(func(at, _ any) bool {
		if !seen[at.(int64)] {
			f.Errorf("position %d was skipped", at)
		}
		return true
	})
	if want := writers * each * 5 / 2; len(seen) != want {
		f.Errorf("the reader saw %d events, want %d", len(seen), want)
	}
}

// hosts opens n stores on the database.
func (f *fixture) hosts(n int) []store.Store {
	f.Helper()
	hosts := make([]store.Store, n)
	for i := range hosts {
		hosts[i] = f.Open(f)
	}
	return hosts
}

// concurrently runs fn for every host at once and returns the errors.
func concurrently(hosts []store.Store, fn func(i int, host store.Store) error) []error {
	results := make([]error, len(hosts))
	var group sync.WaitGroup
	for i := range hosts {
		group.Go(func() { results[i] = fn(i, hosts[i]) })
	}
	group.Wait()
	return results
}

func appendConcurrentAny(f *fixture) {
	const writers, each = 8, 40
	for _, err := range concurrently(f.hosts(writers), func(_ int, host store.Store) error {
		for i := range each {
			if _, err := host.Append(f.ctx, store.AppendOptions{},
				store.StreamAppend{Stream: stream(fmt.Sprint("s", i%3)), Events: events(2)}); err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	last, count := map[store.Stream]int64{}, 0
	for _, e := range f.read() {
		if e.AggregateVersion != last[e.Stream]+1 {
			f.Errorf("%s: version %d follows %d in the order of positions", e.Stream, e.AggregateVersion,
				last[e.Stream])
		}
		last[e.Stream] = e.AggregateVersion
		count++
	}
	if count != writers*each*2 {
		f.Errorf("the log has %d events, want %d", count, writers*each*2)
	}
}

func appendConcurrentExact(f *fixture) {
	const writers, rounds = 8, 10
	hosts := f.hosts(writers)
	for round := range rounds {
		winners := 0
		for _, err := range concurrently(hosts, func(_ int, host store.Store) error {
			_, err := host.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
				Stream: stream("a"), Expected: store.Exact(int64(round)), Events: events(1),
			})
			return err
		}) {
			var conflict *store.VersionConflictError
			switch {
			case err == nil:
				winners++
			case !errors.As(err, &conflict):
				f.Error(err)
			}
		}
		if winners != 1 {
			f.Errorf("%d of %d appends at version %d won", winners, writers, round)
		}
	}
	if got := f.versions(stream("a")); len(got) != rounds || got[rounds-1] != rounds {
		f.Errorf("versions are %v", got)
	}
}

func appendOppositeOrder(f *fixture) {
	const writers, streams, rounds = 6, 200, 6
	hosts := f.hosts(writers)
	for round := range rounds {
		for _, err := range concurrently(hosts, func(w int, host store.Store) error {
			var appends []store.StreamAppend
			for i := range streams {
				// Some streams are old and some are new to everybody, so that both kinds of lock are met.
				id := fmt.Sprintf("s%03d", i)
				if i%10 > 0 {
					id = fmt.Sprintf("s%03d-%d", i, round)
				}
				appends = append(appends, store.StreamAppend{Stream: stream(id), Events: events(1)})
			}
			if w%2 == 1 {
				slices.Reverse(appends)
			}
			_, err := host.Append(f.ctx, store.AppendOptions{}, appends...)
			return err
		}) {
			f.must(err)
		}
	}
	if got := len(f.read()); got != writers*streams*rounds {
		f.Errorf("the log has %d events, want %d", got, writers*streams*rounds)
	}
}
