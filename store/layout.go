package store

import (
	"cmp"
	"fmt"
	"slices"
)

// SegmentsMax is the most segments that a projection may have.
const SegmentsMax = 1024

// Layout is the division of a projection's streams into segments. Its methods change it, within [Projections.Reshard]:
//
//   - Split divides the streams of one segment among several, each with its checkpoint.
//   - Merge makes one segment of two neighbours. If their checkpoints differ, the merge waits: no segment passes the
//     highest checkpoint, and CompleteMerges completes the merge when all have reached it.
//   - Resize divides all streams evenly, by splits and merges.
//
// They never move a checkpoint, so no event is lost or repeated.
type Layout struct {
	// Single is set for a projection that takes all events in one order, and so has one segment.
	Single bool
	// Desired is the number of segments that Install or Resize asked for last. Split and Merge do not change it.
	Desired int
	// Next is the number of the next new segment. Numbers are not reused: a claim on a segment that is gone must
	// not fit another one.
	Next int
	// Segments are the segments in order of their ranges, which hold every stream once.
	Segments []LayoutSegment
}

// LayoutSegment is one segment of a layout.
type LayoutSegment struct {
	Segment  int
	Range    HashRange
	Position int64
	Applied  Applied
	Failure  string // why it failed; "" when it has not
	Merge    Merge
}

// Merge is a merge that waits for some of its segments, or a hold (see [Layout.Hold]). The zero value is neither.
type Merge struct {
	Into int   // the segment that they become
	At   int64 // the position that none of them passes, and all have to reach; 0 where there is no merge
}

// NewLayout divides all streams into n segments at position 0.
func NewLayout(n int) *Layout {
	n = max(n, 1)
	l := &Layout{Desired: n, Next: n}
	for i, r := range SplitRange(n) {
		l.Segments = append(l.Segments, LayoutSegment{Segment: i, Range: r})
	}
	return l
}

// Begin makes the segments of a new layout begin with a log.
func (l *Layout) Begin(log LogID) {
	for i := range l.Segments {
		l.Segments[i].Applied = Applied{Log: log}
	}
}

// Layout returns the layout as it was when the status was read; its Next is not known.
func (p *ProjectionStatus) Layout() *Layout {
	l := &Layout{Desired: p.Desired}
	for i := range p.Segments {
		s := &p.Segments[i]
		l.Segments = append(l.Segments, LayoutSegment{
			Segment: s.Segment, Range: s.Range, Position: s.Position, Applied: s.Applied, Failure: s.Failure,
			Merge: s.Merge,
		})
	}
	l.Sort()
	return l
}

// Split divides one segment's streams evenly among itself and parts-1 new ones.
//
// # Errors
//
// [*InputError] when there is no such segment, or it cannot be divided.
func (l *Layout) Split(segment, parts int) error {
	at, err := l.find(segment)
	if err != nil {
		return err
	}
	p := l.Segments[at]
	width := uint64(p.Range.Last) - uint64(p.Range.First) + 1
	switch {
	case l.Single:
		return refuse(segment, "cannot be split: the projection takes all events in one order")
	case p.Merge.At > 0:
		return p.busy("split")
	case parts < 2:
		return refuse(segment, "can be split into 2 parts or more, not into %d", parts)
	case len(l.Segments)+parts-1 > SegmentsMax:
		return refuse(segment, "cannot be split: a projection has at most %d segments", SegmentsMax)
	case uint64(parts) > width:
		return refuse(segment, "is too narrow to be split into %d", parts)
	}
	bounds := make([]uint32, 0, parts-1)
	for i := 1; i < parts; i++ {
		bounds = append(bounds, p.Range.First+uint32(width*uint64(i)/uint64(parts)))
	}
	l.Segments = slices.Replace(l.Segments, at, at+1, l.cut(p, bounds)...)
	return nil
}

// Merge makes one segment of two neighbours: at once when both are at the same position, and by CompleteMerges
// otherwise.
//
// # Errors
//
// [*InputError] when they are not neighbours or one has failed.
func (l *Layout) Merge(a, b int) error {
	first, err := l.find(a)
	if err != nil {
		return err
	}
	second, err := l.find(b)
	if err != nil {
		return err
	}
	if first > second {
		first, second = second, first
	}
	if second != first+1 {
		return refuse(a, "is no neighbour of segment %d: Store.Status shows them in order", b)
	}
	return l.merge(first, second+1)
}

