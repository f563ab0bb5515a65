package relay

import (
	"math/rand/v2"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// queue has the messages of a projection that are in memory: those that wait, by key, at most one of a key that is on its
// way, and those whose end the outbox does not know yet.
//
//	fill ──► waiting ──next──► on its way ──sent────► unsettled ──settle──►
//	            ▲                 │   │
//	            └────putBack──────┘   └────failed──► unsettled, its key is left out until then
//
// Each fill replaces what waits: the outbox knows what was skipped, and which keys wait for a later try. A fill that was
// read while nothing was being settled brings nothing that is sent already.
type queue struct {
	keys      map[string]*keyQueue
	fresh     []*keyQueue // that are ready, in the order in which they are sent
	retries   []*keyQueue // the same, of keys whose first message has failed before
	onTheWay  map[store.OutboxID]struct{}
	retrying  int // of those on their way, how many have failed before
	unsettled map[store.OutboxID]struct{}
	waiting   int
	bytes     int // of those that wait and those on their way
}

// keyQueue has the messages of a key.
type keyQueue struct {
	key     string
	waiting []*store.OutboxMessage
	busy    bool // one is on its way
	failed  bool // one could not be sent, which is not settled
}

func newQueue() *queue {
	return &queue{
		keys: map[string]*keyQueue{}, onTheWay: map[store.OutboxID]struct{}{}, unsettled: map[store.OutboxID]struct{}{},
	}
}

// messages is how many are in memory.
func (q *queue) messages() int { return q.waiting + len(q.onTheWay) + len(q.unsettled) }

// fill replaces the messages that wait by the first ones of the outbox, in their order.
func (q *queue) fill(messages []store.OutboxMessage) {
	q.clear()
	for i := range messages {
		m := &messages[i]
		_, onItsWay := q.onTheWay[m.ID()]
		_, ended := q.unsettled[m.ID()]
		if onItsWay || ended {
			continue
		}
		k := q.of(m.Key)
		if k.failed {
			continue
		}
		k.waiting = append(k.waiting, m)
		q.waiting++
		q.bytes += m.Size()
		if len(k.waiting) == 1 && !k.busy {
			q.ready(k)
		}
	}
}

// ready notes that a message of a key may be sent next.
func (q *queue) ready(k *keyQueue) {
	if isRetry(k.waiting[0]) {
		q.retries = append(q.retries, k)
	} else {
		q.fresh = append(q.fresh, k)
	}
}

// isRetry reports that a message has failed before.
func isRetry(m *store.OutboxMessage) bool { return m.Attempts > 0 }

// clear forgets the messages that wait.
func (q *queue) clear() {
	for _, k := range q.keys {
		q.drop(k)
	}
	q.fresh, q.retries = q.fresh[:0], q.retries[:0]
}

// drop forgets the messages of a key that wait. It is not ready.
func (q *queue) drop(k *keyQueue) {
	for _, m := range k.waiting {
		q.bytes -= m.Size()
	}
	q.waiting -= len(k.waiting)
	k.waiting = nil
	q.forget(k)
}

// forget frees a key of which nothing is known.
func (q *queue) forget(k *keyQueue) {
	if len(k.waiting) == 0 && !k.busy && !k.failed {
		delete(q.keys, k.key)
	}
}

func (q *queue) of(key []byte) *keyQueue {
	k, known := q.keys[string(key)]
	if !known {
		k = &keyQueue{key: string(key)}
		q.keys[k.key] = k
	}
	return k
}

// next takes a message that is sent next, of a key of which none is on its way: one of a fresh key or of one that has
// failed before, and the one that has waited longest or any. There must be one.
func (q *queue) next(retry, random bool) *store.OutboxMessage {
	from := &q.fresh
	if retry {
		from = &q.retries
		q.retrying++
	}
	at := 0
	if random {
		at = rand.IntN(len(*from))
	}
	k := (*from)[at]
	*from = slices.Delete(*from, at, at+1)
	m := k.waiting[0]
	k.waiting = k.waiting[1:]
	k.busy = true
	q.waiting--
	q.onTheWay[m.ID()] = struct{}{}
	return m
}

// sent notes that a message has arrived. The next one of its key may go.
func (q *queue) sent(m *store.OutboxMessage) {
	k := q.landed(m)
	q.unsettled[m.ID()] = struct{}{}
	q.again(k)
}

// failed notes that a message could not be sent. Those of its key are read again when it is due.
func (q *queue) failed(m *store.OutboxMessage) {
	k := q.landed(m)
	q.unsettled[m.ID()] = struct{}{}
	k.failed = true
	q.drop(k)
}

// putBack has a message sent again, before the others of its key and after those of others.
func (q *queue) putBack(m *store.OutboxMessage) {
	k := q.landed(m)
	k.waiting = append([]*store.OutboxMessage{m}, k.waiting...)
	q.waiting++
	q.bytes += m.Size()
	q.again(k)
}

// giveUp forgets a message that was on its way, and those of its key behind it, until they are read again.
func (q *queue) giveUp(m *store.OutboxMessage) { q.drop(q.landed(m)) }

// landed takes a message off its way.
func (q *queue) landed(m *store.OutboxMessage) *keyQueue {
	delete(q.onTheWay, m.ID())
	if isRetry(m) {
		q.retrying--
	}
	q.bytes -= m.Size()
	k := q.of(m.Key)
	k.busy = false
	return k
}

// again makes a key ready, if it has a message.
func (q *queue) again(k *keyQueue) {
	if len(k.waiting) > 0 {
		q.ready(k)
		return
	}
	q.forget(k)
}

// settled notes that the outbox knows that messages were sent.
func (q *queue) settled(ids []store.OutboxID) {
	for _, id := range ids {
		delete(q.unsettled, id)
	}
}

// settledFailures notes that the outbox knows which messages could not be sent.
func (q *queue) settledFailures(failures []store.Undelivered) {
	for i := range failures {
		delete(q.unsettled, failures[i].OutboxID)
		k := q.of(failures[i].Key)
		k.failed = false
		q.forget(k)
	}
}
