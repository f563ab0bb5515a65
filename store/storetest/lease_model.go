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

var leaseModelCases = []testCase{
	{"leases_claims_and_layouts_are_as_the_model_says", leaseModel},
}

// modelPositions is how far the log goes. Checkpoints reach it seldom: it is more than a run has commits.
const modelPositions = 400

// modelTick divides leases and pauses: few values, so that leases run out at the very moment that something is done.
const modelTick = 5 * time.Second

// leaseModel does what workers and users may do, in any order, while only the test moves the clock, and compares
// the database with a model after every step.
func leaseModel(f *fixture) {
	if f.Clock == nil {
		f.Skip("the driver has no clock that a test can move")
	}
	set := f.Clock(f, f.store)
	var now time.Duration
	set(now)
	catalogue := f.installed(1)
	f.handOut(f.at(modelPositions))
	rapid.Check(f.T, func(t *rapid.T) {
		m := &protocol{
			fixture: f, t: t, catalogue: catalogue, now: &now, set: set,
			leases: map[string]lease{}, workers: map[string]store.Worker{}, segments: map[int]*store.SegmentStatus{},
			epochs: map[int]int64{}, committed: map[[2]int64]string{}, applied: applied{{position: f.origin}},
		}
		m.log, m.events = f.logID(), f.read()
		m.begin()
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			// Without commits nothing else is worth much, so that there are many ways to come to one.
			"work":       m.work,
			"work more":  m.work,
			"go on":      m.goOn,
			"catch up":   m.catchUp,
			"stale work": m.staleWork,
			"heartbeat":  m.heartbeat,
			"claim":      m.claim,
			"release":    m.release,
			"fail":       m.fail,
			"leave":      m.leave,
			"split":      m.split,
			"merge":      m.merge,
			"resize":     m.resize,
			"settle":     m.settle,
			"install":    m.install,
			"wait":       m.wait,
		})
	})
}

// protocol is the database as it must be, and what has happened in one run.
type protocol struct {
	*fixture
	t         *rapid.T
	catalogue store.Catalogue
	set       func(since time.Duration)
	now       *time.Duration

	leases   map[string]lease
	workers  map[string]store.Worker // as they described themselves
	segments map[int]*store.SegmentStatus
	asked    int
	next     int
	log      store.LogID
	events   []store.RecordedEvent // of the log

	given     []store.Claim // every claim, as it was after each commit too
	applied   applied
	epochs    map[int]int64 // the highest seen of each segment, also of those that are gone
	committed map[[2]int64]string
}

