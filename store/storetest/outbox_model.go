package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

var outboxModelCases = []testCase{
	{"every_message_is_sent_once_and_in_order", outboxModel},
}

// outboxModel has versions of a projection apply events, park and retry them, take each other's place, go and come, in
// any order, while a relay sends. It knows nothing of positions up to which something is sent: an event is owed until the
// version that is live has applied it.
func outboxModel(f *fixture) {
	const worker = "model"
	f.handOut(f.at(modelPositions))
	log, runs := f.logID(), 0
	rapid.Check(f.T, func(t *rapid.T) {
		if rapid.IntRange(1, 5).Draw(t, "one in so many") > 1 {
			return // each takes a while, and -rapid.checks has all that one likes
		}
		runs++
		m := &outboxProtocol{fixture: f, t: t, name: fmt.Sprint("sums", runs), worker: worker, log: log}
		if before := fmt.Sprint("sums", runs-1); runs > 1 {
			m.ok(f.store.Leave(f.ctx, store.Worker{Name: worker}))
			m.ok(f.store.Reset(f.ctx, before))
		}
		m.start()
		t.Repeat(map[string]func(*rapid.T){
			"":             m.check,
			"work":         m.work,
			"work more":    m.work,
			"work on":      m.work,
			"retry":        m.retry,
			"retry more":   m.retry,
			"promote":      m.promote,
			"promote more": m.promote,
			"rollback":     m.rollback,
			"candidate":    m.candidate,
			"retire":       m.retire,
			"reset":        m.reset,
			"divide":       m.divide,
			"send":         m.send,
			"send more":    m.send,
			"resend":       m.resend,
			"skip":         m.skip,
			"delete":       m.deleteSent,
		})
	})
}

// outboxProtocol is what must be in the outbox, and what has happened in one run.
type outboxProtocol struct {
	*fixture
	t      *rapid.T
	name   string // of the projection
	worker string
	log    store.LogID

	versions map[int]*modelVersion
	live     int
	owed     map[int64]bool // positions of events whose messages no version has put in
	messages map[store.OutboxID]*modelMessage
	failed   map[string]*modelFailure // by key
	last     map[string]store.OutboxID
}

// modelVersion is what a version has made of the events that it has passed.
type modelVersion struct {
	projection *store.Projection
	catalogue  store.Catalogue
	applied    map[int64]bool
	skipped    map[int64]bool
	parked     map[string][]int64 // by key
}

// modelMessage is a message that is to be sent, or was and is kept.
type modelMessage struct {
	key   string
	sent  bool
	again bool // somebody has had it sent again
}

type modelFailure struct {
	id       store.OutboxID
	attempts int
	waits    bool
}

// ok is must within a run, so that a history that fails is made shorter.
func (m *outboxProtocol) ok(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// outboxModelEnd is the last position of the model: few, so that versions meet.
const outboxModelEnd = 60

func (m *outboxProtocol) start() {
	m.owed, m.messages = map[int64]bool{}, map[store.OutboxID]*modelMessage{}
	m.failed, m.last = map[string]*modelFailure{}, map[string]store.OutboxID{}
	m.versions, m.live = map[int]*modelVersion{}, rapid.IntRange(1, 2).Draw(m.t, "version")
	m.ok(m.store.Heartbeat(m.ctx, store.Worker{Name: m.worker}, time.Hour))
	m.install(m.live)
	after := rapid.Int64Range(0, 5).Draw(m.t, "begins after")
	m.begin(after)
	for n := after + 1; n <= outboxModelEnd; n++ {
		m.owed[m.at(n)] = true
	}
}

// begin has the live version begin to send, unless it has.
func (m *outboxProtocol) begin(after int64) {
	m.ok(m.store.BeginSending(m.ctx, m.versions[m.live].projection, m.log, m.at(after)))
}

func (m *outboxProtocol) install(version int) {
	p := traces(version)
	p.Name = m.name
	p.Messages = []store.MessageType{{Name: "changed", Subject: "sums.{name}"}}
	catalogue, err := m.store.InstallBeside(m.ctx, p, rapid.IntRange(1, 3).Draw(m.t, "segments"))
	m.ok(err)
	m.versions[version] = &modelVersion{
		projection: p, catalogue: catalogue,
		applied: map[int64]bool{}, skipped: map[int64]bool{}, parked: map[string][]int64{},
	}
}

// keyAt is the key of the event at a position.
func (m *outboxProtocol) keyAt(position int64) string {
	return modelKeys[(position-m.origin)*5%int64(len(modelKeys))]
}

// messagesOf are the messages that a version makes of an event: none, one or two.
func (m *outboxProtocol) messagesOf(version int, position int64) (all []store.Message) {
	key := []byte(m.keyAt(position))
	for i := range (int(position-m.origin) + version) % 3 {
		all = append(all, store.Message{
			MessageID: store.MessageID{Projection: m.name, Version: version, Position: position, Index: i},
			Type:      "changed", Subject: "sums.x", Key: key, ContentType: "text/plain", Data: key,
			Spread: store.Spread(store.PartitionHashOf(key)), Time: time.UnixMicro(position),
		})
	}
	return all
}

// passed notes that a version has applied an event, or skipped it. What the live version does counts at once.
func (m *outboxProtocol) passed(version int, position int64, applied bool) {
	v := m.versions[version]
	if applied {
		v.applied[position] = true
	} else {
		v.skipped[position] = true
	}
	if version == m.live {
		m.settle(version, position)
	}
}

// settle has the messages of an event be those of a version that has passed it, if they are owed.
func (m *outboxProtocol) settle(version int, position int64) {
	v := m.versions[version]
	if !m.owed[position] || !v.applied[position] && !v.skipped[position] {
		return
	}
	delete(m.owed, position)
	if v.applied[position] {
		for _, message := range m.messagesOf(version, position) {
			m.messages[store.OutboxID{MessageID: message.MessageID}] = &modelMessage{key: string(message.Key)}
		}
	}
}

// exchanged notes that a version is live now.
func (m *outboxProtocol) exchanged(version int) {
	m.live = version
	for _, position := range slices.Sorted(maps.Keys(m.owed)) {
		m.settle(version, position)
	}
}

func compareOutboxIDs(a, b store.OutboxID) int {
	return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Version, b.Version))
}