// Resize divides all streams evenly among n segments, and remembers that n was asked for.
//
// # Errors
//
// [*InputError] when n is out of range, a merge is under way, or a segment that has failed would have to be merged.
func (l *Layout) Resize(n int) error {
	if n < 1 || n > SegmentsMax {
		return &InputError{Field: "the number of segments", Reason: fmt.Sprintf("must be 1 to %d, not %d", SegmentsMax,
			n)}
	}
	if l.Single && n > 1 {
		return &InputError{Field: "the number of segments", Reason: "must be 1: the projection takes all events " +
			"in one order"}
	}
	ranges := SplitRange(n)
	var parts []LayoutSegment
	for _, p := range l.Segments {
		if err := p.busy("divide"); err != nil {
			return err
		}
		var bounds []uint32
		for _, r := range ranges {
			if p.Range.First < r.First && r.First <= p.Range.Last {
				bounds = append(bounds, r.First)
			}
		}
		parts = append(parts, l.cut(p, bounds)...)
	}
	l.Desired, l.Segments = n, parts
	for _, r := range ranges {
		first := slices.IndexFunc(l.Segments, func(p LayoutSegment) bool { return p.Range.First == r.First })
		last := slices.IndexFunc(l.Segments, func(p LayoutSegment) bool { return p.Range.Last == r.Last })
		if last > first {
			if err := l.merge(first, last+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// CompleteMerges completes the merges whose segments have all reached their position, and abandons those with a
// segment that has failed, which may never get there. Rows of different logs are not merged: the status shows which
// are wrong. It tells whether there was any.
func (l *Layout) CompleteMerges() bool {
	changed := false
	for first := 0; first < len(l.Segments); first++ {
		merge := l.Segments[first].Merge
		if merge.At == 0 || merge.Held() {
			continue
		}
		end, arrived, failed := first, true, false
		for ; end < len(l.Segments) && l.Segments[end].Merge == merge; end++ {
			arrived = arrived && l.Segments[end].Position == merge.At &&
				l.Segments[end].Applied.Log.ID == l.Segments[first].Applied.Log.ID
			failed = failed || l.Segments[end].Failure != ""
		}
		switch {
		case failed:
			for i := first; i < end; i++ {
				l.Segments[i].Merge = Merge{}
			}
			changed = true
		case arrived:
			l.join(first, end, merge)
			end = first + 1
			changed = true
		}
		first = end - 1
	}
	return changed
}

// Applied reports whether a checkpoint has moved.
func (l *Layout) Applied() bool {
	return slices.ContainsFunc(l.Segments, func(p LayoutSegment) bool { return p.Position > 0 })
}

// Renewed returns the layout of a projection that is installed in the place of one of which nothing is applied.
// What failed may be tried again. An ordering that needs another layout gets one, of n segments or of one;
// otherwise the layout stays.
func (l *Layout) Renewed(order Ordering, n int) (*Layout, error) {
	renewed := l.Clone()
	for i := range renewed.Segments {
		renewed.Segments[i].Failure = ""
	}
	whole := order == OrderGlobal
	if whole == l.Single {
		return renewed, nil
	}
	renewed.Single = whole
	if whole {
		n = 1
	}
	return renewed, renewed.Resize(max(n, 1))
}

// Changes compares the layout with an earlier one: what differs, what is new, and the numbers that are gone. A
// segment that differs, were it only by the end of a merge, has to be claimed again.
func (l *Layout) Changes(before *Layout) (changed, added []LayoutSegment, removed []int) {
	known := map[int]LayoutSegment{}
	for _, p := range before.Segments {
		known[p.Segment] = p
	}
	for _, p := range l.Segments {
		old, exists := known[p.Segment]
		delete(known, p.Segment)
		switch {
		case !exists:
			added = append(added, p)
		case old != p:
			changed = append(changed, p)
		}
	}
	for _, p := range before.Segments {
		if _, gone := known[p.Segment]; gone {
			removed = append(removed, p.Segment)
		}
	}
	return changed, added, removed
}

// Clone returns a copy that shares nothing.
func (l *Layout) Clone() *Layout {
	c := *l
	c.Segments = slices.Clone(l.Segments)
	return &c
}

// Sort puts the segments in order of their ranges.
func (l *Layout) Sort() {
	slices.SortFunc(l.Segments, func(a, b LayoutSegment) int { return cmp.Compare(a.Range.First, b.Range.First) })
}

func (l *Layout) find(segment int) (int, error) {
	at := slices.IndexFunc(l.Segments, func(p LayoutSegment) bool { return p.Segment == segment })
	if at < 0 {
		return 0, refuse(segment, "is not there: Store.Status shows those that are")
	}
	return at, nil
}

// cut divides a segment in front of each bound. The first piece keeps its number.
func (l *Layout) cut(p LayoutSegment, bounds []uint32) []LayoutSegment {
	pieces := []LayoutSegment{p}
	for _, bound := range bounds {
		last := &pieces[len(pieces)-1]
		next := *last
		next.Segment = l.Next
		l.Next++
		next.Range.First, last.Range.Last = bound, bound-1
		pieces = append(pieces, next)
	}
	return pieces
}

// merge begins the merge of the parts from first to end, end excluded, and completes it when nobody has to catch up.
func (l *Layout) merge(first, end int) error {
	m := Merge{Into: l.Segments[first].Segment}
	behind := false
	for _, p := range l.Segments[first:end] {
		switch {
		case p.Merge.At > 0:
			return p.busy("merge")
		case p.Failure != "":
			return refuse(p.Segment, "has failed and cannot catch up: merge it when it runs again")
		}
		m.Into, m.At = min(m.Into, p.Segment), max(m.At, p.Position)
		behind = behind || p.Position != l.Segments[first].Position
	}
	if !behind {
		l.join(first, end, m)
		return nil
	}
	for i := first; i < end; i++ {
		l.Segments[i].Merge = m
	}
	return nil
}

// join puts one segment in the place of the parts from first to end. What it has applied last is the last of all
// of them. Parts of the earliest timeline count first: those of later ones were checked when they adopted it.
func (l *Layout) join(first, end int, m Merge) {
	last := l.Segments[first].Applied
	for _, p := range l.Segments[first+1 : end] {
		order := cmp.Compare(p.Applied.Log.Timeline, last.Log.Timeline)
		if order < 0 || order == 0 && p.Applied.Position > last.Position {
			last = p.Applied
		}
	}
	l.Segments = slices.Replace(l.Segments, first, end, LayoutSegment{
		Segment: m.Into, Position: m.At, Applied: last,
		Range: HashRange{First: l.Segments[first].Range.First, Last: l.Segments[end-1].Range.Last},
	})
}

func refuse(segment int, format string, args ...any) error {
	return &InputError{Field: fmt.Sprintf("segment %d", segment), Reason: fmt.Sprintf(format, args...)}
}
