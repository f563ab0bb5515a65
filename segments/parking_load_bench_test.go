package segments_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkParking_retryUnderLoad has a fixed program retry keys with many events while others' events come as fast as
// they are applied, and the segments are split when half is retried, and merged later. It gives the events that were
// retried and applied for others a second, those of others alone afterwards, and the most that was on the heap.
func BenchmarkParking_retryUnderLoad(b *testing.B) {
	million, hundred := 1_000_000, 1000
	if testing.Short() {
		million, hundred = 20_000, 20
	}
	for _, test := range []struct{ keys, events int }{{1, million}, {100, hundred}} {
		b.Run(fmt.Sprintf("keys=%d,events=%d", test.keys, test.events), func(b *testing.B) {
			for b.Loop() {
				retryUnderLoad(b, test.keys, test.events)
			}
		})
	}
}

func retryUnderLoad(b *testing.B, keys, events int) {
	b.Helper()
	s := logtest.New(b)
	noteBehind(b, s, keys, events)
	heap := watchHeap()
	worker := runWorker(b, s, &counts{fixed: true})
	const chunk = 1000
	load := func() float64 {
		worker.await(b, appendAll(b, s, others(chunk)...))
		return chunk
	}
	total, applied := keys*events, 0.0
	began := clock.Now()
	for left, layouts := total, []int{2, 8}; left > 0; left = notedIn(b, s) {
		if len(layouts) > 0 && left < total*(len(layouts)+1)/4 { // half of it is left, and a quarter
			n := layouts[len(layouts)-1]
			layouts = layouts[:len(layouts)-1]
			if err := s.Reshard(b.Context(), countsID, func(l *store.Layout) error { return l.Resize(n) }); err != nil {
				b.Fatal(err)
			}
		}
		applied += load()
	}
	took := clock.Since(began)
	b.ReportMetric(float64(total)/took.Seconds(), "retried/s")
	b.ReportMetric(applied/took.Seconds(), "others/s")
	b.ReportMetric(heap(), "heap-MiB")
	alone := 0.0
	for began = clock.Now(); clock.Since(began) < took; {
		alone += load()
	}
	b.ReportMetric(alone/clock.Since(began).Seconds(), "others-alone/s")
	worker.stop()
	for key := range keys {
		if got := countOf(b, s, fmt.Sprint("parked", key)); got != int64(events) {
			b.Fatalf("%d events of key %d are counted, want %d", got, key, events)
		}
	}
}

// noteBehind parks keys, the first event of each, and notes the others behind it.
func noteBehind(b *testing.B, s store.Store, keys, events int) {
	b.Helper()
	const page = 10_000
	for key := range keys {
		customer := fmt.Sprint("parked", key)
		bad := eventsOf(customer, customer, 1)
		bad.Events[0].Type = "Bad"
		appendAll(b, s, bad)
		for done := 1; done < events; done += page {
			appendAll(b, s, eventsOf(customer, customer, min(page, events-done)))
		}
	}
	horizon, err := s.Horizon(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	heap, began := watchHeap(), clock.Now()
	worker := runWorker(b, s, &counts{})
	worker.await(b, horizon.Head)
	worker.stop()
	b.ReportMetric(float64(keys*events)/clock.Since(began).Seconds(), "noted/s")
	b.ReportMetric(heap(), "noting-heap-MiB")
	if left := notedIn(b, s); left != keys*events {
		b.Fatalf("%d events are noted, want %d", left, keys*events)
	}
}

func notedIn(b *testing.B, s store.Store) (events int) {
	b.Helper()
	parked, err := s.Parked(b.Context(), store.ParkedRequest{Range: store.FullRange()})
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range parked {
		events += int(k.Events)
	}
	return events
}

// watchHeap returns a function that returns the most that has been on the heap since then, in MiB.
func watchHeap() func() float64 {
	runtime.GC()
	var most atomic.Uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most.Store(max(most.Load(), stats.HeapAlloc))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() float64 {
		close(done)
		<-ended
		return float64(most.Load()) / (1 << 20)
	}
}

// countOf is what the program has of a customer.
func countOf(b *testing.B, s store.Store, customer string) int64 {
	b.Helper()
	catalogue, err := s.Install(b.Context(), (&counts{}).Projection(), 1)
	if err != nil {
		b.Fatal(err)
	}
	tx := catalogue.Begin(store.Claim{Projection: countsID})
	defer tx.Rollback()
	var rows store.Rows
	key := store.ArrayOf(store.KindText, []store.Value{store.Text(customer)})
	if err := tx.Query(b.Context(), 0, []store.Value{key}, &rows); err != nil {
		b.Fatal(err)
	}
	if len(rows.Values) == 0 {
		return 0
	}
	return rows.Values[1].Int()
}
