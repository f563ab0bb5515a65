package segments_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkParking_othersGoOn applies events of other keys while so many keys are parked.
func BenchmarkParking_othersGoOn(b *testing.B) {
	const events, streams = 20_000, 200
	for _, parked := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprintf("parked=%d", parked), func(b *testing.B) {
			s := logtest.New(b)
			options := segments.Options{Once: true, ParkedMax: -1, ParkedRetries: -1, BatchEvents: 1000}
			run := func() {
				worker, err := segments.New(s, s, options)
				if err != nil {
					b.Fatal(err)
				}
				worker.SetProgram(&ledger{code: "one", breaks: &atomic.Int64{}})
				if err := worker.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			run()
			park(b, s, parked)
			for b.Loop() {
				b.StopTimer()
				appends := make([]store.StreamAppend, streams)
				for i := range appends {
					appends[i].Stream = store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprint("n", i)}
					for range events / streams {
						appends[i].Events = append(appends[i].Events, store.Event{Type: "Fine", Payload: []byte("{}")})
					}
				}
				if _, err := s.AppendBulk(b.Context(), store.AppendOptions{}, appends...); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				run()
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// park parks keys of streams that get no further events.
func park(b *testing.B, s store.Store, keys int) {
	b.Helper()
	if keys == 0 {
		return
	}
	appends := make([]store.StreamAppend, keys)
	for i := range appends {
		appends[i] = store.StreamAppend{
			Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprint("parked", i)},
			Events: []store.Event{{Type: "Bad", Payload: []byte("{}")}},
		}
	}
	if _, err := s.AppendBulk(b.Context(), store.AppendOptions{}, appends...); err != nil {
		b.Fatal(err)
	}
	if err := s.Heartbeat(b.Context(), store.Worker{Name: "parker"}, 1<<40); err != nil {
		b.Fatal(err)
	}
	catalogue, err := s.Install(b.Context(), (&ledger{}).Projection(), 1)
	if err != nil {
		b.Fatal(err)
	}
	horizon, err := s.Horizon(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	claims, err := s.Claim(b.Context(), store.ClaimRequest{Projection: ledgerID, Worker: "parker", Limit: 100})
	if err != nil {
		b.Fatal(err)
	}
	for _, claim := range claims {
		commit := store.Commit{Through: horizon.Position, Log: claim.Applied.Log}
		for i := range appends {
			key := []byte(appends[i].Stream.AggregateID)
			if !claim.Range.Contains(store.PartitionHashOf(key)) {
				continue
			}
			commit.Parked = append(commit.Parked, store.NewParked{Key: key, Fault: store.ParkedFault{
				Position: int64(i + 1), Error: "as the benchmark has it", Attempts: 1, RetryAfter: -1, Code: "one",
			}})
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: key, Position: int64(i + 1)})
		}
		if err := catalogue.Begin(claim).Commit(b.Context(), commit); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Leave(b.Context(), store.Worker{Name: "parker"}); err != nil {
		b.Fatal(err)
	}
}
