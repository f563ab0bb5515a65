package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/metrics"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkWorker_batch is what a batch costs that is read, applied and committed: a commit of one event takes a thousand
// times as long.
func BenchmarkWorker_batch(b *testing.B) {
	observer := metrics.NewWorker(prometheus.NewRegistry(), time.Second).Observer()
	id := segments.SegmentID{Projection: store.ProjectionID{Name: "fines", Version: 1}}
	b.ReportAllocs()
	for b.Loop() {
		observer.Read(segments.ObservedRead{SegmentID: id, Events: 100, Bytes: 10_000, Took: time.Millisecond})
		observer.Applied(segments.ObservedBatch{SegmentID: id, Events: 100, Fuel: 1_000_000, MemoryBytes: 1 << 20, Took: time.Millisecond})
		observer.Committed(segments.ObservedCommit{SegmentID: id, Events: 100, Rows: 50, Took: time.Millisecond})
	}
}
