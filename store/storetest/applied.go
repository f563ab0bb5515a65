package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/pupwasm/pupwasm/store"
)

// applied is how far every stream is applied, by its place in the hash space: pieces in order, each up to the next
// one's first.
type applied []piece

type piece struct {
	first    uint64
	position int64
}

// move applies the events of a range from one position to another. A place that is elsewhere would get events
// twice, or never.
func (a *applied) move(r store.HashRange, from, through int64) error {
	pieces := a.within(r)
	for i := range pieces {
		if pieces[i].position != from {
			return fmt.Errorf("place %d is applied up to %d, and the events of %v after %d are applied up to %d",
				pieces[i].first, pieces[i].position, r, from, through)
		}
		pieces[i].position = through
	}
	return nil
}

// agree reports whether segments hold every stream once, at the position that it is applied up to.
func (a *applied) agree(segments []store.SegmentStatus) error {
	segments = slices.Clone(segments)
	slices.SortFunc(segments, func(a, b store.SegmentStatus) int { return cmp.Compare(a.Range.First, b.Range.First) })
	next := uint64(0)
	for _, s := range segments {
		if uint64(s.Range.First) != next || s.Range.Last < s.Range.First {
			return fmt.Errorf("segment %d has %v, and the ones before it end in front of %d", s.Segment, s.Range, next)
		}
		next = uint64(s.Range.Last) + 1
		for _, p := range a.within(s.Range) {
			if p.position != s.Position {
				return fmt.Errorf("segment %d with %v is at %d, place %d is applied up to %d", s.Segment, s.Range,
					s.Position, p.first, p.position)
			}
		}
	}
	if next != 1<<32 {
		return fmt.Errorf("no segment has the places from %d", next)
	}
	return nil
}

// within returns the pieces that a range is made of.
func (a *applied) within(r store.HashRange) []piece {
	if len(*a) == 0 {
		*a = applied{{}}
	}
	first, end := uint64(r.First), uint64(r.Last)+1
	a.cut(first)
	a.cut(end)
	return (*a)[a.index(first):a.index(end)]
}

func (a *applied) index(place uint64) int {
	return sort.Search(len(*a), func(i int) bool { return (*a)[i].first >= place })
}

// cut makes a place the first of a piece.
func (a *applied) cut(place uint64) {
	i := a.index(place)
	if place < 1<<32 && (i == len(*a) || (*a)[i].first != place) {
		*a = slices.Insert(*a, i, piece{first: place, position: (*a)[i-1].position})
	}
}
