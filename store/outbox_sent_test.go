package store_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func projectionBy(by store.PartitionBy) *store.Projection {
	return &store.Projection{Name: "p", Version: 1, Partition: &store.Partition{By: by}}
}

func TestProjection_DivisionText(t *testing.T) {
	t.Parallel()
	stream := (&store.Projection{}).DivisionText()
	for _, same := range []*store.Projection{
		projectionBy(""), projectionBy(store.PartitionStream),
		{Order: store.OrderGlobal, Partition: &store.Partition{By: store.PartitionCorrelation}},
	} {
		if got := same.DivisionText(); got != stream {
			t.Errorf("%+v is divided by %s, want %s", same.Partition, got, stream)
		}
	}
	one, two := projectionBy(store.PartitionJSON), projectionBy(store.PartitionJSON)
	one.Partition.Path, two.Partition.Path = []string{"a", "b"}, []string{"a.b"}
	texts := []string{stream, one.DivisionText(), two.DivisionText(), projectionBy(store.PartitionCorrelation).DivisionText()}
	if distinct := slices.Compact(slices.Sorted(slices.Values(texts))); len(distinct) != len(texts) {
		t.Errorf("different divisions have the texts %q", texts)
	}
}

func TestSentBefore_DividedBy(t *testing.T) {
	t.Parallel()
	stream, other := projectionBy(store.PartitionStream), projectionBy(store.PartitionCorrelation)
	halves := store.SplitRange(2)
	s := store.SentAfter(stream, store.UUID{1}, 0)
	s.Ranges = []store.SentRange{{Range: halves[0], Position: 9}, {Range: halves[1], Position: 5}}
	if same, changed := s.DividedBy(stream); changed || len(same.Ranges) != 2 {
		t.Errorf("by the same key they are %+v", same)
	}
	divided, changed := s.DividedBy(other)
	want := []store.SentRange{{Range: store.FullRange(), Position: 5}}
	if !changed || !slices.Equal(divided.Ranges, want) || divided.Partition != other.DivisionText() ||
		divided.Log != s.Log || !divided.Begun {
		t.Errorf("by another key they are %+v, changed: %t", divided, changed)
	}
	if none, changed := (store.SentBefore{}).DividedBy(other); changed || len(none.Ranges) > 0 {
		t.Errorf("of what never began they are %+v", none)
	}
}

// TestSentBefore_PassedOn compares any ranges with the positions of some hashes.
func TestSentBefore_PassedOn(t *testing.T) {
	t.Parallel()
	p := projectionBy(store.PartitionStream)
	rapid.Check(t, func(t *rapid.T) {
		log := store.UUID{1}
		layout := store.NewLayout(rapid.IntRange(1, 5).Draw(t, "segments"))
		layout.Begin(store.LogID{ID: log})
		for i := range layout.Segments {
			layout.Segments[i].Position = rapid.Int64Range(0, 5).Draw(t, "checkpoint")
		}
		s := store.SentAfter(p, log, 0)
		s.Ranges = nil
		for _, r := range store.SplitRange(rapid.IntRange(1, 5).Draw(t, "ranges")) {
			s.Ranges = append(s.Ranges, store.SentRange{Range: r, Position: rapid.Int64Range(0, 5).Draw(t, "position")})
		}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			s = store.SentBefore{}
		case 1:
			s.Log = store.UUID{2}
		}
		counts := len(s.Ranges) > 0 && s.Log == log
		passed := s.PassedOn(p, layout)
		if passed.Log != log || passed.Begun != s.Begun || passed.Partition != p.DivisionText() {
			t.Fatalf("they are %+v", passed)
		}
		next := uint64(0)
		for _, r := range passed.Ranges {
			if uint64(r.Range.First) != next {
				t.Fatalf("no range has the hash %d: %+v", next, passed.Ranges)
			}
			next = uint64(r.Range.Last) + 1
		}
		if next != 1<<32 {
			t.Fatalf("no range has the hash %d: %+v", next, passed.Ranges)
		}
		hash := rapid.Uint32().Draw(t, "hash")
		want := int64(0)
		for _, segment := range layout.Segments {
			if hash >= segment.Range.First && hash <= segment.Range.Last {
				want = segment.Position
			}
		}
		if counts {
			want = max(want, positionOf(s.Ranges, hash))
		}
		if got := positionOf(passed.Ranges, hash); got != want {
			t.Fatalf("of hash %d up to %d is not to be sent, want %d", hash, got, want)
		}
	})
}

func positionOf(ranges []store.SentRange, hash uint32) int64 {
	at := slices.IndexFunc(ranges, func(r store.SentRange) bool { return hash >= r.Range.First && hash <= r.Range.Last })
	return ranges[at].Position
}
