package segments

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// sumsID is the projection of a crowd, antsID another one.
var (
	sumsID = store.ProjectionID{Name: "sums", Version: 2}
	antsID = store.ProjectionID{Name: "ants", Version: 2}
)

// crowd is a projection and the workers that run it, each of which acts on what it saw, which may be a while ago.
type crowd struct {
	projection store.ProjectionStatus
	workers    []store.Worker
	views      []view         // what there was to see, after each act
	fresh      map[string]int // the first view that a worker may act upon: as in runner, none from before its last act
	claims     int            // segments that changed hands
}

func newCrowd(workers, segments int) *crowd {
	c := &crowd{projection: store.ProjectionStatus{ProjectionID: sumsID}, fresh: map[string]int{}}
	for i := range segments {
		c.projection.Segments = append(c.projection.Segments, store.SegmentStatus{Segment: i})
	}
	for range workers {
		c.join()
	}
	return c
}

// join adds a worker, under a name that sorts anywhere among the others.
func (c *crowd) join() string {
	name := fmt.Sprintf("%x", lot("worker", fmt.Sprint(len(c.fresh))))
	c.fresh[name] = len(c.views)
	c.workers = append(c.workers, store.Worker{Name: name, Projections: []store.Membership{
		{ProjectionID: antsID}, {ProjectionID: sumsID},
	}})
	c.show()
	return name
}

// leave lets a worker go, and nobody own what it had.
func (c *crowd) leave(name string) {
	c.workers = slices.DeleteFunc(slices.Clone(c.workers), func(w store.Worker) bool { return w.Name == name })
	for i := range c.projection.Segments {
		if s := &c.projection.Segments[i]; s.Owner == name {
			s.Owner, s.Live = "", false
		}
	}
	c.show()
}

// show makes the present state one that can be seen.
func (c *crowd) show() {
	p := c.projection
	p.Segments = slices.Clone(p.Segments)
	c.views = append(c.views, view{workers: c.workers, projections: map[store.ProjectionID]*store.ProjectionStatus{
		p.ProjectionID: &p,
	}})
}

func (c *crowd) held(name string) (held []int) {
	for i, s := range c.projection.Segments {
		if s.Owner == name {
			held = append(held, i)
		}
	}
	return held
}

// act is what runner.balance does: claim what there is room for, or give up what is beyond the share.
func (c *crowd) act(name string, late int) {
	v := c.views[max(len(c.views)-1-late, c.fresh[name])]
	held := c.held(name)
	room := share(v.projections[sumsID], v.workers, name) - len(held)
	before := slices.Clone(c.projection.Segments)
	for ; room < 0; room++ {
		s := &c.projection.Segments[held[len(held)-1]]
		s.Owner, s.Live = "", false
		held = held[:len(held)-1]
	}
	for i := range c.projection.Segments {
		if s := &c.projection.Segments[i]; room > 0 && !s.Live && claimable(s) {
			s.Owner, s.Live = name, true
			room--
			c.claims++
		}
	}
	if !slices.Equal(before, c.projection.Segments) {
		c.fresh[name] = len(c.views)
	}
	c.show()
}

// round lets every worker act once, in any order, on what it may have seen as long ago as all of them have
// acted since.
func (c *crowd) round(t *rapid.T) {
	for _, w := range rapid.Permutation(c.workers).Draw(t, "order") {
		c.act(w.Name, rapid.IntRange(0, len(c.workers)).Draw(t, "late"))
	}
}

// even reports that the work is spread as evenly as it can be, and none is left.
func (c *crowd) even() bool {
	total, least, most := 0, len(c.projection.Segments), 0
	for i := range c.projection.Segments {
		s := &c.projection.Segments[i]
		if claimable(s) {
			total++
		}
	}
	held := 0
	for _, w := range c.workers {
		n := len(c.held(w.Name))
		least, most, held = min(least, n), max(most, n), held+n
	}
	return held == total && most-least <= 1
}

// settle lets the workers act until the work is spread evenly.
func (c *crowd) settle(t *rapid.T) (rounds int) {
	for !c.even() {
		c.round(t)
		if rounds++; rounds > settleMax {
			t.Fatalf("after %d rounds the segments are %+v", rounds, c.projection.Segments)
		}
	}
	return rounds
}

const (
	settleMax = 6 // more rounds than any crowd needs
	straysMax = 3 // more segments than any crowd moves for nothing, because of views that are a round old
)

// scatter gives the segments to anybody: members, workers of other projections, the dead, nobody. Some are no work.
func (c *crowd) scatter(t *rapid.T, strangers ...string) {
	owners := append([]string{"", "dead"}, strangers...)
	for _, w := range c.workers {
		owners = append(owners, w.Name)
	}
	for i := range c.projection.Segments {
		s := &c.projection.Segments[i]
		s.Owner = rapid.SampledFrom(owners).Draw(t, "owner")
		s.Live = s.Owner != "" && s.Owner != "dead"
		switch rapid.IntRange(0, 9).Draw(t, "state") {
		case 0:
			*s = store.SegmentStatus{Segment: s.Segment, Failure: "bad"}
		case 1:
			*s = store.SegmentStatus{Segment: s.Segment, Position: 5, Merge: store.Merge{At: 5}}
		}
	}
	c.show()
}

