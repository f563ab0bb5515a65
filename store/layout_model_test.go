package store_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// TestLayout_changesMoveNoCheckpoint does what workers and users may do to a layout, in any order.
func TestLayout_changesMoveNoCheckpoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &layoutHistory{Layout: store.NewLayout(rapid.IntRange(0, 6).Draw(t, "segments")), gone: map[int]bool{}}
		h.verify(t)
		t.Repeat(map[string]func(*rapid.T){
			"advance":      h.advance,
			"advance more": h.advance,
			"catch up":     h.catchUp,
			"fail":         h.fail,
			"recover":      h.fix,
			"settle":       h.settle,
			"split": func(t *rapid.T) {
				segment, parts := h.draw(t), rapid.IntRange(-1, 5).Draw(t, "parts")
				h.change(t, func(l *store.Layout) error { return l.Split(segment, parts) })
			},
			"merge": func(t *rapid.T) {
				a, b := h.draw(t), h.draw(t)
				h.change(t, func(l *store.Layout) error { return l.Merge(a, b) })
			},
			"merge neighbours": func(t *rapid.T) {
				at := rapid.IntRange(0, len(h.Segments)-1).Draw(t, "at")
				a, b := h.Segments[at].Segment, h.Segments[max(at-1, 0)].Segment
				h.change(t, func(l *store.Layout) error { return l.Merge(a, b) })
			},
			"hold": func(t *rapid.T) {
				least := rapid.Int64Range(0, 20).Draw(t, "least")
				h.change(t, func(l *store.Layout) error {
					at, err := l.Hold(least)
					for _, p := range l.Segments {
						if err == nil && at > 0 && (!p.Merge.Held() || p.Merge.At != at || at < least || at < p.Position) {
							t.Fatalf("held at %d, at least %d: segment %d is at %d with %+v", at, least, p.Segment, p.Position, p.Merge)
						}
					}
					return err
				})
			},
			"release": func(t *rapid.T) {
				h.change(t, func(l *store.Layout) error {
					held := slices.ContainsFunc(l.Segments, func(p store.LayoutSegment) bool { return p.Merge.Held() })
					if l.Release() != held || slices.ContainsFunc(l.Segments, func(p store.LayoutSegment) bool { return p.Merge.Held() }) {
						t.Fatalf("held %t before, and after the release %+v", held, l.Segments)
					}
					return nil
				})
			},
			"resize": func(t *rapid.T) {
				n := rapid.IntRange(-1, 12).Draw(t, "n")
				h.change(t, func(l *store.Layout) error { return l.Resize(n) })
			},
		})
	})
}

// layoutHistory is a layout and the numbers that it once had.
type layoutHistory struct {
	*store.Layout
	gone map[int]bool
}

// verify checks what holds for every layout: each place has one segment, each segment one number that is its own
// for ever.
func (h *layoutHistory) verify(t *rapid.T) {
	next, known := uint64(0), map[int]bool{}
	for _, p := range h.Segments {
		if uint64(p.Range.First) != next || p.Range.Last < p.Range.First {
			t.Fatalf("segment %d has %v, the ones before it end in front of %d", p.Segment, p.Range, next)
		}
		next = uint64(p.Range.Last) + 1
		if known[p.Segment] || h.gone[p.Segment] || p.Segment >= h.Next {
			t.Fatalf("number %d is there or was there before, the next is %d", p.Segment, h.Next)
		}
		known[p.Segment] = true
		if p.Merge.At > 0 && p.Position > p.Merge.At || p.Merge.At == 0 && p.Merge != (store.Merge{}) {
			t.Fatalf("segment %d is at %d with the merge %+v", p.Segment, p.Position, p.Merge)
		}
	}
	if next != 1<<32 {
		t.Fatalf("no segment has the places from %d", next)
	}
}

func (h *layoutHistory) draw(t *rapid.T) int {
	return rapid.IntRange(0, h.Next).Draw(t, "segment") // among them some that are gone, and one that never was
}

// change changes the layout as a driver does: what ends in an error is dropped.
func (h *layoutHistory) change(t *rapid.T, change func(*store.Layout) error) {
	after := h.Clone()
	before := h.Clone()
	err := change(after)
	if !slices.Equal(h.Segments, before.Segments) {
		t.Fatal("a change of the clone changed the layout")
	}
	var input *store.InputError
	switch {
	case err == nil:
		h.become(t, after)
	case !errors.As(err, &input):
		t.Fatalf("the error is %v", err)
	}
}

// become takes a changed layout, when it may follow the one before.
func (h *layoutHistory) become(t *rapid.T, after *store.Layout) {
	if after.Next < h.Next {
		t.Fatalf("the next number goes back from %d to %d", h.Next, after.Next)
	}
	for _, place := range places(h.Layout, after) {
		was, is := at(h.Layout, place), at(after, place)
		if was.Position != is.Position || was.Failure != is.Failure {
			t.Fatalf("place %d was at %d with failure %q, is at %d with %q", place, was.Position, was.Failure,
				is.Position, is.Failure)
		}
	}
	verifyChanges(t, h.Layout, after)
	_, _, removed := after.Changes(h.Layout)
	for _, number := range removed {
		h.gone[number] = true
	}
	h.Layout = after
	h.verify(t)
}

