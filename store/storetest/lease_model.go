package storetest

import (
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
			id: sumsID,
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
			"pause":      m.pause,
			"resume":     m.resume,
			"resume too": m.resume,
			"wait":       m.wait,
		})
	})
}

// protocol is the database as it must be, and what has happened in one run.
type protocol struct {
	*fixture
	t         *rapid.T
	id        store.ProjectionID
	catalogue store.Catalogue
	pass      passing
	set       func(since time.Duration)
	now       *time.Duration

	leases   map[string]lease
	workers  map[string]store.Worker // as they described themselves
	segments map[int]*store.SegmentStatus
	asked    int
	next     int
	paused   bool
	log      store.LogID
	events   []store.RecordedEvent // of the log

	given     []store.Claim // every claim, as it was after each commit too
	applied   applied
	epochs    map[int]int64 // the highest seen of each segment, also of those that are gone
	committed map[[2]int64]string
}

// passing adds to a commit what becomes of the events that it passes, and returns what changes in the model by it, and
// the error that the store must give instead where the claim holds. It is nil where only checkpoints matter.
type passing func(t *rapid.T, claim store.Claim, commit *store.Commit) (committed func(), want error)

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
	_, err := m.store.SetPaused(m.ctx, m.id.Name, false)
	m.ok(err)
	n := rapid.IntRange(1, 4).Draw(m.t, "segments")
	m.ok(m.store.Reshard(m.ctx, m.id, func(l *store.Layout) error {
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

// live reports whether a worker has a lease. One that would hold for longer than twice its length was given before
// the clock was set back.
func (m *protocol) live(worker string) bool {
	l, exists := m.leases[worker]
	return exists && l.until > *m.now && l.until <= *m.now+2*l.ttl
}

// lease is what the model knows of one.
type lease struct{ until, ttl time.Duration }

// held reports whether a claim holds, whatever its position.
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
	if len(all) != 1 || all[0].Desired != m.asked || all[0].Paused() != m.paused {
		t.Fatalf("status is %+v, %d segments were asked for, paused is %t", all, m.asked, m.paused)
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
