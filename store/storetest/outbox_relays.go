package storetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var relayCases = []testCase{
	{"one_worker_is_the_relay_of_a_projection", relayOne},
	{"a_worker_without_a_lease_is_no_relay", relayLease},
	{"a_relay_whose_lease_is_over_is_replaced", relayExpiry},
	{"a_relay_that_leaves_is_replaced", relayLeaves},
	{"a_process_that_takes_over_a_name_is_another_relay", relayName},
	{"projections_that_are_named_and_all_that_send", relayNamed},
	{"a_reset_leaves_the_relay", relayReset},
	{"many_workers_at_once", relayRace},
}

// relays has a worker claim relays.
func (f *fixture) relays(worker store.Worker, projections ...string) []string {
	f.Helper()
	all, err := f.store.ClaimRelays(f.ctx, worker, projections, "target of "+worker.Name)
	f.must(err)
	return all
}

func (f *fixture) wantRelays(worker store.Worker, want ...string) {
	f.Helper()
	if got := f.relays(worker, "sums"); !slices.Equal(got, want) {
		f.Errorf("%s is the relay of %q, want %q", worker.Name, got, want)
	}
}

// wantRelay compares who the status says is the relay of sums.
func (f *fixture) wantRelay(name string, live bool) {
	f.Helper()
	target := ""
	if name != "" {
		target = "target of " + name
	}
	if got := f.sumsStatus(); got.Relay != name || got.Target != target || got.Live != live {
		f.Errorf("the relay is %q to %q, live: %t; want %q, live: %t", got.Relay, got.Target, got.Live, name, live)
	}
}

// relayWorkers are workers with a lease.
func (f *fixture) relayWorkers(names ...string) (all []store.Worker) {
	f.Helper()
	for _, name := range names {
		w := store.Worker{Name: name, Incarnation: "first of " + name}
		f.must(f.store.Join(f.ctx, w, time.Hour))
		all = append(all, w)
	}
	return all
}

func relayOne(f *fixture) {
	f.sender(1)
	w := f.relayWorkers("w1", "w2")
	f.wantRelay("", false)
	f.wantRelays(w[0], "sums")
	f.wantRelays(w[1])
	f.wantRelay("w1", true)
	f.wantRelays(w[0], "sums") // is it still
	got, err := f.store.ClaimRelays(f.ctx, w[0], []string{"sums"}, "elsewhere")
	f.must(err)
	if now := f.sumsStatus(); !slices.Equal(got, []string{"sums"}) || now.Target != "elsewhere" {
		f.Errorf("with another target it is the relay of %q, to %q", got, now.Target)
	}
	f.must(f.store.ReleaseRelays(f.ctx, w[1], []string{"sums"})) // not its own
	f.wantRelays(w[1])
	f.must(f.store.ReleaseRelays(f.ctx, w[0], []string{"other"}))
	f.wantRelays(w[1])
	f.must(f.store.ReleaseRelays(f.ctx, w[0], []string{"sums"}))
	f.wantRelay("", false)
	f.wantRelays(w[1], "sums")
	f.wantRelays(w[0])
	f.must(f.store.ReleaseRelays(f.ctx, w[0], []string{"sums"}))
	f.wantRelay("w2", true)
}

func relayLease(f *fixture) {
	f.sender(1)
	w := f.relayWorkers("w1")[0]
	f.wantRelays(store.Worker{Name: "stranger"})
	f.wantRelays(store.Worker{Name: "w1", Incarnation: "another"})
	f.must(f.store.Heartbeat(f.ctx, w, time.Millisecond))
	f.awaitEnd(w)
	f.wantRelays(w)
	f.wantRelay("", false)
}

// awaitEnd waits until the lease of a worker is over.
func (f *fixture) awaitEnd(w store.Worker) {
	f.Helper()
	f.await("the lease ends", func() bool {
		alive, err := f.store.Workers(f.ctx)
		f.must(err)
		return !slices.ContainsFunc(alive, func(a store.Worker) bool { return a.Name == w.Name })
	})
}

