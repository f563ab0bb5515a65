package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// TestLayout_resizeGivesEvenRanges resizes any layout, and lets everyone catch up.
func TestLayout_resizeGivesEvenRanges(t *testing.T) {
	t.Parallel()
	sizes := rapid.OneOf(rapid.IntRange(1, 9), rapid.SampledFrom([]int{1, 2, 256, 1000, 1023, 1024}))
	rapid.Check(t, func(t *rapid.T) {
		l := store.NewLayout(sizes.Draw(t, "before"))
		for i := range l.Segments {
			l.Segments[i].Position = rapid.Int64Range(0, 1).Draw(t, "position")
		}
		for range rapid.IntRange(0, 3).Draw(t, "splits") {
			_ = l.Split(rapid.SampledFrom(l.Segments).Draw(t, "part").Segment, rapid.IntRange(2, 4).Draw(t, "parts"))
		}
		n := sizes.Draw(t, "after")
		if err := l.Resize(n); err != nil {
			t.Fatal(err)
		}
		for i := range l.Segments {
			l.Segments[i].Position = max(l.Segments[i].Position, l.Segments[i].Merge.At)
		}
		l.CompleteMerges()
		var ranges []store.HashRange
		for _, p := range l.Segments {
			ranges = append(ranges, p.Range)
		}
		if !slices.Equal(ranges, store.SplitRange(n)) || l.Desired != n {
			t.Fatalf("asked for %d, ranges are %v, must be %v", l.Desired, ranges, store.SplitRange(n))
		}
	})
}

// partsOf makes parts with these positions, of equal width.
func partsOf(positions ...int64) *store.Layout {
	l := store.NewLayout(len(positions))
	for i := range l.Segments {
		l.Segments[i].Position = positions[i]
	}
	return l
}

func TestLayout_mergeAtOnePositionIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	for _, position := range []int64{0, 7} {
		for _, pair := range [][2]int{{1, 2}, {2, 1}} {
			l := partsOf(position, position, position, position)
			if err := l.Merge(pair[0], pair[1]); err != nil {
				t.Fatal(err)
			}
			want := store.LayoutSegment{
				Segment: 1, Range: store.HashRange{First: 1 << 30, Last: 3<<30 - 1},
				Position: position,
			}
			if len(l.Segments) != 3 || l.Segments[1] != want || l.CompleteMerges() {
				t.Errorf("%v at %d gives %+v", pair, position, l.Segments)
			}
		}
	}
}

func TestLayout_mergeWaitsForWhoIsBehind(t *testing.T) {
	t.Parallel()
	l := partsOf(0, 5)
	if err := l.Merge(1, 0); err != nil {
		t.Fatal(err)
	}
	merge := store.Merge{Into: 0, At: 5}
	if l.Segments[0].Merge != merge || l.Segments[1].Merge != merge || l.CompleteMerges() {
		t.Errorf("parts are %+v", l.Segments)
	}
	l.Segments[0].Position = 5
	if !l.CompleteMerges() || len(l.Segments) != 1 || l.Segments[0] != (store.LayoutSegment{
		Range:    store.FullRange(),
		Position: 5,
	}) {
		t.Errorf("parts are %+v", l.Segments)
	}
}

// TestLayout_mergesBesideEachOtherStayApart has two merges with nothing between, at one position.
func TestLayout_mergesBesideEachOtherStayApart(t *testing.T) {
	t.Parallel()
	l := partsOf(1, 5, 2, 5)
	if err := errors.Join(l.Merge(0, 1), l.Merge(2, 3)); err != nil {
		t.Fatal(err)
	}
	l.Segments[0].Position = 5
	if !l.CompleteMerges() || len(l.Segments) != 3 || l.Segments[0].Segment != 0 || l.Segments[1].Merge.At != 5 ||
		l.Segments[2].Merge.Into != 2 {
		t.Errorf("after the first arrived: %+v", l.Segments)
	}
	l.Segments[1].Position = 5
	if !l.CompleteMerges() || len(l.Segments) != 2 || l.Segments[1].Segment != 2 {
		t.Errorf("after the second arrived: %+v", l.Segments)
	}
}

