package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

var parkingModelCases = []testCase{
	{"parked_keys_are_as_the_model_says", parkingModel},
}

// parkingModel does what workers and users may do with events that fail, in any order, also with claims that are lost,
// and compares the database with a model after every step.
func parkingModel(f *fixture) {
	if f.Clock == nil {
		f.Skip("the driver has no clock that a test can move")
	}
	set := f.Clock(f, f.store)
	var now time.Duration
	set(now)
	f.handOut(f.at(modelPositions))
	log, events, version := f.logID(), f.read(), 1
	rapid.Check(f.T, func(t *rapid.T) {
		m := &parkedProtocol{protocol: &protocol{
			fixture: f, t: t, now: &now, set: set, leases: map[string]lease{}, workers: map[string]store.Worker{},
			log: log, events: events,
		}, version: &version}
		m.pass = m.passEvents
		m.reset(t)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			// Most histories need commits and retries to come to anything.
			"work":        m.work,
			"work more":   m.work,
			"go on":       m.goOn,
			"catch up":    m.catchUp,
			"stale work":  m.staleWork,
			"retry":       m.retry,
			"retry more":  m.retry,
			"stale retry": m.staleRetry,
			"order":       m.order,
			"heartbeat":   m.heartbeat,
			"claim":       m.claim,
			"release":     m.release,
			"leave":       m.leave,
			"split":       m.split,
			"merge":       m.merge,
			"resize":      m.resize,
			"settle":      m.settle,
			"wait":        m.wait,
			"reset":       m.reset,
		})
	})
}

// parkedProtocol is the database as it must be, with the keys that are parked.
type parkedProtocol struct {
	*protocol
	version    *int // of the projection, the last one of all runs
	projection *store.Projection
	parkedState
}

// parkedState is what a commit or a retry changes besides checkpoints.
type parkedState struct {
	parked  map[string]*modelParked
	skipped map[int64]store.SkippedEvent
	rows    map[string]string // the positions that are applied, in order
}

// modelParked is a parked key as it must be.
type modelParked struct {
	store.ParkedKey
	positions []int64
	tried     []string
}

func (s *parkedState) clone() parkedState {
	c := parkedState{parked: map[string]*modelParked{}, skipped: maps.Clone(s.skipped), rows: maps.Clone(s.rows)}
	for key, k := range s.parked {
		copied := *k
		copied.positions, copied.tried = slices.Clone(k.positions), slices.Clone(k.tried)
		c.parked[key] = &copied
	}
	return c
}

// note adds an event to a parked key.
func (k *modelParked) note(position int64) {
	k.positions = append(k.positions, position)
	k.Last = max(k.Last, position)
}

// skip leaves an event out.
func (s *parkedState) skip(key string, position int64) store.SkippedEvent {
	e := store.SkippedEvent{Key: []byte(key), Position: position, Event: modelEvent(position), Error: "skipped"}
	s.skipped[position] = e
	return e
}

// modelKeys are partition keys; the events of the log take turns.
var modelKeys = []string{"a", "b", "", "\xff\x00", "d", "e", "f"}

// keyAt is the key of the event at a position. A run's rows show which events of it were applied, and in which order.
func (m *parkedProtocol) keyAt(position int64) string {
	return modelKeys[(position-m.origin)*5%int64(len(modelKeys))]
}

// modelEvent is the id that the model gives the event at a position.
func modelEvent(position int64) (id store.UUID) {
	copy(id[:], fmt.Sprintf("%016d", position))
	return id
}

// The write and the query of traces.
const (
	traceAdd = iota
	traceAll = 0
)

