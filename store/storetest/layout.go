package storetest

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var layoutCases = []testCase{
	{"install_records_what_was_asked_for", layoutInstall},
	{"split", layoutSplit},
	{"merge_at_one_position", layoutMerge},
	{"merge_waits_for_who_is_behind", layoutMergeBehind},
	{"a_merge_with_a_failed_segment_is_abandoned", layoutMergeFailed},
	{"resize", layoutResize},
	{"claims_of_before_are_fenced", layoutFences},
	{"a_commit_during_the_change_is_fenced", layoutFencesDuring},
	{"a_failure_is_inherited", layoutFailure},
	{"an_error_of_the_change_leaves_everything", layoutError},
	{"an_unknown_projection", layoutUnknown},
	{"numbers_are_not_used_again", layoutNumbers},
	{"changes_come_one_after_another", layoutConcurrent},
	{"invariant_3_whatever_becomes_of_the_layout", layoutRace},
	{"workers", layoutWorkers},
	{"status_of_some_projections", layoutStatus},
	{"one_order_of_all_events_is_never_divided", layoutWhole},
}

// reshard changes the layout of sums, which has to work.
func (f *fixture) reshard(change func(*store.Layout) error) {
	f.Helper()
	f.must(f.store.Reshard(f.ctx, sumsID, change))
}

// move commits a batch without rows.
func (f *fixture) move(catalogue store.Catalogue, claim store.Claim, through int64) error {
	tx := catalogue.Begin(claim)
	defer tx.Rollback()
	return tx.Commit(f.ctx, store.Commit{Through: through, Log: claim.Applied.Log})
}

// wantLayout compares the segments of sums, in order of their numbers, without their epochs.
func (f *fixture) wantLayout(asked int, want ...store.SegmentStatus) {
	f.Helper()
	status := f.status("sums")
	for i := range status.Segments {
		s := &status.Segments[i]
		s.UpdatedAt, s.BehindSince, s.Epoch, s.Applied = time.Time{}, time.Time{}, 0, store.Applied{}
	}
	if status.Desired != asked || !slices.Equal(status.Segments, want) {
		f.Errorf("asked for %d, the segments are\n%+v, want %d and\n%+v", status.Desired, status.Segments, asked, want)
	}
}

// quarter is the range of some quarters of all streams.
func quarter(first, last int) store.HashRange {
	quarters := store.SplitRange(4)
	return store.HashRange{First: quarters[first].First, Last: quarters[last].Last}
}

func layoutInstall(f *fixture) {
	f.installed(3)
	f.wantLayout(3, segmentsAt(0, store.SplitRange(3)...)...)
	f.installed(5) // it is there
	f.wantLayout(3, segmentsAt(0, store.SplitRange(3)...)...)
	global := totals("global")
	global.Order = store.OrderGlobal
	_, err := f.store.Install(f.ctx, global, 8)
	f.must(err)
	if got := f.status("global"); got.Desired != 1 || len(got.Segments) != 1 {
		f.Errorf("in global order: %+v", got)
	}
}

// segmentsAt are segments that nobody owns, numbered from 0.
func segmentsAt(position int64, ranges ...store.HashRange) []store.SegmentStatus {
	all := make([]store.SegmentStatus, len(ranges))
	for i, r := range ranges {
		all[i] = store.SegmentStatus{Segment: i, Range: r, Position: position}
	}
	return all
}

func layoutSplit(f *fixture) {
	catalogue := f.installed(2, "w1")
	f.handOut(f.at(9))
	claims := f.claims(f.store, "sums", "w1", 2)
	f.must(f.move(catalogue, claims[0], f.at(4)))
	f.must(f.move(catalogue, claims[1], f.at(6)))
	before := f.status("sums").Segments
	f.reshard(func(l *store.Layout) error { return l.Split(0, 2) })
	f.wantLayout(2,
		store.SegmentStatus{Segment: 0, Range: quarter(0, 0), Position: f.at(4)},
		store.SegmentStatus{Segment: 1, Range: quarter(2, 3), Position: f.at(6), Owner: "w1", Live: true},
		store.SegmentStatus{Segment: 2, Range: quarter(1, 1), Position: f.at(4)})
	after := f.status("sums").Segments
	if after[0].Epoch <= before[0].Epoch || after[1].Epoch != before[1].Epoch {
		f.Errorf("epochs were %d and %d, are %d and %d", before[0].Epoch, before[1].Epoch, after[0].Epoch,
			after[1].Epoch)
	}
	// What did not change goes on, the halves go on from where the whole was.
	claims[1].Position = f.at(6)
	f.must(f.move(catalogue, claims[1], f.at(7)))
	halves := f.claims(f.store, "sums", "w1", 9, 1)
	f.wantSegments(halves, 0, 2)
	for _, half := range halves {
		if half.Position != f.at(4) || half.MergeAt != 0 || half.Range != after[half.Segment].Range {
			f.Errorf("a half is claimed as %+v", half)
		}
		f.must(f.move(catalogue, half, f.at(5)))
	}
}

