package relay

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// world is an SQLite store with projections that put messages, relays, and a receiver. It lives in a bubble of synctest:
// time is that of the test, in the database too, and an hour takes no longer than what happens in it.
type world struct {
	*testing.T
	store    store.Store
	putters  sync.Map // *putter, by projection
	receiver *receiver
	hosts    []*host
}

// in runs a test in a world of its own.
func in(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, store: openStore(t)}
		w.receiver = &receiver{t: t, world: w, busy: map[string]*host{}, arrived: map[store.OutboxID]int{}}
		t.Cleanup(func() {
			for _, h := range w.hosts {
				h.stop()
			}
		})
		test(w)
	})
}

func openStore(t *testing.T) store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outbox.db")
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Backend()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// putter is a projection that has a message for each event.
type putter struct {
	world     *world
	name      string
	claim     store.Claim
	catalogue store.Catalogue
	byKey     map[string][]store.OutboxID // all that were put, in order
}

// put commits a message of each key, each of an event of its own.
func (w *world) put(projection string, keys ...string) {
	w.Helper()
	p := w.putter(projection)
	tx := p.catalogue.Begin(p.claim)
	defer tx.Rollback()
	commit := store.Commit{Log: p.claim.Applied.Log}
	keys = slices.Sorted(slices.Values(keys))
	for i, appended := range w.append(projection, keys) {
		commit.Through, commit.LastPosition, commit.LastEvent = appended.Position, appended.Position, appended.ID
		m := store.Message{
			MessageID: store.MessageID{Projection: projection, Version: 1, Position: appended.Position}, Type: "done",
			Subject: "done." + keys[i], Key: []byte(keys[i]), ContentType: "application/json", Data: []byte("{}"),
			Time: clock.Now(),
		}
		commit.Messages = append(commit.Messages, m)
		w.receiver.expect(p, keys[i], store.OutboxID{MessageID: m.MessageID})
	}
	w.must(tx.Commit(w.Context(), commit))
	p.claim.Position = commit.Through
	for _, h := range w.hosts {
		h.relay.Wake(projection)
	}
}

// append appends an event of each key, which are sorted.
func (w *world) append(projection string, keys []string) []store.Appended {
	w.Helper()
	var all []store.StreamAppend
	for i, key := range keys {
		if i == 0 || keys[i-1] != key {
			all = append(all, store.StreamAppend{
				Stream: store.Stream{BoundedContext: "c", AggregateType: projection, AggregateID: key},
			})
		}
		last := &all[len(all)-1]
		last.Events = append(last.Events, store.Event{Type: "E", Payload: []byte("{}")})
	}
	appended, err := w.store.Append(w.Context(), store.AppendOptions{}, all...)
	w.must(err)
	return appended
}

// putter installs a projection, unless it is, and has it send everything.
func (w *world) putter(name string) *putter {
	w.Helper()
	if p, known := w.putters.Load(name); known {
		return p.(*putter)
	}
	projection := &store.Projection{
		Name: name, Version: 1, Messages: []store.MessageType{{Name: "done", Subject: "done.{key}"}},
	}
	catalogue, err := w.store.Install(w.Context(), projection, 1)
	w.must(err)
	horizon, err := w.store.Horizon(w.Context())
	w.must(err)
	w.must(w.store.BeginSending(w.Context(), projection, horizon.Log, 0))
	self := store.Worker{Name: "putter of " + name, Incarnation: "1"}
	w.must(w.store.Heartbeat(w.Context(), self, 1000*time.Hour))
	claims, err := w.store.Claim(w.Context(), store.ClaimRequest{
		Projection: projection.ID(), Worker: self.Name, Incarnation: self.Incarnation, Limit: 1,
	})
	w.must(err)
	p := &putter{
		world: w, name: name, catalogue: catalogue, claim: claims[0], byKey: map[string][]store.OutboxID{},
	}
	if p.claim.Applied.Log != horizon.Log {
		w.must(w.store.Adopt(w.Context(), p.claim, horizon.Log))
		p.claim.Applied.Log = horizon.Log
	}
	w.putters.Store(name, p)
	return p
}