// traces has the positions that were applied, by key and in order.
func traces(version int) *store.Projection {
	return &store.Projection{
		Name: "sums", Version: version,
		Tables: []store.Table{{
			Name: "trace", Key: []string{"name"},
			Columns: []store.Column{
				{Name: "name", Type: typed("text"), Partition: true}, // the key in hex
				{Name: "positions", Type: typed("text"), NotNull: true},
			},
		}},
		Writes: []store.Write{{
			Name: "add", Params: types("text", "text"), PartitionParam: 1,
			SQL: store.Statement{
				store.DialectAny: `INSERT INTO {trace} AS t (name, positions) VALUES ($1, $2)
					ON CONFLICT (name) DO UPDATE SET positions = t.positions || excluded.positions`,
				store.DialectMySQL: `INSERT INTO {trace} (name, positions) VALUES ($1, $2)
					ON DUPLICATE KEY UPDATE positions = CONCAT(positions, VALUES(positions))`,
			},
		}},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT name, positions FROM {trace}`), Results: types("text", "text"), Unordered: true,
		}},
	}
}

// reset deletes the projection and installs it again, sometimes in another version.
func (m *parkedProtocol) reset(t *rapid.T) {
	for _, name := range modelWorkers {
		m.ok(m.store.Leave(m.ctx, store.Worker{Name: name}))
	}
	if all, err := m.store.Status(m.ctx, "sums"); err != nil || len(all) > 0 {
		m.ok(err)
		m.ok(m.store.Reset(m.ctx, "sums"))
	}
	if rapid.IntRange(0, 3).Draw(t, "another version") == 0 {
		*m.version++
	}
	m.projection = traces(*m.version)
	m.id = m.projection.ID()
	var err error
	m.catalogue, err = m.store.Install(m.ctx, m.projection, 1)
	m.ok(err)
	clear(m.leases)
	clear(m.workers)
	m.segments, m.given = map[int]*store.SegmentStatus{}, nil
	m.epochs, m.committed, m.applied = map[int]int64{}, map[[2]int64]string{}, applied{{position: m.origin}}
	m.parkedState = parkedState{
		parked: map[string]*modelParked{}, skipped: map[int64]store.SkippedEvent{}, rows: map[string]string{},
	}
	m.begin()
}

// check compares all that the database shows.
func (m *parkedProtocol) check(t *rapid.T) {
	m.protocol.check(t)
	code := rapid.SampledFrom(modelCodes).Draw(t, "asked with code")
	keys, err := m.store.Parked(m.ctx, store.ParkedRequest{Projection: m.id, Range: store.FullRange(), Code: code})
	m.ok(err)
	if len(keys) != len(m.parked) {
		t.Fatalf("%d keys are parked, must be %d", len(keys), len(m.parked))
	}
	for i := range keys {
		k := &keys[i]
		want, is := m.parked[string(k.Key)]
		if !is {
			t.Fatalf("key %q is parked, and must not be", k.Key)
		}
		m.checkKey(t, k, want, code)
	}
	m.checkRows(t)
	skipped, err := m.store.Skipped(m.ctx, m.id, 0, 10*modelPositions)
	m.ok(err)
	positions := slices.Sorted(maps.Keys(m.skipped))
	for i := range skipped {
		if skipped[i].SkippedAt = (time.Time{}); i >= len(positions) || !sameSkip(skipped[i], m.skipped[positions[i]]) {
			t.Fatalf("skipped are %+v, must be %+v", skipped, m.skipped)
		}
	}
	if len(skipped) != len(positions) {
		t.Fatalf("skipped are %+v, must be %+v", skipped, m.skipped)
	}
}

func sameSkip(a, b store.SkippedEvent) bool {
	return string(a.Key) == string(b.Key) && a.Position == b.Position && a.Event == b.Event && a.Error == b.Error
}

// checkKey compares a parked key. Times of tries go by the server's clock, which the test does not move: they are not
// compared.
func (m *parkedProtocol) checkKey(t *rapid.T, got *store.ParkedKey, want *modelParked, code string) {
	expected := want.ParkedKey
	expected.First, expected.Events = want.positions[0], int64(len(want.positions))
	due := want.Order != "" || code != "" && !slices.Contains(want.tried, code)
	timed := !want.NextAttempt.IsZero()
	if timed != !got.NextAttempt.IsZero() || !timed && got.Due != due || due && !got.Due {
		t.Fatalf("key %q is due: %t, next at %v; must be: %t or by its time: %t", got.Key, got.Due, got.NextAttempt, due, timed)
	}
	seen := *got
	expected.Tried = slices.Sorted(slices.Values(want.tried))
	seen.Tried = slices.Sorted(slices.Values(got.Tried))
	for _, k := range []*store.ParkedKey{&seen, &expected} {
		k.ParkedAt, k.NextAttempt, k.Due = time.Time{}, time.Time{}, false
	}
	if fmt.Sprintf("%+v", seen) != fmt.Sprintf("%+v", expected) {
		t.Fatalf("key is\n%+v, must be\n%+v", seen, expected)
	}
	positions, err := m.store.ParkedPositions(m.ctx, want.ParkedID, 0, 10*modelPositions)
	m.ok(err)
	if !slices.Equal(positions, want.positions) {
		t.Fatalf("key %q has noted %v, must have %v", got.Key, positions, want.positions)
	}
}

// checkRows compares the table.
func (m *parkedProtocol) checkRows(t *rapid.T) {
	tx := m.catalogue.Begin(store.Claim{Projection: m.id})
	defer tx.Rollback()
	var rows store.Rows
	m.ok(tx.Query(m.ctx, traceAll, nil, &rows))
	got := map[string]string{}
	for i := 0; i+1 < len(rows.Values); i += 2 {
		got[string(rows.Values[i].Bytes())] = string(rows.Values[i+1].Bytes())
	}
	if !maps.Equal(got, m.rows) {
		t.Fatalf("the rows are %q, must be %q", got, m.rows)
	}
	for key, positions := range m.rows {
		parts := strings.Fields(positions)
		if !slices.IsSortedFunc(parts, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) }) {
			t.Fatalf("the events of key %q are out of order: %s", key, positions)
		}
	}
}