func layoutMerge(f *fixture) {
	catalogue := f.installed(4, "w1")
	f.handOut(f.at(9))
	for _, claim := range f.claims(f.store, "sums", "w1", 4) {
		f.must(f.move(catalogue, claim, f.at(3)))
	}
	f.reshard(func(l *store.Layout) error { return l.Merge(2, 1) })
	f.wantLayout(4,
		store.SegmentStatus{Segment: 0, Range: quarter(0, 0), Position: f.at(3), Owner: "w1", Live: true},
		store.SegmentStatus{Segment: 1, Range: quarter(1, 2), Position: f.at(3)},
		store.SegmentStatus{Segment: 3, Range: quarter(3, 3), Position: f.at(3), Owner: "w1", Live: true})
	merged := f.claims(f.store, "sums", "w1", 9, 0, 3)
	f.wantSegments(merged, 1)
	f.must(f.move(catalogue, merged[0], f.at(4)))
}

func layoutMergeBehind(f *fixture) {
	catalogue := f.installed(2, "w1", "w2")
	f.handOut(f.at(9))
	before := f.claims(f.store, "sums", "w1", 2)
	f.must(f.move(catalogue, before[0], f.at(2)))
	f.must(f.move(catalogue, before[1], f.at(5)))
	f.reshard(func(l *store.Layout) error { return l.Merge(0, 1) })
	merge := store.Merge{Into: 0, At: f.at(5)}
	f.wantLayout(2,
		store.SegmentStatus{Segment: 0, Range: quarter(0, 1), Position: f.at(2), Merge: merge},
		store.SegmentStatus{Segment: 1, Range: quarter(2, 3), Position: f.at(5), Merge: merge})
	// Who does not know of the barrier cannot pass it.
	for _, claim := range before {
		claim.Position = f.status("sums").Segments[claim.Segment].Position
		if err := f.move(catalogue, claim, f.at(7)); !errors.Is(err, store.ErrFenced) {
			f.Errorf("a claim from before the merge: %v", err)
		}
	}
	behind := f.claims(f.store, "sums", "w1", 9)
	f.wantSegments(behind, 0)
	if behind[0].MergeAt != f.at(5) || behind[0].Position != f.at(2) {
		f.Errorf("the segment that is behind is claimed as %+v", behind[0])
	}
	f.wantSegments(f.claims(f.store, "sums", "w2", 9))
	f.reshard(func(l *store.Layout) error {
		if l.CompleteMerges() {
			f.Error("a merge is settled before everyone has come")
		}
		return nil
	})
	f.must(f.move(catalogue, behind[0], f.at(5))) // the look did not fence it
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	f.reshard(func(l *store.Layout) error { l.CompleteMerges(); return nil })
	f.wantLayout(2, store.SegmentStatus{Segment: 0, Range: store.FullRange(), Position: f.at(5)})
	behind[0].Position = f.at(5)
	if err := f.move(catalogue, behind[0], f.at(6)); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a claim on a part, after the merge: %v", err)
	}
	merged := f.claims(f.store, "sums", "w2", 9)
	f.wantSegments(merged, 0)
	f.must(f.move(catalogue, merged[0], f.at(6)))
}

