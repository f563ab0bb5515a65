package segments

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// quietSegment has no observer that listens.
func quietSegment() *segment {
	r := &runner{options: Options{}.withDefaults(), positions: map[int]int64{}}
	return &segment{runner: r, claim: store.Claim{Projection: store.ProjectionID{Name: "ledger", Version: 1}}}
}

// oneCommit is all that an observer is told of a commit of one batch.
func (s *segment) oneCommit(chunk *readcache.Chunk, commit *store.Commit) {
	s.Read(chunk, time.Millisecond)
	s.Applied(1000, 1000, time.Millisecond)
	s.Committed(s.claim, commit, pipeline.Written{Events: 1000, Batches: 1, Rows: 1000, Took: time.Millisecond})
}

// TestObserver_absentAllocatesNothing counts what a commit costs when nobody listens.
func TestObserver_absentAllocatesNothing(t *testing.T) {
	s, chunk, commit := quietSegment(), &readcache.Chunk{}, &store.Commit{}
	if n := testing.AllocsPerRun(100, func() { s.oneCommit(chunk, commit) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkObserver(b *testing.B) {
	chunk, commit := &readcache.Chunk{}, &store.Commit{}
	events := 0
	for name, observer := range map[string]*Observer{
		"absent": {},
		"present": {
			Read:      func(r ObservedRead) { events += r.Events },
			Applied:   func(a ObservedBatch) { events += a.Events },
			Committed: func(c ObservedCommit) { events += c.Events },
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := quietSegment()
			s.runner.options.Observer = observer
			b.ReportAllocs()
			for b.Loop() {
				s.oneCommit(chunk, commit)
			}
		})
	}
}