func TestLayout_splitToTheLastStream(t *testing.T) {
	t.Parallel()
	l := store.NewLayout(store.SegmentsMax)
	for range 32 { // neighbours make room for halves
		if err := l.Merge(l.Segments[0].Segment, l.Segments[1].Segment); err != nil {
			t.Fatal(err)
		}
	}
	for l.Segments[0].Range.First < l.Segments[0].Range.Last {
		if err := l.Split(l.Segments[0].Segment, 2); err != nil {
			t.Fatalf("splitting %+v: %v", l.Segments[0], err)
		}
	}
	if l.Segments[0].Range != (store.HashRange{}) {
		t.Errorf("the narrowest range is %+v", l.Segments[0].Range)
	}
}

func TestLayout_refusals(t *testing.T) {
	t.Parallel()
	narrow := store.NewLayout(1)
	for len(narrow.Segments) < 30 {
		if err := narrow.Split(0, 2); err != nil {
			t.Fatal(err)
		}
	}
	merging := partsOf(1, 2, 2)
	failed := partsOf(0, 0, 0)
	failed.Segments[1].Failure = "bad"
	if err := merging.Merge(0, 1); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		layout *store.Layout
		change func(l *store.Layout) error
		want   string
	}{
		"split what is not there": {partsOf(0), func(l *store.Layout) error { return l.Split(1, 2) }, "segment 1"},
		"split into one": {
			partsOf(0), func(l *store.Layout) error { return l.Split(0, 1) },
			"not into 1",
		},
		"split into less than nothing": {
			partsOf(0), func(l *store.Layout) error { return l.Split(0, -1) },
			"not into -1",
		},
		"split into too many": {partsOf(0, 0), func(l *store.Layout) error {
			return l.Split(0,
				store.SegmentsMax)
		}, "at most 1024"},
		"split what is too narrow":   {narrow, func(l *store.Layout) error { return l.Split(0, 9) }, "too narrow"},
		"split what is being merged": {merging, func(l *store.Layout) error { return l.Split(1, 2) }, "being merged"},
		"merge what is not there":    {partsOf(0), func(l *store.Layout) error { return l.Merge(0, 1) }, "segment 1"},
		"merge with itself": {
			partsOf(0, 0), func(l *store.Layout) error { return l.Merge(1, 1) },
			"no neighbour",
		},
		"merge over a third": {
			partsOf(0, 0, 0), func(l *store.Layout) error { return l.Merge(2, 0) },
			"no neighbour",
		},
		"merge what is being merged": {
			merging, func(l *store.Layout) error { return l.Merge(2, 1) },
			"already being merged",
		},
		"merge what has failed": {failed, func(l *store.Layout) error { return l.Merge(0, 1) }, "has failed"},
		"resize to nothing": {
			partsOf(0), func(l *store.Layout) error { return l.Resize(0) },
			"must be 1 to 1024",
		},
		"resize to too many": {
			partsOf(0), func(l *store.Layout) error { return l.Resize(1025) },
			"must be 1 to 1024",
		},
		"resize during a merge":  {merging, func(l *store.Layout) error { return l.Resize(9) }, "being merged"},
		"resize what has failed": {failed, func(l *store.Layout) error { return l.Resize(1) }, "has failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := test.layout.Clone()
			err := test.change(l)
			var input *store.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			resized := strings.HasPrefix(name, "resize") // which may stop half-way; drivers drop what ends in an error
			if !resized && (!slices.Equal(l.Segments, test.layout.Segments) || l.Next != test.layout.Next) {
				t.Errorf("it changed %+v to %+v", test.layout, l)
			}
		})
	}
}