func drawCrowd(t *rapid.T) *crowd {
	return newCrowd(rapid.IntRange(1, 7).Draw(t, "workers"), rapid.IntRange(0, 24).Draw(t, "segments"))
}

func TestShare_addsUpAndIsEven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t)
		c.scatter(t, "stranger")
		others := append(slices.Clone(c.workers), store.Worker{Name: "stranger", Projections: []store.Membership{
			{ProjectionID: antsID}, {ProjectionID: store.ProjectionID{Name: "sums", Version: 1}},
		}})
		total, sum := 0, 0
		for i := range c.projection.Segments {
			if claimable(&c.projection.Segments[i]) {
				total++
			}
		}
		for _, w := range c.workers {
			n := share(&c.projection, others, w.Name)
			if n < total/len(c.workers) || n > (total+len(c.workers)-1)/len(c.workers) {
				t.Fatalf("of %d segments and %d workers %s has a share of %d", total, len(c.workers), w.Name, n)
			}
			sum += n
		}
		if sum != total {
			t.Fatalf("the shares of %d segments add up to %d", total, sum)
		}
	})
}

// TestShare_ofOneThatIsNotRegisteredYet counts the worker in that asks, whatever the database knows.
func TestShare_ofOneThatIsNotRegisteredYet(t *testing.T) {
	t.Parallel()
	c := newCrowd(3, 8)
	if n := share(&c.projection, c.workers, "new"); n != 2 {
		t.Errorf("the share is %d, must be 2 of 8 among 4", n)
	}
	if n := share(&c.projection, nil, "new"); n != 8 {
		t.Errorf("alone the share is %d, must be 8", n)
	}
}

func TestShare_settlesFromAnyStart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t)
		c.scatter(t)
		c.settle(t)
		// Then nobody moves any more, also who sees only now what was before.
		claims, owners := c.claims, slices.Clone(c.projection.Segments)
		for range 4 {
			c.round(t)
		}
		if !c.even() {
			t.Fatalf("it was even and is %+v", c.projection.Segments)
		}
		if moved := c.claims - claims; moved > straysMax {
			t.Fatalf("%d segments moved after all was even, from\n%+v to\n%+v", moved, owners, c.projection.Segments)
		}
		claims, owners = c.claims, slices.Clone(c.projection.Segments)
		for range 4 {
			c.round(t)
		}
		if c.claims != claims || !slices.Equal(owners, c.projection.Segments) {
			t.Fatalf("it goes on for ever, from\n%+v to\n%+v", owners, c.projection.Segments)
		}
	})
}

// TestShare_whoComesOrGoesMovesLittle counts the segments that change hands: those of who left, and the share
// of who came.
func TestShare_whoComesOrGoesMovesLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(rapid.IntRange(2, 7).Draw(t, "workers"), rapid.IntRange(0, 24).Draw(t, "segments"))
		for range 3 {
			for range settleMax { // until everyone knows
				c.round(t)
			}
			before, needed := c.claims, 0
			if len(c.workers) > 2 && rapid.Bool().Draw(t, "leave") {
				name := rapid.SampledFrom(c.workers).Draw(t, "worker").Name
				needed = len(c.held(name))
				c.leave(name)
			} else {
				needed = len(c.projection.Segments) / (len(c.workers) + 1)
				c.join()
			}
			c.settle(t)
			for range settleMax {
				c.round(t)
			}
			if moved := c.claims - before; moved < needed || moved > needed+straysMax {
				t.Fatalf("%d segments moved, %d had to", moved, needed)
			}
		}
	})
}

// TestShare_spreadsSingleSegments has many projections with one segment each, which no rule of each by itself
// would spread.
func TestShare_spreadsSingleSegments(t *testing.T) {
	t.Parallel()
	const projections = 200
	for workers := 2; workers <= 8; workers++ {
		c := newCrowd(workers, 1)
		load := map[string]int{}
		for i := range projections {
			p := &store.ProjectionStatus{
				ProjectionID: store.ProjectionID{Name: fmt.Sprint("projection_", i), Version: 1},
				Segments:     make([]store.SegmentStatus, 1),
			}
			var all []store.Worker
			for _, w := range c.workers {
				all = append(all, store.Worker{Name: w.Name, Projections: []store.Membership{{ProjectionID: p.ProjectionID}}})
			}
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, w := range all {
				load[w.Name] += share(p, all, w.Name)
			}
		}
		fair := projections / workers
		for _, n := range load {
			if n < fair/2 || n > 2*fair {
				t.Errorf("%d projections on %d workers: %v", projections, workers, slices.Collect(maps.Values(load)))
				break
			}
		}
	}
}