func layoutMergeFailed(f *fixture) {
	catalogue := f.installed(2, "w1")
	f.handOut(f.at(9))
	claims := f.claims(f.store, "sums", "w1", 2)
	f.must(f.move(catalogue, claims[1], f.at(5)))
	f.reshard(func(l *store.Layout) error { return l.Merge(0, 1) })
	behind := f.claims(f.store, "sums", "w1", 2)
	f.wantSegments(behind, 0)
	f.must(f.store.Fail(f.ctx, behind[0], "event 3 is bad"))
	f.reshard(func(l *store.Layout) error { l.CompleteMerges(); return nil })
	f.wantLayout(2,
		store.SegmentStatus{Segment: 0, Range: quarter(0, 1), Failure: "event 3 is bad"},
		store.SegmentStatus{Segment: 1, Range: quarter(2, 3), Position: f.at(5)})
	f.wantSegments(f.claims(f.store, "sums", "w1", 2), 1)
}

func layoutResize(f *fixture) {
	f.installed(2, "w1")
	f.reshard(func(l *store.Layout) error { return l.Resize(4) })
	f.wantLayout(4,
		store.SegmentStatus{Segment: 0, Range: quarter(0, 0)},
		store.SegmentStatus{Segment: 1, Range: quarter(2, 2)},
		store.SegmentStatus{Segment: 2, Range: quarter(1, 1)},
		store.SegmentStatus{Segment: 3, Range: quarter(3, 3)})
	f.reshard(func(l *store.Layout) error { return l.Resize(1) })
	f.wantLayout(1, store.SegmentStatus{Segment: 0, Range: store.FullRange()})
	f.reshard(func(l *store.Layout) error { return l.Resize(store.SegmentsMax) })
	status := f.status("sums")
	if len(status.Segments) != store.SegmentsMax || status.Desired != store.SegmentsMax {
		f.Errorf("%d segments, %d asked for", len(status.Segments), status.Desired)
	}
	f.reshard(func(l *store.Layout) error { return l.Resize(3) })
	if got := f.status("sums"); len(got.Segments) != 3 {
		f.Errorf("back to 3 of 1024 are %d", len(got.Segments))
	}
}

// layoutFences holds on to claims on segments that change, that go, and whose number is made up.
func layoutFences(f *fixture) {
	catalogue := f.installed(4, "w1")
	f.handOut(f.at(9))
	claims := f.claims(f.store, "sums", "w1", 4)
	f.reshard(func(l *store.Layout) error {
		return cmp.Or(l.Split(0, 2), l.Merge(2, 3))
	})
	added := claims[0]
	added.Segment = 4
	for name, claim := range map[string]store.Claim{
		"split": claims[0], "merged": claims[2], "gone": claims[3],
		"new": added,
	} {
		if err := f.move(catalogue, claim, 1); !errors.Is(err, store.ErrFenced) {
			f.Errorf("%s: %v, want ErrFenced", name, err)
		}
		f.must(f.store.Release(f.ctx, claim))
		if err := f.store.Fail(f.ctx, claim, "not mine to tell"); !errors.Is(err, store.ErrFenced) {
			f.Errorf("failing %s: %v, want ErrFenced", name, err)
		}
	}
	f.must(f.move(catalogue, claims[1], 1))
	f.wantSegments(f.claims(f.store, "sums", "w1", 9, 1), 0, 2, 4)
	// Another change takes the new claims away too.
	claims = f.claims(f.store, "sums", "w1", 9)
	f.reshard(func(l *store.Layout) error { return l.Split(4, 2) })
	f.must(f.move(catalogue, claims[0], 1))
	if err := f.move(catalogue, claims[3], 1); claims[3].Segment != 4 || !errors.Is(err, store.ErrFenced) {
		f.Errorf("%+v, split again: %v", claims[3], err)
	}
}

func layoutFencesDuring(f *fixture) {
	catalogue := f.installed(2, "w1")
	f.handOut(f.at(9))
	claims := f.claims(f.store, "sums", "w1", 2)
	results := make([]error, len(claims))
	var group sync.WaitGroup
	f.reshard(func(l *store.Layout) error {
		for i, claim := range claims {
			group.Go(func() { results[i] = f.move(catalogue, claim, 1) })
		}
		return l.Split(1, 2)
	})
	group.Wait()
	f.must(results[0])
	if !errors.Is(results[1], store.ErrFenced) {
		f.Errorf("the segment that was split: %v, want ErrFenced", results[1])
	}
}

