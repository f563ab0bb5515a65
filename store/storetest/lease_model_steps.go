package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func drawWorker(t *rapid.T) string { return rapid.SampledFrom(modelWorkers).Draw(t, "worker") }

func (m *protocol) heartbeat(t *rapid.T) {
	m.beat(t, drawWorker(t), rapid.IntRange(0, 4).Draw(t, "ticks"))
}

func (m *protocol) beat(t *rapid.T, name string, ticks int) {
	w := store.Worker{
		Name: name, Segments: rapid.IntRange(0, 3).Draw(t, "wanted"),
		Projections: rapid.SampledFrom([][]store.Membership{
			nil,
			{{ProjectionID: sumsID}},
			{{ProjectionID: store.ProjectionID{Name: "ants", Version: 3}, Segments: 2}, {ProjectionID: sumsID}},
		}).Draw(t, "projections"),
	}
	ttl := time.Duration(ticks) * modelTick
	m.ok(m.store.Heartbeat(m.ctx, w, ttl))
	m.workers[w.Name], m.leases[w.Name] = w, lease{until: *m.now + ttl, ttl: ttl}
	for other, l := range m.leases {
		if other != name && (l.until < *m.now-time.Hour || l.until > *m.now+2*l.ttl) {
			delete(m.leases, other)
			delete(m.workers, other)
		}
	}
}

func (m *protocol) claim(t *rapid.T) {
	name := drawWorker(t)
	var held []int
	for _, number := range slices.Sorted(maps.Keys(m.segments)) {
		if m.segments[number].Owner == name && rapid.Bool().Draw(t, "held") {
			held = append(held, number)
		}
	}
	m.claimFor(t, name, rapid.IntRange(0, 3).Draw(t, "limit"), held)
}

func (m *protocol) claimFor(t *rapid.T, name string, limit int, held []int) []store.Claim {
	var want []store.Claim
	for _, number := range slices.Sorted(maps.Keys(m.segments)) {
		s := m.segments[number]
		free := s.Owner == "" || s.Owner == name || !m.live(s.Owner)
		if m.paused || len(want) == limit || !m.live(name) || slices.Contains(held, number) || s.Failure != "" || s.Waits() ||
			!free {
			continue
		}
		s.Owner = name
		s.Epoch++
		want = append(want, store.Claim{
			Projection: m.id, Segment: number, Range: s.Range, Position: s.Position, Applied: s.Applied,
			MergeAt: s.Merge.At, Worker: name, Epoch: s.Epoch,
		})
	}
	claims, err := m.store.Claim(m.ctx, store.ClaimRequest{Projection: m.id, Worker: name, Limit: limit, Held: held})
	m.ok(err)
	if !slices.Equal(claims, want) {
		t.Fatalf("%s claims %+v, must get %+v", name, claims, want)
	}
	m.given = append(m.given, claims...)
	return claims
}

// drawClaim takes one of the claims ever given, or of the last few.
func (m *protocol) drawClaim(t *rapid.T, of int) (store.Claim, bool) {
	if len(m.given) == 0 {
		return store.Claim{}, false
	}
	back := rapid.IntRange(1, min(of, len(m.given))).Draw(t, "back")
	return m.given[len(m.given)-back], true
}

// work is a worker's round.
func (m *protocol) work(t *rapid.T) {
	name := drawWorker(t)
	m.beat(t, name, rapid.IntRange(1, 4).Draw(t, "ticks"))
	for _, claim := range m.claimFor(t, name, rapid.IntRange(1, 2).Draw(t, "limit"), nil) {
		m.commit(t, claim, rapid.Int64Range(1, 3).Draw(t, "events"))
	}
}

func (m *protocol) goOn(t *rapid.T) {
	if claim, ok := m.drawClaim(t, 4); ok {
		m.commit(t, claim, rapid.Int64Range(1, 3).Draw(t, "events"))
	}
}

func (m *protocol) staleWork(t *rapid.T) {
	if claim, ok := m.drawClaim(t, len(m.given)); ok {
		m.commit(t, claim, rapid.Int64Range(1, 3).Draw(t, "events"))
	}
}

// catchUp brings a segment that is being merged to its barrier, which takes too many steps to happen often by itself.
func (m *protocol) catchUp(t *rapid.T) {
	name := drawWorker(t)
	m.beat(t, name, 1)
	for _, claim := range m.claimFor(t, name, len(m.segments), nil) {
		if claim.MergeAt > 0 {
			m.commit(t, claim, claim.MergeAt-claim.Position)
		}
	}
}