// ok is must within a run, so that a history that fails is made shorter.
func (m *protocol) ok(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// begin starts over without the cost of another database: nobody is there, and new segments take the place of the old.
func (m *protocol) begin() {
	for _, name := range modelWorkers {
		m.ok(m.store.Leave(m.ctx, store.Worker{Name: name}))
	}
	n := rapid.IntRange(1, 4).Draw(m.t, "segments")
	m.ok(m.store.Reshard(m.ctx, "sums", func(l *store.Layout) error {
		fresh := store.NewLayout(n)
		fresh.Begin(m.log)
		for i := range fresh.Segments {
			fresh.Segments[i].Segment += l.Next
			fresh.Segments[i].Position = m.origin
		}
		fresh.Next += l.Next
		*l = *fresh
		m.adopt(fresh)
		return nil
	}))
}

// adopt makes the model's segments those of a layout, as a change of the stored layout does.
func (m *protocol) adopt(l *store.Layout) {
	m.asked, m.next = l.Desired, l.Next
	before := m.segments
	m.segments = map[int]*store.SegmentStatus{}
	for _, p := range l.Segments {
		s := &store.SegmentStatus{
			Segment: p.Segment, Range: p.Range, Position: p.Position, Applied: p.Applied,
			Failure: p.Failure, Merge: p.Merge,
		}
		if old, exists := before[p.Segment]; exists {
			s.Epoch = old.Epoch + 1
			if samePart(old, s) {
				s = old
			}
		}
		m.segments[p.Segment] = s
	}
}

func samePart(a, b *store.SegmentStatus) bool {
	return a.Range == b.Range && a.Position == b.Position && a.Failure == b.Failure && a.Merge == b.Merge
}

func (m *protocol) layout() *store.Layout {
	l := &store.Layout{Desired: m.asked, Next: m.next}
	for _, s := range m.segments {
		l.Segments = append(l.Segments, store.LayoutSegment{
			Segment: s.Segment, Range: s.Range, Position: s.Position, Applied: s.Applied, Failure: s.Failure,
			Merge: s.Merge,
		})
	}
	l.Sort()
	return l
}

// live tells whether a worker has a lease. One that would hold for longer than twice its length was given before
// the clock was set back.
func (m *protocol) live(worker string) bool {
	l, exists := m.leases[worker]
	return exists && l.until > *m.now && l.until <= *m.now+2*l.ttl
}

// lease is what the model knows of one.
type lease struct{ until, ttl time.Duration }

// held tells whether a claim holds but for its position.
func (m *protocol) held(c store.Claim) *store.SegmentStatus {
	if s, exists := m.segments[c.Segment]; exists && s.Owner == c.Worker && s.Epoch == c.Epoch {
		return s
	}
	return nil
}

// check compares all that the database shows.
func (m *protocol) check(t *rapid.T) {
	all, err := m.store.Status(m.ctx, "sums")
	m.ok(err)
	if len(all) != 1 || all[0].Desired != m.asked {
		t.Fatalf("status is %+v, %d segments were asked for", all, m.asked)
	}
	want := make([]store.SegmentStatus, 0, len(m.segments))
	for _, number := range slices.Sorted(maps.Keys(m.segments)) {
		s := *m.segments[number]
		s.Live = m.live(s.Owner)
		want = append(want, s)
	}
	for i := range all[0].Segments {
		s := &all[0].Segments[i]
		s.UpdatedAt, s.BehindSince = time.Time{}, time.Time{}
		if s.Epoch < m.epochs[s.Segment] {
			t.Fatalf("the epoch of segment %d goes back from %d to %d", s.Segment, m.epochs[s.Segment], s.Epoch)
		}
		m.epochs[s.Segment] = s.Epoch
	}
	if !slices.Equal(all[0].Segments, want) {
		t.Fatalf("segments are\n%+v, must be\n%+v", all[0].Segments, want)
	}
	m.ok(m.applied.agree(all[0].Segments))

	workers, err := m.store.Workers(m.ctx)
	m.ok(err)
	var alive []store.Worker
	for _, name := range slices.Sorted(maps.Keys(m.workers)) {
		if m.live(name) {
			alive = append(alive, m.workers[name])
		}
	}
	if !slices.EqualFunc(workers, alive, func(a, b store.Worker) bool {
		return a.Name == b.Name && a.Segments == b.Segments && slices.Equal(a.Projections, b.Projections)
	}) {
		t.Fatalf("workers are %+v, must be %+v", workers, alive)
	}
}

var modelWorkers = []string{"w1", "w2", "w3"}

func drawWorker(t *rapid.T) string { return rapid.SampledFrom(modelWorkers).Draw(t, "worker") }

func (m *protocol) heartbeat(t *rapid.T) {
	m.beat(t, drawWorker(t), rapid.IntRange(0, 4).Draw(t, "ticks"))
}

func (m *protocol) beat(t *rapid.T, name string, ticks int) {
	w := store.Worker{
		Name: name, Segments: rapid.IntRange(0, 3).Draw(t, "wanted"),
		Projections: rapid.SampledFrom([][]string{nil, {"sums"}, {"ants", "sums"}}).Draw(t, "projections"),
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
		if len(want) == limit || !m.live(name) || slices.Contains(held, number) || s.Failure != "" || s.Waits() ||
			!free {
			continue
		}
		s.Owner = name
		s.Epoch++
		want = append(want, store.Claim{
			Projection: "sums", Segment: number, Range: s.Range, Position: s.Position, Applied: s.Applied,
			MergeAt: s.Merge.At, Worker: name, Epoch: s.Epoch,
		})
	}
	claims, err := m.store.Claim(m.ctx, store.ClaimRequest{Projection: "sums", Worker: name, Limit: limit, Held: held})
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
	tx := m.catalogue.Begin(claim)
	err := tx.Commit(m.ctx, store.Commit{Through: through, Log: claim.Applied.Log})
	tx.Rollback()
	s := m.held(claim)
	switch holds := s != nil && s.Position == claim.Position; {
	case err != nil && !errors.Is(err, store.ErrFenced):
		t.Fatal(err)
	case holds != (err == nil):
		t.Fatalf("a commit of %+v gives %v, the segment is %+v", claim, err, s)
	case !holds:
		return
	}
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
	err := m.store.Reshard(m.ctx, "sums", change)
	switch {
	case (err == nil) != (refused == nil), err != nil && err.Error() != refused.Error():
		t.Fatalf("the change gives %v, must give %v", err, refused)
	case err == nil:
		m.adopt(want)
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