// pendingIDs are the first messages that may be sent, in order.
func (m *outboxProtocol) pendingIDs(limit int) (ids []store.OutboxID) {
	for id, message := range m.messages {
		f := m.failed[message.key]
		if !message.sent && (f == nil || !f.waits && compareOutboxIDs(id, f.id) <= 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareOutboxIDs)
	failed := 0
	ids = slices.DeleteFunc(ids, func(id store.OutboxID) bool {
		f := m.failed[m.messages[id].key]
		if f == nil || f.id != id {
			return false
		}
		failed++
		return failed > max(limit/2, 1)
	})
	return ids[:min(limit, len(ids))]
}

// check compares all that the outbox has.
func (m *outboxProtocol) check(t *rapid.T) {
	all, err := m.store.Messages(m.ctx, store.MessagesRequest{Projection: m.name})
	m.ok(err)
	if !slices.IsSortedFunc(all, func(a, b store.OutboxMessage) int { return compareOutboxIDs(a.ID(), b.ID()) }) {
		t.Fatalf("the messages are out of order: %s", m.nameAll(all))
	}
	found, held := 0, map[store.OutboxID]bool{}
	for i := range all {
		id := all[i].ID()
		if v := m.versions[id.Version]; all[i].State == store.MessageHeld {
			if held[id] = true; v == nil || id.Version == m.live || !v.applied[id.Position] {
				t.Fatalf("%s is held, version %d is live", m.nameOf(&all[i]), m.live)
			}
			continue
		}
		found++
		m.checkMessage(t, &all[i])
	}
	if found != len(m.messages) {
		t.Fatalf("there are %d messages, must be %d: %s, must be %v", found, len(m.messages), m.nameAll(all), m.messages)
	}
	m.checkHeld(t, held)
	pending, err := m.store.Pending(m.ctx, m.name, 1000, 1<<30)
	m.ok(err)
	if want := m.pendingIDs(1000); !slices.Equal(idsOf(pending), want) {
		t.Fatalf("pending is %s, must be %v", m.nameAll(pending), want)
	}
	m.checkStatus(t, len(held))
}

func (m *outboxProtocol) nameOf(message *store.OutboxMessage) string { return m.fixture.name(message) }

// checkMessage compares a message that is not held.
func (m *outboxProtocol) checkMessage(t *rapid.T, got *store.OutboxMessage) {
	want := m.messages[got.ID()]
	if want == nil {
		t.Fatalf("%s is %s, and must not be", m.nameOf(got), got.State)
	}
	state, attempts := store.MessagePending, 0
	f := m.failed[want.key]
	switch {
	case want.sent:
		state = store.MessageSent
	case f != nil && f.id == got.ID():
		state, attempts = store.MessageFailed, f.attempts
	}
	if got.State != state || got.Attempts != attempts || string(got.Key) != want.key || !bytes.Equal(got.Data, got.Key) {
		t.Fatalf("%s is %+v, must be %s after %d attempts", m.nameOf(got), got, state, attempts)
	}
}

// checkHeld checks that what is owed and was applied by a version that is not live is held: it would be lost otherwise.
func (m *outboxProtocol) checkHeld(t *rapid.T, held map[store.OutboxID]bool) {
	for version, v := range m.versions {
		if version == m.live {
			continue
		}
		for position := range v.applied {
			for _, message := range m.messagesOf(version, position) {
				if m.owed[position] && !held[store.OutboxID{MessageID: message.MessageID}] {
					t.Fatalf("%s is not held, and nobody has sent it; version %d is live", message.MessageID, m.live)
				}
			}
		}
	}
}

func (m *outboxProtocol) checkStatus(t *rapid.T, held int) {
	all, err := m.store.OutboxStatus(m.ctx, m.name)
	m.ok(err)
	want := store.OutboxStatus{Projection: m.name, Held: int64(held)}
	for _, message := range m.messages {
		if message.sent {
			want.Kept++
		} else {
			want.Pending++
		}
	}
	want.FailedKeys = len(m.failed)
	if len(all) != 1 {
		t.Fatalf("the status is %+v", all)
	}
	got := all[0]
	if got.Oldest.IsZero() != (want.Pending == 0) {
		t.Fatalf("the status is %+v, must be %+v", got, want)
	}
	got.Oldest, got.Exhausted = time.Time{}, 0
	if got != want {
		t.Fatalf("the status is %+v, must be %+v", got, want)
	}
}
