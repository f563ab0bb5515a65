package relay

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// TestQueue_keepsTheOrderOfKeys has a queue between an outbox and a sink, which do what they may in any order: nothing is
// sent before an earlier message of its key has arrived, nothing twice at once, and nothing again that has arrived.
func TestQueue_keepsTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &queueHistory{queue: newQueue(), arrived: map[store.OutboxID]bool{}, waits: map[string]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"put":     h.put,
			"read":    h.read,
			"fill":    h.fill,
			"take":    h.take,
			"take 2":  h.take,
			"land":    h.land,
			"land 2":  h.land,
			"note":    h.note,
			"due":     func(*rapid.T) { clear(h.waits) },
			"skip":    h.skip,
			"abandon": func(*rapid.T) { h.queue.clear() },
			"":        h.verify,
		})
	})
}

// queueHistory is an outbox, a queue of what was read of it, and what has become of the messages.
type queueHistory struct {
	queue    *queue
	outbox   []store.OutboxMessage // that the outbox has to be sent, in order
	waits    map[string]bool       // keys that wait for a later try
	snapshot []store.OutboxMessage // a read that is under way
	reading  bool
	onTheWay []*store.OutboxMessage
	arrived  map[store.OutboxID]bool
	sent     []store.OutboxID // not noted
	failures []store.Undelivered
	position int64
}

func (h *queueHistory) put(t *rapid.T) {
	h.position++
	m := store.OutboxMessage{Message: store.Message{
		MessageID: store.MessageID{Projection: "p", Version: 1, Position: h.position},
		Key:       fmt.Appendf(nil, "k%d", rapid.IntRange(0, 3).Draw(t, "key")),
	}, Attempts: rapid.IntRange(0, 1).Draw(t, "attempts")}
	h.outbox = append(h.outbox, m)
}

func (h *queueHistory) read(t *rapid.T) {
	h.snapshot, h.reading = nil, true
	limit := rapid.IntRange(1, 8).Draw(t, "limit")
	for _, m := range h.outbox {
		if !h.waits[string(m.Key)] && len(h.snapshot) < limit {
			h.snapshot = append(h.snapshot, m)
		}
	}
}

func (h *queueHistory) fill(t *rapid.T) {
	if !h.reading {
		t.Skip("nothing is read")
	}
	h.queue.fill(h.snapshot)
	h.reading = false
}

func (h *queueHistory) take(t *rapid.T) {
	retry, random := rapid.Bool().Draw(t, "retry"), rapid.Bool().Draw(t, "random")
	if retry && len(h.queue.retries) == 0 || !retry && len(h.queue.fresh) == 0 {
		t.Skip("nothing is ready")
	}
	m := h.queue.next(retry, random)
	if isRetry(m) != retry {
		t.Fatalf("%v has been tried %d times", m.MessageID, m.Attempts)
	}
	if h.arrived[m.ID()] {
		t.Fatalf("%v is sent again", m.MessageID)
	}
	for _, other := range h.onTheWay {
		if string(other.Key) == string(m.Key) {
			t.Fatalf("%v is sent while %v is on its way", m.MessageID, other.MessageID)
		}
	}
	for i := range h.outbox {
		earlier := &h.outbox[i]
		if string(earlier.Key) == string(m.Key) && earlier.Position < m.Position && !h.arrived[earlier.ID()] {
			t.Fatalf("%v is sent before %v", m.MessageID, earlier.MessageID)
		}
	}
	h.onTheWay = append(h.onTheWay, m)
}

func (h *queueHistory) land(t *rapid.T) {
	if len(h.onTheWay) == 0 {
		t.Skip("nothing is on its way")
	}
	at := rapid.IntRange(0, len(h.onTheWay)-1).Draw(t, "which")
	m := h.onTheWay[at]
	h.onTheWay = slices.Delete(h.onTheWay, at, at+1)
	switch rapid.SampledFrom([]string{"sent", "failed", "back", "given up"}).Draw(t, "how") {
	case "sent":
		h.arrived[m.ID()] = true
		h.queue.sent(m)
		h.sent = append(h.sent, m.ID())
	case "failed":
		h.queue.failed(m)
		h.failures = append(h.failures, store.Undelivered{OutboxID: m.ID(), Key: m.Key})
	case "back":
		h.queue.putBack(m)
	default:
		h.queue.giveUp(m)
	}
}

// note tells the outbox what has become of messages, never during a read.
func (h *queueHistory) note(t *rapid.T) {
	if h.reading {
		t.Skip("the outbox is read")
	}
	h.outbox = slices.DeleteFunc(h.outbox, func(m store.OutboxMessage) bool { return slices.Contains(h.sent, m.ID()) })
	for _, f := range h.failures {
		h.waits[string(f.Key)] = true
	}
	h.queue.settled(h.sent)
	h.queue.settledFailures(h.failures)
	h.sent, h.failures = nil, nil
}

// skip has somebody delete a message that waits.
func (h *queueHistory) skip(t *rapid.T) {
	if len(h.outbox) == 0 {
		t.Skip("there is none")
	}
	at := rapid.IntRange(0, len(h.outbox)-1).Draw(t, "which")
	h.outbox = slices.Delete(h.outbox, at, at+1)
}

// verify counts.
func (h *queueHistory) verify(t *rapid.T) {
	waiting, bytes, ready := 0, 0, 0
	for name, k := range h.queue.keys {
		if k.key != name || len(k.waiting) == 0 && !k.busy && !k.failed {
			t.Fatalf("key %q is left over: %+v", name, k)
		}
		waiting += len(k.waiting)
		for _, m := range k.waiting {
			bytes += m.Size()
		}
		if len(k.waiting) > 0 && !k.busy {
			ready++
			among := h.queue.fresh
			if isRetry(k.waiting[0]) {
				among = h.queue.retries
			}
			if !slices.Contains(among, k) {
				t.Fatalf("key %q is not ready", name)
			}
		}
	}
	retrying := 0
	for _, m := range h.onTheWay {
		bytes += m.Size()
		if isRetry(m) {
			retrying++
		}
	}
	unsettled := len(h.sent) + len(h.failures)
	if waiting != h.queue.waiting || bytes != h.queue.bytes || ready != len(h.queue.fresh)+len(h.queue.retries) ||
		len(h.onTheWay) != len(h.queue.onTheWay) || retrying != h.queue.retrying || unsettled != len(h.queue.unsettled) {
		t.Fatalf("%d wait with %d bytes, %d keys are ready, %d on the way, %d unsettled: %+v", waiting, bytes, ready,
			len(h.onTheWay), unsettled, h.queue)
	}
}

// TestQueue_takesTurns sends keys in turn, whichever has more messages.
func TestQueue_takesTurns(t *testing.T) {
	t.Parallel()
	q := newQueue()
	var all []store.OutboxMessage
	for i, key := range []string{"a", "a", "a", "b", "b", "c"} {
		all = append(all, store.OutboxMessage{Message: store.Message{
			MessageID: store.MessageID{Position: int64(i)}, Key: []byte(key),
		}})
	}
	q.fill(all)
	var order []byte
	for len(q.fresh) > 0 {
		m := q.next(false, false)
		order = append(order, m.Key...)
		q.sent(m)
	}
	if string(order) != "abcaba" {
		t.Errorf("order is %s", order)
	}
}
