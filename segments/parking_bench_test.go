package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

var countsID = store.ProjectionID{Name: "counts", Version: 1}

// counts is a program that counts the events of each customer, who is named in the payload. It fails at events of type
// Bad, unless it is fixed.
type counts struct{ fixed bool }

func (c *counts) Source() string             { return "counts" }
func (c *counts) Columns() store.Columns     { return store.ColumnPayload | store.ColumnEventType }
func (c *counts) BatchEvents() int           { return 0 }
func (c *counts) Transactional() bool        { return false }
func (c *counts) Code() string               { return fmt.Sprint("fixed ", c.fixed) }
func (c *counts) OnError() store.ErrorPolicy { return "" }
func (c *counts) Close(context.Context)      {}

func (c *counts) NewProcessor(int) segments.Processor { return countsProcessor{c} }

func (c *counts) Projection() *store.Projection {
	text, i64 := store.Type{Kind: store.KindText}, store.Type{Kind: store.KindI64}
	return &store.Projection{
		Name: "counts", Version: 1, Partition: &store.Partition{By: store.PartitionJSON, Path: []string{"customer"}},
		Tables: []store.Table{{Name: "customers", Key: []string{"name"}, Columns: []store.Column{
			{Name: "name", Type: text, Partition: true, NotNull: true}, {Name: "events", Type: i64, NotNull: true},
		}}},
		Writes: []store.Write{{
			Name: "put", Action: store.Upsert, Table: "customers",
			Columns: []store.WriteColumn{{Name: "events", Action: store.ActionAdd}},
		}},
		Queries: []store.Query{{Name: "get", Table: "customers", Columns: []string{"events"}}},
	}
}

type countsProcessor struct{ *counts }

func (p countsProcessor) Close(context.Context) {}

func (p countsProcessor) Process(
	_ context.Context, events []store.RecordedEvent, _ store.Tx,
) (store.Output, error) {
	partition := p.Projection().Partition
	mutations := make([]store.Mutation, len(events))
	for i := range events {
		e := &events[i]
		if e.Type == "Bad" && !p.fixed {
			return store.Output{}, &segments.Fault{Position: e.Position, Err: errors.New("as the benchmark has it")}
		}
		key, err := partition.Key(e)
		if err != nil {
			return store.Output{}, err
		}
		mutations[i].Values = []store.Value{store.Text(string(key)), store.I64(1)}
	}
	return store.Output{Mutations: mutations}, nil
}

// eventsOf are events of a stream that name a customer.
func eventsOf(stream, customer string, events int) store.StreamAppend {
	all := store.StreamAppend{Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: stream}}
	for range events {
		all.Events = append(all.Events, store.Event{Type: "Fine", Payload: fmt.Appendf(nil, `{"customer":%q}`, customer)})
	}
	return all
}