// places are all at which one of the layouts begins or ends a segment, and some between.
func places(layouts ...*store.Layout) []uint32 {
	all := map[uint32]bool{}
	for _, l := range layouts {
		for _, p := range l.Segments {
			all[p.Range.First], all[p.Range.Last] = true, true
		}
	}
	for i := range uint32(64) {
		all[i<<26+i] = true
	}
	return slices.Collect(maps.Keys(all))
}

func at(l *store.Layout, place uint32) store.LayoutSegment {
	i := slices.IndexFunc(l.Segments, func(p store.LayoutSegment) bool {
		return p.Range.First <= place &&
			place <= p.Range.Last
	})
	return l.Segments[i]
}

// verifyChanges makes the new layout from the old one and what is said to differ, as the drivers do: they do not
// store the position of a segment that was there before.
func verifyChanges(t *rapid.T, before, after *store.Layout) {
	changed, added, removed := after.Changes(before)
	made := map[int]store.LayoutSegment{}
	for _, p := range before.Segments {
		made[p.Segment] = p
	}
	for _, number := range removed {
		if _, exists := made[number]; !exists {
			t.Fatalf("segment %d is said to be gone and never was", number)
		}
		delete(made, number)
	}
	for _, p := range changed {
		old, exists := made[p.Segment]
		if !exists || old == p || old.Position != p.Position {
			t.Fatalf("segment %+v is said to be changed to %+v", old, p)
		}
		made[p.Segment] = p
	}
	for _, p := range added {
		if _, exists := made[p.Segment]; exists {
			t.Fatalf("segment %d is said to be new", p.Segment)
		}
		made[p.Segment] = p
	}
	want := map[int]store.LayoutSegment{}
	for _, p := range after.Segments {
		want[p.Segment] = p
	}
	if !maps.Equal(made, want) {
		t.Fatalf("by its changes the layout becomes %v, must be %v", made, want)
	}
}

// advance moves a segment that may move, not past its barrier.
func (h *layoutHistory) advance(t *rapid.T) {
	p := &h.Segments[rapid.IntRange(0, len(h.Segments)-1).Draw(t, "part")]
	if p.Failure == "" {
		p.Position += rapid.Int64Range(1, 3).Draw(t, "events")
		if p.Merge.At > 0 {
			p.Position = min(p.Position, p.Merge.At)
		}
	}
}

func (h *layoutHistory) catchUp(*rapid.T) {
	for i := range h.Segments {
		if p := &h.Segments[i]; p.Failure == "" {
			p.Position = max(p.Position, p.Merge.At)
		}
	}
}

func (h *layoutHistory) fail(t *rapid.T) {
	h.Segments[rapid.IntRange(0, len(h.Segments)-1).Draw(t, "part")].Failure = rapid.SampledFrom([]string{
		"bad",
		"worse",
	}).Draw(t, "failure")
}

func (h *layoutHistory) fix(*rapid.T) {
	for i := range h.Segments {
		h.Segments[i].Failure = ""
	}
}

// settle compares with what the documentation says of each merge by itself.
func (h *layoutHistory) settle(t *rapid.T) {
	groups := map[store.Merge][]store.LayoutSegment{}
	for _, p := range h.Segments {
		if p.Merge.At > 0 && !p.Merge.Held() { // who holds them releases them
			groups[p.Merge] = append(groups[p.Merge], p)
		}
	}
	after := h.Clone()
	changed := after.CompleteMerges()
	want := false
	for merge, parts := range groups {
		failed := slices.ContainsFunc(parts, func(p store.LayoutSegment) bool { return p.Failure != "" })
		behind := slices.ContainsFunc(parts, func(p store.LayoutSegment) bool { return p.Position < merge.At })
		for _, p := range parts {
			now := at(after, p.Range.First)
			whole := store.HashRange{First: parts[0].Range.First, Last: parts[len(parts)-1].Range.Last}
			switch {
			case failed && (now.Merge != store.Merge{} || now.Segment != p.Segment || now.Range != p.Range):
				t.Fatalf("with a failure among %v, %v became %v", parts, p, now)
			case !failed && behind && now != p:
				t.Fatalf("with somebody behind among %v, %v became %v", parts, p, now)
			case !failed && !behind && now != store.LayoutSegment{
				Segment: merge.Into, Range: whole,
				Position: merge.At,
			}:
				t.Fatalf("%v became %v", parts, now)
			}
		}
		want = want || failed || !behind
	}
	if changed != want || changed == slices.Equal(h.Segments, after.Segments) {
		t.Fatalf("CompleteMerges says %t of %v, which became %v", changed, h.Segments, after.Segments)
	}
	if again := after.Clone(); again.CompleteMerges() {
		t.Fatalf("a second CompleteMerges makes %v of %v", again.Segments, after.Segments)
	}
	h.become(t, after)
}
