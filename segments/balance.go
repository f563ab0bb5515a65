package segments

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// share is how many segments of a projection a worker should hold: with S segments and W workers that run it, ⌊S/W⌋ or ⌈S/W⌉. Every
// worker computes it for itself from the same rows. Those who hold most keep the odd ones, so that as few as possible move;
// between equals a hash decides, so that not one worker gets the single segment of every projection.
//
// Segments that have failed, or wait for a merge, are nobody's work and do not count.
func share(projection *store.ProjectionStatus, workers []store.Worker, self string) int {
	held := map[string]int{self: 0}
	for _, w := range workers {
		if slices.Contains(w.Projections, projection.Name) {
			held[w.Name] = 0
		}
	}
	total := 0
	for i := range projection.Segments {
		s := &projection.Segments[i]
		if !claimable(s) {
			continue
		}
		total++
		if _, member := held[s.Owner]; member && s.Live {
			held[s.Owner]++
		}
	}
	order := make([]string, 0, len(held))
	for name := range held {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(held[b], held[a]), cmp.Compare(lot(projection.Name, a), lot(projection.Name, b)), cmp.Compare(a, b))
	})
	n := total / len(order)
	if slices.Index(order, self) < total%len(order) {
		n++
	}
	return n
}

// claimable tells whether a segment is work for somebody.
func claimable(s *store.SegmentStatus) bool { return s.Failure == "" && !s.Waits() }

func lot(projection, worker string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(projection + "/" + worker)) // never fails
	return h.Sum64()
}