func relayExpiry(f *fixture) {
	f.sender(1)
	w := f.relayWorkers("w1", "w2")
	f.wantRelays(w[0], "sums")
	f.must(f.store.Heartbeat(f.ctx, w[0], time.Millisecond))
	f.awaitEnd(w[0])
	f.wantRelay("w1", false)
	f.must(f.store.Heartbeat(f.ctx, w[0], time.Hour)) // comes back before another takes over
	f.wantRelay("w1", true)
	f.wantRelays(w[1])
	f.must(f.store.Heartbeat(f.ctx, w[0], time.Millisecond))
	f.awaitEnd(w[0])
	f.wantRelays(w[1], "sums")
	f.must(f.store.Heartbeat(f.ctx, w[0], time.Hour))
	f.wantRelays(w[0])
	f.wantRelay("w2", true)
}

func relayLeaves(f *fixture) {
	f.sender(1)
	w := f.relayWorkers("w1", "w2")
	f.wantRelays(w[0], "sums")
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "w1", Incarnation: "another"}))
	f.wantRelays(w[1])
	f.must(f.store.Leave(f.ctx, w[0]))
	f.wantRelay("", false)
	f.wantRelays(w[1], "sums")
	f.must(f.store.Leave(f.ctx, w[0]))
	f.wantRelay("w2", true)
}

func relayName(f *fixture) {
	f.sender(1)
	w := f.relayWorkers("w1", "w2")
	f.wantRelays(w[0], "sums")
	next := store.Worker{Name: "w1", Incarnation: "second"}
	f.must(f.store.Join(f.ctx, next, time.Hour))
	f.wantRelays(w[0]) // has lost its name
	f.must(f.store.ReleaseRelays(f.ctx, w[0], []string{"sums"}))
	f.wantRelays(next, "sums")
	f.must(f.store.Leave(f.ctx, w[0]))
	f.must(f.store.ReleaseRelays(f.ctx, w[0], []string{"sums"}))
	f.wantRelay("w1", true)
	f.wantRelays(w[1])
}

func relayNamed(f *fixture) {
	f.sender(1)
	other := f.runningOn(f.store, totals("other"), "other")
	f.begin(other.projection, 0)
	f.running(totals("silent"))
	w := f.relayWorkers("w1", "w2")
	if got := f.relays(w[0], "sums", "later"); !slices.Equal(got, []string{"later", "sums"}) {
		f.Errorf("of two that are named it is the relay of %q", got)
	}
	all, err := f.store.ClaimRelays(f.ctx, w[1], []string{}, "")
	f.must(err)
	if len(all) > 0 {
		f.Errorf("of none that are named it is the relay of %q", all)
	}
	if got := f.relays(w[1]); !slices.Equal(got, []string{"other"}) {
		f.Errorf("of all the other one is the relay of %q", got)
	}
	if got := f.relays(w[0]); !slices.Equal(got, []string{"sums"}) {
		f.Errorf("of all the first one is the relay of %q", got)
	}
	if got := f.relays(w[1], "later", "other"); !slices.Equal(got, []string{"other"}) {
		f.Errorf("of one that is taken and its own it is the relay of %q", got)
	}
}

// relayReset has messages wait behind a reset.
func relayReset(f *fixture) {
	r := f.sender(1)
	r.emit("a")
	w := f.relayWorkers("w1")[0]
	f.wantRelays(w, "sums")
	f.resetSums(r)
	f.wantRelay("w1", true)
	if got := f.relays(w); !slices.Equal(got, []string{"sums"}) {
		f.Errorf("of all it is the relay of %q", got)
	}
	if got := f.deliver(false); got != "v1.1.0 a" {
		f.Errorf("it sends %q", got)
	}
}

// relayRace has workers claim and release all the time: never two at once.
func relayRace(f *fixture) {
	const workers, rounds = 4, 25
	f.sender(1)
	hosts := f.hosts(workers)
	var holders, held atomic.Int64
	for _, err := range concurrently(hosts, func(i int, host store.Store) error {
		w := store.Worker{Name: fmt.Sprint("w", i), Incarnation: "first"}
		if err := host.Join(f.ctx, w, time.Hour); err != nil {
			return err
		}
		for range rounds {
			got, err := host.ClaimRelays(f.ctx, w, nil, "")
			if err != nil {
				return err
			}
			if len(got) == 0 {
				continue
			}
			held.Add(1)
			if n := holders.Add(1); n > 1 {
				return fmt.Errorf("%d workers are the relay", n)
			}
			holders.Add(-1)
			if err := host.ReleaseRelays(f.ctx, w, got); err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	if held.Load() == 0 {
		f.Error("nobody was the relay")
	}
}