func appendAll(b *testing.B, s store.Store, appends ...store.StreamAppend) (head int64) {
	b.Helper()
	if _, err := s.AppendBulk(b.Context(), store.AppendOptions{}, appends...); err != nil {
		b.Fatal(err)
	}
	horizon, err := s.Horizon(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return horizon.Head
}

// others are so many events of customers that are not parked, of as many streams.
func others(events int) []store.StreamAppend {
	const customers = 100
	all := make([]store.StreamAppend, customers)
	for i := range all {
		all[i] = eventsOf(fmt.Sprint("n", i), fmt.Sprint("c", i), events/customers)
	}
	return all
}

// processorTime is what the process has taken so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// benchOptions are the defaults, but for parking, which has no limit and waits for other code.
func benchOptions() segments.Options {
	return segments.Options{ParkedMax: -1, ParkedRetries: -1, PollOnly: true}
}

// benchWorker is a worker at work.
type benchWorker struct {
	*segments.Worker
	stop func()
}

func runWorker(b *testing.B, s store.Store, program segments.Program) benchWorker {
	b.Helper()
	worker, err := segments.New(s, s, benchOptions())
	if err != nil {
		b.Fatal(err)
	}
	worker.SetProgram(program)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()
	return benchWorker{worker, func() {
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}}
}

// await waits without asking the database, which has its price.
func (w benchWorker) await(b *testing.B, head int64) {
	b.Helper()
	testwait.Until(b, "all is applied", func() bool {
		progress := w.Progress()[0]
		return progress.Known && progress.Position >= head
	})
}

// BenchmarkParking_othersGoOn has a running host apply events of other keys while so many keys are parked, taking
// turns. It gives the processor time of an event, of the process, and the medians of the ratios to none parked; the
// last one of none against itself.
func BenchmarkParking_othersGoOn(b *testing.B) {
	variants := []int{0, 100, 10_000, 0}
	chunk, chunks := 1000, 60
	if testing.Short() {
		variants, chunks = []int{0, 100, 1000, 0}, 2
	}
	stores := make([]store.Store, len(variants))
	for i, parked := range variants {
		s := logtest.New(b)
		stores[i] = s
		park(b, s, parked)
	}
	ratios, times := make([][]float64, len(variants)), make([][]float64, len(variants))
	for round := 0; b.Loop(); round++ {
		took := make([]float64, len(variants))
		for n := range variants {
			at := (n + round) % len(variants)
			s := stores[at]
			worker := runWorker(b, s, &counts{})
			worker.await(b, appendAll(b, s, others(chunk)...))
			before := processorTime(b)
			for range chunks {
				worker.await(b, appendAll(b, s, others(chunk)...))
			}
			took[at] = float64((processorTime(b) - before).Microseconds()) / float64(chunk*chunks)
			worker.stop()
		}
		for i := range variants {
			times[i] = append(times[i], took[i])
			ratios[i] = append(ratios[i], took[i]/took[0])
		}
	}
	for i, parked := range variants {
		name := fmt.Sprint(parked)
		if i > 0 && parked == 0 {
			name = "itself"
		}
		b.ReportMetric(median(times[i]), "cpu-µs/event-"+name)
		if i > 0 {
			b.ReportMetric(median(ratios[i]), "ratio-"+name)
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkParking_poll is what a segment, one of four, asks while keys are parked: which are due by their time or an
// order, once a second, and which also because of its code, when it begins.
func BenchmarkParking_poll(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"SQLite":     func(b *testing.B) store.Store { return logtest.New(b) },
		"PostgreSQL": func(b *testing.B) store.Store { return openPostgres(b, pgtest.New(b)) },
	} {
		for _, parked := range []int{100, 10_000} {
			s := open(b)
			park(b, s, parked)
			for by, code := range map[string]string{"time": "", "code": (&counts{}).Code()} {
				b.Run(fmt.Sprintf("%s/parked=%d/by=%s", name, parked, by), func(b *testing.B) {
					request := store.ParkedRequest{
						Projection: countsID, Range: store.SplitRange(4)[1], Code: code, Due: true, Limit: 100,
					}
					for b.Loop() {
						if due, err := s.Parked(b.Context(), request); err != nil || len(due) > 0 {
							b.Fatalf("%d keys are due, %v", len(due), err)
						}
					}
				})
			}
		}
	}
}

// park parks keys that get no further events, and moves the checkpoint behind them.
func park(b *testing.B, s store.Store, keys int) {
	b.Helper()
	if keys == 0 {
		return
	}
	appends := make([]store.StreamAppend, keys)
	for i := range appends {
		appends[i] = eventsOf(fmt.Sprint("parked", i), "parked", 1)
	}
	appendAll(b, s, appends...)
	if err := s.Heartbeat(b.Context(), store.Worker{Name: "parker"}, 1<<40); err != nil {
		b.Fatal(err)
	}
	catalogue, err := s.Install(b.Context(), (&counts{}).Projection(), 4)
	if err != nil {
		b.Fatal(err)
	}
	horizon, err := s.Horizon(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	claims, err := s.Claim(b.Context(), store.ClaimRequest{Projection: countsID, Worker: "parker", Limit: 100})
	if err != nil {
		b.Fatal(err)
	}
	for _, claim := range claims {
		commit := store.Commit{Through: horizon.Position, Log: claim.Applied.Log}
		for i := range appends {
			key := fmt.Append(nil, "parked", i)
			if !claim.Range.Contains(store.PartitionHashOf(key)) {
				continue
			}
			commit.Parked = append(commit.Parked, store.NewParked{Key: key, Fault: store.ParkedFault{
				Position: int64(i + 1), Error: "as the benchmark has it", Attempts: 1, RetryAfter: -1, Code: (&counts{}).Code(),
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
