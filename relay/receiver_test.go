package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

var errDown = errors.New("nobody answers")

// receiver is where all messages go. It knows what may never happen.
type receiver struct {
	t     *testing.T
	world *world
	// answer decides what becomes of a message; nil: it arrives at once. It may wait, for ctx's end too.
	answer func(ctx context.Context, m *store.OutboxMessage) error

	mu           sync.Mutex
	byName       map[string]*host
	busy         map[string]*host // keys of which a message is on its way, with the projection
	onTheWay     int
	mostOnTheWay int
	arrived      map[store.OutboxID]int
	all          []store.OutboxID // every send that has begun, in order
}

// expect notes that a message is put.
func (r *receiver) expect(p *putter, key string, id store.OutboxID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.byKey[key] = append(p.byKey[key], id)
}

// pretend counts a message that is not to be sent as arrived.
func (r *receiver) pretend(id store.OutboxID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived[id]++
}

// answers has the receiver answer otherwise from now on.
func (r *receiver) answers(answer func(ctx context.Context, m *store.OutboxMessage) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) hosts(name string, h *host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]*host{}
	}
	r.byName[name] = h
}

// count is how often a message has arrived.
func (r *receiver) count(id store.OutboxID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived[id]
}

// begun returns the sends that have begun, in order.
func (r *receiver) begun() []store.OutboxID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// send is a send of a host.
func (r *receiver) send(ctx context.Context, name string, m *store.OutboxMessage) error {
	key := m.Projection + "/" + string(m.Key)
	answer := r.begin(name, key, m)
	var err error
	if answer != nil {
		err = answer(ctx, m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, key)
	r.onTheWay--
	r.inLease(name, m, "ends")
	if err == nil || errors.Is(err, errLate) {
		r.arrived[m.ID()]++
	}
	return err
}

// errLate says that nobody knows that the message has arrived after all.
var errLate = errors.New("the answer was lost")

func (r *receiver) begin(
	name, key string, m *store.OutboxMessage,
) (answer func(ctx context.Context, m *store.OutboxMessage) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m.ID())
	r.onTheWay++
	r.mostOnTheWay = max(r.mostOnTheWay, r.onTheWay)
	if _, two := r.busy[key]; two {
		r.t.Errorf("%s: two messages of key %s are on their way", m.MessageID, key)
	}
	r.busy[key] = r.byName[name]
	r.inLease(name, m, "begins")
	for _, earlier := range r.world.putter(m.Projection).byKey[string(m.Key)] {
		if earlier.Position >= m.Position {
			break
		}
		if r.arrived[earlier] == 0 {
			r.t.Errorf("%s is sent before %s", m.MessageID, earlier.MessageID)
		}
	}
	return r.answer
}

// inLease checks that the host of a send has its lease. The lock is held.
func (r *receiver) inLease(name string, m *store.OutboxMessage, what string) {
	h := r.byName[name]
	if h == nil {
		return
	}
	if until := h.lease.Until(); !clock.Now().Before(until) {
		r.t.Errorf("%s %s on %s when its lease is over, since %s", m.MessageID, what, name, clock.Since(until))
	}
}

// sink is the receiver as a host knows it.
func (r *receiver) sink(host, target string, concurrency int) Sink {
	return &receiverSink{receiver: r, host: host, target: target, concurrency: concurrency}
}

type receiverSink struct {
	receiver     *receiver
	host, target string
	concurrency  int
}

func (s *receiverSink) Send(ctx context.Context, m *store.OutboxMessage) error {
	return s.receiver.send(ctx, s.host, m)
}

func (s *receiverSink) Concurrency() int { return s.concurrency }
func (s *receiverSink) Target() string   { return s.target }
func (s *receiverSink) Close() error     { return nil }
