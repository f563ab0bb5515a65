package storetest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// send is a relay's round: of each key some messages are sent, one behind the other, and the next may fail.
func (m *outboxProtocol) send(t *rapid.T) {
	limit := rapid.IntRange(1, 8).Draw(t, "limit")
	pending, err := m.store.Pending(m.ctx, m.name, limit, 1<<20)
	m.ok(err)
	if want := m.pendingIDs(limit); !slices.Equal(idsOf(pending), want) {
		t.Fatalf("the first %d are %s, must be %v", limit, m.nameAll(pending), want)
	}
	var sent []store.OutboxID
	var failures []store.Undelivered
	stopped := map[string]bool{}
	for i := range pending {
		p := &pending[i]
		if stopped[string(p.Key)] {
			continue
		}
		switch rapid.IntRange(0, 4).Draw(t, "fate") {
		case 0:
			stopped[string(p.Key)] = true
		case 1:
			stopped[string(p.Key)] = true
			failures = append(failures, store.Undelivered{
				OutboxID: p.ID(), Key: p.Key, Error: "down",
				RetryAfter: rapid.SampledFrom([]time.Duration{-1, 0, time.Hour}).Draw(t, "retry after"),
			})
		default:
			sent = append(sent, p.ID())
		}
	}
	keep := rapid.Bool().Draw(t, "keep")
	m.ok(m.store.Sent(m.ctx, sent, keep))
	for _, id := range sent {
		m.sent(t, id, keep)
	}
	m.ok(m.store.Undelivered(m.ctx, failures))
	for _, u := range failures {
		f := m.failed[string(u.Key)]
		if f == nil || f.id != u.OutboxID {
			f = &modelFailure{id: u.OutboxID}
		}
		f.attempts++
		f.waits = u.RetryAfter != 0
		m.failed[string(u.Key)] = f
	}
}

// sent notes that a message was sent, behind all that were sent of its key.
func (m *outboxProtocol) sent(t *rapid.T, id store.OutboxID, keep bool) {
	message := m.messages[id]
	if !message.again {
		if last, is := m.last[message.key]; is && cmp.Or(cmp.Compare(last.Position, id.Position),
			cmp.Compare(last.Index, id.Index)) >= 0 {
			t.Fatalf("of key %q %s is sent behind %s", message.key, id, last)
		}
		m.last[message.key] = id
	}
	m.gone(id)
	if message.sent = true; !keep {
		delete(m.messages, id)
	}
}

// gone notes that a message does not keep its key waiting any more.
func (m *outboxProtocol) gone(id store.OutboxID) {
	if key := m.messages[id].key; m.failed[key] != nil && m.failed[key].id == id {
		delete(m.failed, key)
	}
}

// resend has messages of a key, or of all, sent again.
func (m *outboxProtocol) resend(t *rapid.T) {
	request := store.MessagesRequest{Projection: m.name}
	request.State = rapid.SampledFrom([]store.MessageState{
		"", store.MessageFailed, store.MessageSent, store.MessageHeld,
	}).Draw(t, "state")
	if rapid.Bool().Draw(t, "of a key") {
		request.Key = []byte(rapid.SampledFrom(modelKeys).Draw(t, "key"))
	}
	want := 0
	of := func(key string) bool { return request.Key == nil || key == string(request.Key) }
	if request.State == "" || request.State == store.MessageFailed {
		for key, f := range m.failed {
			if of(key) {
				f.waits = false
				want++
			}
		}
	}
	if request.State == "" || request.State == store.MessageSent {
		for _, message := range m.messages {
			if message.sent && of(message.key) {
				message.sent, message.again = false, true
				want++
			}
		}
	}
	n, err := m.store.Resend(m.ctx, request)
	m.ok(err)
	if n != want {
		t.Fatalf("%+v has %d sent again, must be %d", request, n, want)
	}
}

// skip has a message never be sent.
func (m *outboxProtocol) skip(t *rapid.T) {
	ids := slices.SortedFunc(maps.Keys(m.messages), compareOutboxIDs)
	if len(ids) == 0 || rapid.IntRange(0, 2).Draw(t, "seldom") > 0 {
		return
	}
	id := rapid.SampledFrom(ids).Draw(t, "message")
	err := m.store.SkipMessage(m.ctx, id.MessageID)
	if refused := (*store.InputError)(nil); m.messages[id].sent && errors.As(err, &refused) {
		return
	}
	m.ok(err)
	m.gone(id)
	delete(m.messages, id)
}

// deleteSent deletes held messages that nobody needs, which check finds if one was needed, and nothing else: what was
// sent was not an hour ago.
func (m *outboxProtocol) deleteSent(t *rapid.T) {
	more, err := m.store.DeleteSent(m.ctx, m.name, time.Hour)
	m.ok(err)
	held, err := m.store.Messages(m.ctx, store.MessagesRequest{Projection: m.name, State: store.MessageHeld})
	m.ok(err)
	all, err := m.store.Status(m.ctx, m.name)
	m.ok(err)
	lowest := m.at(outboxModelEnd)
	for _, s := range store.LiveOf(all).Segments {
		lowest = min(lowest, s.Position)
	}
	for i := range held {
		parked := m.versions[m.live].parked[string(held[i].Key)]
		if held[i].Position <= lowest && !slices.Contains(parked, held[i].Position) || more {
			t.Fatalf("%s is held still, there may be more: %t", m.nameOf(&held[i]), more)
		}
	}
}