func layoutFailure(f *fixture) {
	f.installed(1, "w1")
	f.must(f.store.Fail(f.ctx, f.claims(f.store, "sums", "w1", 1)[0], "event 1 is bad"))
	f.reshard(func(l *store.Layout) error { return l.Split(0, 4) })
	for _, s := range f.status("sums").Segments {
		if s.Failure != "event 1 is bad" {
			f.Errorf("%+v", s)
		}
	}
	f.wantSegments(f.claims(f.store, "sums", "w1", 9))
	err := f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error { return l.Resize(1) })
	var input *store.InputError
	if !errors.As(err, &input) || len(f.status("sums").Segments) != 4 {
		f.Errorf("merging what has failed: %v", err)
	}
	f.installed(1)
	f.wantSegments(f.claims(f.store, "sums", "w1", 9), 0, 1, 2, 3)
}

func layoutError(f *fixture) {
	catalogue := f.installed(3, "w1")
	f.handOut(f.at(9))
	claims := f.claims(f.store, "sums", "w1", 3)
	before := f.status("sums")
	fault := errors.New("no more of this")
	if err := f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error {
		return cmp.Or(l.Split(0, 3), l.Merge(1, 2), fault)
	}); !errors.Is(err, fault) {
		f.Errorf("got %v", err)
	}
	var input *store.InputError
	if err := f.store.Reshard(f.ctx, sumsID, func(l *store.Layout) error {
		return cmp.Or(l.Resize(7), l.Split(0, 0))
	}); !errors.As(err, &input) {
		f.Errorf("got %v", err)
	}
	f.reshard(func(*store.Layout) error { return nil })
	if after := f.status("sums"); !reflect.DeepEqual(after, before) {
		f.Errorf("it was %+v, is %+v", before, after)
	}
	for _, claim := range claims {
		f.must(f.move(catalogue, claim, 1))
	}
	f.reshard(func(l *store.Layout) error { // and numbers were not used up
		if l.Next != 3 {
			f.Errorf("the next number is %d", l.Next)
		}
		return nil
	})
}

func layoutUnknown(f *fixture) {
	var input *store.InputError
	err := f.store.Reshard(f.ctx, store.ProjectionID{Name: "nothing", Version: 1}, func(*store.Layout) error {
		f.Error("there is a layout of nothing")
		return nil
	})
	if !errors.As(err, &input) {
		f.Errorf("got %v", err)
	}
}

func layoutNumbers(f *fixture) {
	f.installed(2)
	for want := 2; want < 6; want++ {
		f.reshard(func(l *store.Layout) error { return l.Split(0, 2) })
		if got := f.status("sums").Segments; got[2].Segment != want {
			f.Errorf("the new segment is %+v, want number %d", got[2], want)
		}
		f.reshard(func(l *store.Layout) error { return l.Merge(0, want) })
		f.wantLayout(2, segmentsAt(0, store.SplitRange(2)...)...)
	}
}

func layoutStatus(f *fixture) {
	for _, name := range []string{"ant", "mole", "zebra"} {
		_, err := f.store.Install(f.ctx, totals(name), 2)
		f.must(err)
	}
	for _, only := range [][]string{{"mole"}, {"zebra", "ant", "zebra"}, {"nothing"}, {"mole", "nothing"}} {
		want := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(only))),
			func(name string) bool { return name == "nothing" })
		status, err := f.store.Status(f.ctx, only...)
		f.must(err)
		var got []string
		for _, p := range status {
			got = append(got, p.Name)
			if len(p.Segments) != 2 {
				f.Errorf("%s has %d segments", p.Name, len(p.Segments))
			}
		}
		if !slices.Equal(got, want) {
			f.Errorf("asked for %q, got %q", only, got)
		}
	}
}

func layoutWhole(f *fixture) {
	whole := totals("sums")
	whole.Order = store.OrderGlobal
	_, err := f.store.Install(f.ctx, whole, 4)
	f.must(err)
	var input *store.InputError
	for name, change := range map[string]func(*store.Layout) error{
		"split":  func(l *store.Layout) error { return l.Split(0, 2) },
		"resize": func(l *store.Layout) error { return l.Resize(3) },
	} {
		if err := f.store.Reshard(f.ctx, sumsID, change); !errors.As(err, &input) {
			f.Errorf("%s: %v, want an *InputError", name, err)
		}
	}
}
