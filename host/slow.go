package host

import (
	"fmt"
	"sync"
)

// slowTimesMax is how many times in a row a batch may take too long for the machine to be blamed.
const slowTimesMax = 3

// slowBatches counts how many times batches took too long, in a row.
type slowBatches struct {
	mu    sync.Mutex
	times map[slowBatch]int
}

// slowBatch is a batch by its segment and its first event.
type slowBatch struct {
	segment  int
	position int64
}

// again counts, and tells whether that was the last time. Then it begins anew, for who lets the module try once more.
func (s *slowBatches) again(b slowBatch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[slowBatch]int{}
	}
	s.times[b]++
	if s.times[b] < slowTimesMax {
		return false
	}
	delete(s.times, b)
	return true
}

// passed forgets what was slow in a segment up to a position.
func (s *slowBatches) passed(b slowBatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.times {
		if other.segment == b.segment && other.position <= b.position {
			delete(s.times, other)
		}
	}
}

// slow says whose fault it is that a batch took too long, with fuel left: at first the machine's.
func (g *Guest) slow(b slowBatch) error {
	limit := g.module.limits.BatchTimeout
	if g.searching || !g.module.slow.again(b) {
		return &SlowError{Module: g.module.File, Limit: limit}
	}
	what := "raise --batch-timeout"
	if limit < g.module.runtime.options.Limits.BatchTimeout {
		what = "raise batch_ms in the module's description"
	}
	return &Fault{
		Module: g.module.File, whole: true, slow: true,
		Reason: fmt.Sprintf("took longer than %s for the same batch %d times in a row, with fuel left: %s, or have fewer events in a batch (--batch)",
			limit, slowTimesMax, what),
	}
}