// commit applies some events with a claim, as the worker does that believes in it: never past the barrier.
func (m *protocol) commit(t *rapid.T, claim store.Claim, events int64) {
	through := min(claim.Position+events, m.at(modelPositions))
	if claim.MergeAt > 0 {
		through = min(through, claim.MergeAt)
	}
	if through == claim.Position {
		return
	}
	commit := store.Commit{Through: through, Log: claim.Applied.Log}
	var want error
	committed := func() {}
	if m.pass != nil {
		committed, want = m.pass(t, claim, &commit)
	}
	s := m.held(claim)
	if s == nil || s.Position != claim.Position {
		want = store.ErrFenced
	}
	tx := m.catalogue.Begin(claim)
	err := tx.Commit(m.ctx, commit)
	tx.Rollback()
	if !errors.Is(err, want) {
		t.Fatalf("a commit of %+v gives %v, must give %v, the segment is %+v", claim, err, want, s)
	}
	if err != nil {
		return
	}
	committed()
	s.Position = through
	for i := range m.events {
		if e := &m.events[i]; e.Position <= through {
			s.Applied = store.Applied{Log: m.log, Position: e.Position, Event: e.ID}
		}
	}
	key := [2]int64{int64(claim.Segment), claim.Epoch}
	if other := cmp.Or(m.committed[key], claim.Worker); other != claim.Worker {
		t.Fatalf("%s and %s committed to segment %d in epoch %d", other, claim.Worker, claim.Segment, claim.Epoch)
	}
	m.committed[key] = claim.Worker
	// The worker reads the streams of the range that it was given, whatever the layout is by now.
	m.ok(m.applied.move(claim.Range, claim.Position, through))
	claim.Position = through
	m.given = append(m.given, claim)
}

func (m *protocol) release(t *rapid.T) {
	claim, ok := m.drawClaim(t, 8)
	if !ok {
		return
	}
	m.ok(m.store.Release(m.ctx, claim))
	if s := m.held(claim); s != nil {
		s.Owner = ""
	}
}

func (m *protocol) fail(t *rapid.T) {
	claim, ok := m.drawClaim(t, 8)
	if !ok {
		return
	}
	reason := fmt.Sprint("failed at ", claim.Position)
	err := m.store.Fail(m.ctx, claim, reason)
	s := m.held(claim)
	if s == nil {
		if !errors.Is(err, store.ErrFenced) {
			t.Fatalf("failing %+v: %v, want ErrFenced", claim, err)
		}
		return
	}
	m.ok(err)
	s.Owner, s.Failure = "", reason
}

func (m *protocol) leave(t *rapid.T) {
	name := drawWorker(t)
	m.ok(m.store.Leave(m.ctx, store.Worker{Name: name}))
	delete(m.leases, name)
	delete(m.workers, name)
	for _, s := range m.segments {
		if s.Owner == name {
			s.Owner = ""
		}
	}
}

func (m *protocol) split(t *rapid.T) {
	segment, parts := m.drawSegment(t), rapid.IntRange(1, 3).Draw(t, "parts")
	m.reshard(t, func(l *store.Layout) error { return l.Split(segment, parts) })
}

func (m *protocol) merge(t *rapid.T) {
	parts := m.layout().Segments
	at := rapid.IntRange(0, len(parts)-1).Draw(t, "at")
	a, b := parts[at].Segment, parts[min(at+1, len(parts)-1)].Segment
	m.reshard(t, func(l *store.Layout) error { return l.Merge(a, b) })
}

func (m *protocol) resize(t *rapid.T) {
	n := rapid.IntRange(1, 5).Draw(t, "n")
	m.reshard(t, func(l *store.Layout) error { return l.Resize(n) })
}

func (m *protocol) settle(t *rapid.T) {
	m.reshard(t, func(l *store.Layout) error { l.CompleteMerges(); return nil })
}

func (m *protocol) drawSegment(t *rapid.T) int {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.segments))).Draw(t, "segment")
}

// reshard does the same to the stored layout and to the model's.
func (m *protocol) reshard(t *rapid.T, change func(*store.Layout) error) {
	want := m.layout()
	refused := change(want)
	err := m.store.Reshard(m.ctx, m.id, change)
	switch {
	case (err == nil) != (refused == nil), err != nil && err.Error() != refused.Error():
		t.Fatalf("the change gives %v, must give %v", err, refused)
	case err == nil:
		m.adopt(want)
	}
}

func (m *protocol) pause(t *rapid.T) { m.setPaused(t, true) }

func (m *protocol) resume(t *rapid.T) { m.setPaused(t, false) }

func (m *protocol) setPaused(t *rapid.T, paused bool) {
	changed, err := m.store.SetPaused(m.ctx, m.id.Name, paused)
	m.ok(err)
	if changed != (paused != m.paused) {
		t.Fatalf("paused %t changes %t, it was %t", paused, changed, m.paused)
	}
	m.paused = paused
	for _, s := range m.segments { // those of workers that are gone are fenced
		if paused && s.Owner != "" && !m.live(s.Owner) {
			s.Owner = ""
			s.Epoch++
		}
	}
}

// install clears failures. It is slow, and does nothing where there are none.
func (m *protocol) install(*rapid.T) {
	if !slices.ContainsFunc(m.layout().Segments, func(p store.LayoutSegment) bool { return p.Failure != "" }) {
		return
	}
	_, err := m.store.Install(m.ctx, totals("sums"), 7)
	m.ok(err)
	for _, s := range m.segments {
		s.Failure = ""
	}
}

// wait lets time pass: some ticks, or so long that workers that are gone are forgotten; or somebody sets the clock
// back.
func (m *protocol) wait(t *rapid.T) {
	*m.now += rapid.SampledFrom([]time.Duration{
		modelTick, modelTick / 2, 3 * modelTick, 2 * time.Hour, -modelTick,
		-2 * time.Hour,
	}).Draw(t, "pause")
	m.set(*m.now)
}
