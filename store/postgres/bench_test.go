package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// BenchmarkAppend measures events appended in one call: one event, and many to many streams.
func BenchmarkAppend(b *testing.B) {
	for _, shape := range []struct{ streams, each int }{{1, 1}, {1, 10}, {1000, 5}, {1, 5000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.streams, shape.each), func(b *testing.B) {
			s := open(b, pgtest.New(b))
			appends := make([]store.StreamAppend, shape.streams)
			b.ReportAllocs()
			round := 0
			for b.Loop() {
				round++
				for i := range appends {
					// Half of the streams are new and half have events.
					id := fmt.Sprint("stream-", i)
					if i%2 == 1 {
						id = fmt.Sprint("stream-", i, "-", round)
					}
					appends[i] = store.StreamAppend{Stream: stream(id), Events: events(shape.each)}
				}
				if _, err := s.Append(context.Background(), store.AppendOptions{}, appends...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(round*shape.streams*shape.each)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRead measures how fast the log is read, with everything and with what a lean projection asks for.
func BenchmarkRead(b *testing.B) {
	const count = 100_000
	db := pgtest.New(b)
	execute(b, db.Connect(b), fmt.Sprintf(`INSERT INTO pupwasm.events (bounded_context, aggregate_type,
		aggregate_id, aggregate_version, event_type, payload, metadata, partition_hash)
		SELECT 'shop', 'order', 'order-' || g %% 5000, g / 5000 + 1, 'placed', convert_to(repeat('x', 200),
		'UTF8'), '{"user": "u"}', pupwasm.fnv1a32('order-' || g %% 5000)
		FROM generate_series(0, %d) g; ANALYZE pupwasm.events`, count-1))
	s := open(b, db)
	for _, request := range []struct {
		name string
		of   store.ReadRequest
	}{
		{"all", store.ReadRequest{Range: store.FullRange(), Columns: store.AllColumns}},
		{"lean", store.ReadRequest{
			Range:   store.FullRange(),
			Columns: store.ColumnEventType | store.ColumnAggregateID | store.ColumnPayload,
		}},
		{"half", store.ReadRequest{Range: store.SplitRange(2)[0], Columns: store.AllColumns}},
		{"scoped", store.ReadRequest{
			Range: store.FullRange(), Columns: store.AllColumns,
			Subscription: store.Subscription{
				BoundedContexts: []string{"shop"}, AggregateTypes: []string{"order"},
				EventTypes: []string{"placed"},
			},
		}},
	} {
		b.Run(request.name, func(b *testing.B) {
			var page store.Page
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				r := request.of
				r.Through, r.Limit = count, 1000
				for r.After < r.Through {
					must(b, s.Read(context.Background(), r, &page))
					events += len(page.Events)
					r.After = page.Through
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkCommit measures a transaction, from mutations on: an empty one, and one with rows that are added up or
// inserted.
func BenchmarkCommit(b *testing.B) {
	for _, shape := range []struct {
		name     string
		rows     int
		mutation func(name string) store.Mutation
	}{
		{"empty", 0, nil},
		{"add", 1, func(name string) store.Mutation { return add(name, 1) }},
		{"add", 100, func(name string) store.Mutation { return add(name, 1) }},
		{"add", 1000, func(name string) store.Mutation { return add(name, 1) }},
		{"insert", 1000, insert},
	} {
		b.Run(fmt.Sprintf("%s/%d", shape.name, shape.rows), func(b *testing.B) {
			db := pgtest.New(b)
			r := newRig(b, db, db.DSN, postgres.Options{Lazy: true})
			mutations := make([]store.Mutation, shape.rows)
			round := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range mutations {
					if round == 0 || shape.name == "insert" { // whose rows must be new every time
						mutations[i] = shape.mutation(fmt.Sprint("name", i, "-", round))
					}
				}
				round++
				must(b, r.commit(context.Background(), mutations...))
			}
			if shape.rows > 0 {
				b.ReportMetric(float64(round*shape.rows)/b.Elapsed().Seconds(), "rows/s")
			}
		})
	}
}
