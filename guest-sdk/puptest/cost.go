package puptest

import "testing"

// AllocsPerBatch returns how often the projection allocates, natively, when it handles the events as one batch
// again and again. It should not grow with the number of events: a guest that allocates per event has to
// collect, or fills its memory. What TinyGo allocates may be more, in particular for variables whose address is
// taken in a loop. Queries count as well, with what answering them costs here.
func AllocsPerBatch(t testing.TB, events ...Event) float64 {
	t.Helper()
	p := New(t)
	block := p.prepare(events)
	guest.Lock()
	defer guest.Unlock()
	defer p.connect()()
	return testing.AllocsPerRun(10, func() { p.handle(block) })
}

// Benchmark handles the events as one batch, natively, again and again, and reports the time and the
// allocations per event.
func Benchmark(b *testing.B, events ...Event) {
	b.Helper()
	p := New(b)
	block := p.prepare(events)
	guest.Lock()
	defer guest.Unlock()
	defer p.connect()()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		p.handle(block)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
}
