package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// load is a call of Append: events of many streams, each with a payload of a usual size.
func load(streams, eventsPerStream int) []store.StreamAppend {
	payload := []byte(`{"amount":1250,"currency":"EUR","reason":"returned late","member":"0192f0c1-6f5e-7b7e-9a55-1f9d7c1f2a10"}`)
	appends := make([]store.StreamAppend, streams)
	for i := range appends {
		appends[i].Stream = stream(fmt.Sprintf("loan-%06d", i))
		for range eventsPerStream {
			appends[i].Events = append(appends[i].Events, store.Event{Type: "LoanFined", Payload: payload})
		}
	}
	return appends
}

func BenchmarkAppend5000Events1000Streams(b *testing.B) {
	s := openNew(b)
	appends := load(1000, 5)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(b.Context(), store.AppendOptions{}, appends...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppend1Event(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable=%v", durable), func(b *testing.B) {
			s := open(b, migrated(b), sqlite.Options{Durable: durable})
			appends := load(1, 1)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Append(b.Context(), store.AppendOptions{}, appends...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead100k(b *testing.B) {
	s := openNew(b)
	for range 20 {
		if _, err := s.Append(b.Context(), store.AppendOptions{}, load(1000, 5)...); err != nil {
			b.Fatal(err)
		}
	}
	for _, bench := range []struct {
		name         string
		columns      store.Columns
		subscription store.Subscription
		limit        int
	}{
		{"usual", store.ColumnAggregateID | store.ColumnEventType | store.ColumnPayload, store.Subscription{}, 1000},
		{"all", store.AllColumns, store.Subscription{}, 1000},
		{"scoped", store.ColumnPayload, store.Subscription{
			EventTypes:      []string{"LoanFined", "LoanReturned"},
			BoundedContexts: []string{"library"},
		}, 1000},
		{
			"none of the subscription", store.ColumnPayload,
			store.Subscription{EventTypes: []string{"LoanReturned"}},
			1000,
		},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var page store.Page
			for b.Loop() {
				request := store.ReadRequest{
					Through: 100_000, Limit: bench.limit, Range: store.FullRange(),
					Columns: bench.columns, Subscription: bench.subscription,
				}
				for request.After < request.Through {
					if err := s.Read(b.Context(), request, &page); err != nil {
						b.Fatal(err)
					}
					request.After = page.Through
				}
			}
		})
	}
}

func BenchmarkCommit1000Upserts(b *testing.B) {
	for _, bench := range []struct {
		name  string
		write int
		value func(i int) store.Value
	}{
		{"i64", 0, func(i int) store.Value { return store.I64(int64(i)) }},
		{"numeric", 2, func(i int) store.Value {
			return store.BytesOf(store.KindNumeric,
				fmt.Appendf(nil, "%d.25", i))
		}},
		{"sql", 1, func(i int) store.Value { return store.I64(int64(i)) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := openNew(b)
			p := totals()
			c := install(b, s, p, 1)
			held := claim(b, s, p.Name, 1)[0]
			step := store.Step{Write: bench.write, Width: 2, Count: 1000}
			for i := range step.Count {
				step.Values = append(step.Values, store.Text(fmt.Sprintf("member-%06d", i*7919%1000)), bench.value(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Begin(held).Commit(b.Context(), store.Commit{
					Through: held.Position + 1,
					Steps:   []store.Step{step}, Log: held.Applied.Log,
				}); err != nil {
					b.Fatal(err)
				}
				held.Position++
			}
			b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
