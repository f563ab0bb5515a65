package readcache

import (
	"fmt"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// BenchmarkReadCache100k replays 100,000 events: as one projection in segments, and as projections of one
// segment each. Nothing is done with the events, so that the difference is that of reading alone.
func BenchmarkReadCache100k(b *testing.B) {
	const events = 100_000
	db := pgtest.New(b)
	server, err := postgres.Open(db.DSN, postgres.Options{Schema: db.Schema, Lazy: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Close)
	for _, database := range []struct {
		name  string
		store store.Store
	}{{"PostgreSQL", server.Backend()}, {"SQLite", logtest.New(b)}} {
		fillStreams(b, database.store, events)
		head := headOf(b, database.store)
		for _, of := range []struct {
			name                  string
			segments, projections int
		}{{"1 segment", 1, 1}, {"4 segments", 4, 1}, {"8 segments", 8, 1}, {"4 projections", 1, 4}} {
			for _, shared := range []bool{true, false} {
				b.Run(fmt.Sprintf("%s/%s/shared=%v", database.name, of.name, shared), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						replay(b, database.store, head, of.segments, of.projections, shared)
					}
					b.ReportMetric(float64(events*of.projections*b.N)/b.Elapsed().Seconds(), "events/s")
				})
			}
		}
	}
}

// replay has every segment read the log to its head, from one cache or with a cache of its own.
func replay(b *testing.B, s store.Store, head int64, segments, projections int, shared bool) {
	f := newCache(s)
	var readers []*Reader
	for range projections {
		for _, streams := range store.SplitRange(segments) {
			if !shared {
				f = newCache(s)
			}
			readers = append(readers, join(b, f, store.ReadRequest{
				Limit: 1000, Bytes: 8 << 20, Range: streams,
				Columns: store.ColumnAggregateID | store.ColumnEventType | store.ColumnPayload,
			}, nil))
		}
	}
	var group sync.WaitGroup
	for _, m := range readers {
		group.Go(func() {
			defer m.Leave()
			var to Chunk
			for at := int64(0); at < head; at = to.Through {
				if err := m.Read(b.Context(), at, head, &to); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// fillStreams appends events of 1,000 streams with a payload of a usual size.
func fillStreams(b *testing.B, s store.Store, events int) {
	payload := []byte(`{"amount":1250,"currency":"EUR","reason":"returned late","member":"0192f0c1-6f5e-7b7e-9a55-1f9d7c1f2a10"}`)
	appends := make([]store.StreamAppend, 1000)
	for i := range appends {
		appends[i].Stream = store.Stream{
			BoundedContext: "library", AggregateType: "loan",
			AggregateID: fmt.Sprintf("%06d-loan", i*7919%1_000_000),
		}
		for range 5 {
			appends[i].Events = append(appends[i].Events, store.Event{Type: "LoanFined", Payload: payload})
		}
	}
	for range events / 5000 {
		if _, err := s.Append(b.Context(), store.AppendOptions{}, appends...); err != nil {
			b.Fatal(err)
		}
	}
}