// status is that of a projection.
func (w *world) status(projection string) store.OutboxStatus {
	w.Helper()
	all, err := w.store.OutboxStatus(w.Context(), projection)
	w.must(err)
	if len(all) != 1 {
		w.Fatalf("projection %s has %d states", projection, len(all))
	}
	return all[0]
}

// until waits until a condition holds, for a day at most.
func (w *world) until(what string, condition func() bool) time.Duration {
	w.Helper()
	began := clock.Now()
	for !condition() {
		if clock.Since(began) > 24*time.Hour {
			w.Fatalf("in vain: %s", what)
		}
		pass(max(10*time.Millisecond, clock.Since(began)/50))
	}
	return clock.Since(began)
}

// sent waits until nothing of a projection is left to be sent, and returns how long that took.
func (w *world) sent(projection string) time.Duration {
	w.Helper()
	return w.until("everything is sent", func() bool { return w.status(projection).Pending == 0 })
}

// complete checks that everything that was put has arrived.
func (w *world) complete() {
	w.Helper()
	w.putters.Range(func(_, p any) bool {
		for key, ids := range p.(*putter).byKey {
			for _, id := range ids {
				if w.receiver.count(id) == 0 {
					w.Errorf("message %s of key %s has not arrived", id.MessageID, key)
				}
			}
		}
		return true
	})
}

// host is a process with a lease that runs a relay.
type host struct {
	world   *world
	relay   *Relay
	lease   *lease
	ttl     time.Duration
	paused  func() bool // it is not renewed
	ended   chan error
	end     context.CancelFunc
	beating sync.WaitGroup
}

// hostTTL is the lease of a host.
const hostTTL = 10 * time.Second

// host makes a host with a lease, whose relay does not run yet.
func (w *world) host(name string, sinks Sinks, options Options) *host {
	w.Helper()
	return w.hostOn(w.store, name, sinks, options, func() bool { return false })
}

// hostOn makes a host on an outbox, whose lease is not renewed while it is paused.
func (w *world) hostOn(
	outbox store.Outbox, name string, sinks Sinks, options Options, paused func() bool,
) *host {
	w.Helper()
	h := &host{
		world: w, lease: &lease{worker: store.Worker{Name: name, Incarnation: "1"}}, ttl: hostTTL, paused: paused,
	}
	r, err := New(outbox, sinks, options)
	w.must(err)
	h.relay = r
	w.hosts = append(w.hosts, h)
	w.receiver.hosts(name, h)
	ctx, end := context.WithCancel(w.Context())
	h.end = end
	w.must(w.store.Join(ctx, h.lease.worker, h.ttl))
	h.lease.renew(h.ttl)
	h.beating.Go(func() {
		for ctx.Err() == nil {
			if !h.paused() {
				h.beat(ctx)
			}
			select {
			case <-time.After(h.ttl / 4):
			case <-ctx.Done():
			}
		}
	})
	return h
}

// beat renews the lease.
func (h *host) beat(ctx context.Context) {
	began := clock.Now()
	if err := h.world.store.Heartbeat(ctx, h.lease.worker, h.ttl); err == nil {
		h.lease.set(began.Add(h.ttl))
	}
}

// run has the relay run until the host stops.
func (h *host) run() *host {
	ctx, end := context.WithCancel(h.world.Context())
	stopBeating := h.end
	h.end = func() {
		end()
		if err := <-h.ended; err != nil {
			h.world.Error(err)
		}
		stopBeating()
	}
	h.ended = make(chan error, 1)
	go func() { h.ended <- h.relay.Run(ctx, h.lease) }()
	return h
}

// finish has the relay send what there is.
func (h *host) finish(ctx context.Context) error {
	complete := make(chan struct{})
	close(complete)
	return h.relay.Finish(ctx, h.lease, complete)
}

// stop ends the relay and then the lease.
func (h *host) stop() {
	if h.end != nil {
		h.end()
		h.beating.Wait()
		h.end = nil
	}
}

// relaying starts a host that sends everything to the receiver.
func (w *world) relaying(name string, options Options) *host {
	w.Helper()
	return w.host(name, Sinks{Default: w.receiver.sink(name, "the receiver", 8)}, options).run()
}

// keys are so many keys.
func keys(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("k%d", i))
	}
	return all
}

// pass lets time pass, which is that of the bubble.
func pass(d time.Duration) { <-time.After(d) }
