package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// partitionResult is W1 in segments of streams, and in segments of keys that only the payload has.
type partitionResult struct {
	Way      string    `json:"way"`
	ByStream []float64 `json:"events_per_second_by_stream"` // one a round
	ByKey    []float64 `json:"events_per_second_by_json_key"`
}

// partitionWay is a way to divide the work.
type partitionWay struct {
	name            string
	hosts, segments int
	behind          bool // only one of the segments has anything to do
}

var partitionWays = []partitionWay{
	{name: "1 segment", hosts: 1, segments: 1},
	{name: "4 segments", hosts: 1, segments: 4},
	{name: "1 of 16 segments far behind", hosts: 1, segments: 16, behind: true},
	{name: "4 hosts of 4 segments", hosts: 4, segments: 16},
}

// namedLog is the log of W1 whose payloads name their account, so that both ways divide the rows alike.
func (e *environment) namedLog(ctx context.Context) (*eventLog, []booking, error) {
	dsn, err := e.database(ctx, "named")
	if err != nil {
		return nil, nil, err
	}
	bookings := makeBookings(e.events, e.streams)
	events := make([]logEvent, len(bookings))
	for i, b := range bookings {
		events[i] = b.event(i)
		events[i].payload = bytes.Replace(events[i].payload, []byte(`"channel":"branch"`), fmt.Appendf(nil, `"account":%q`, events[i].stream), 1)
	}
	return &eventLog{dsn: dsn, count: int64(len(events))}, bookings, fill(ctx, dsn, "Bank", "Account", events)
}

func runPartitions(ctx context.Context, e *environment, r *report) error {
	var log *eventLog
	var bookings []booking
	for _, way := range partitionWays {
		name := "partitions/" + way.name
		if !e.wants(name) {
			continue
		}
		if log == nil {
			var err error
			if log, bookings, err = e.namedLog(ctx); err != nil {
				return err
			}
		}
		byStream, byKey := balanceWorkload(log, bookings), balanceWorkload(log, bookings)
		byKey.module, byKey.projection, byKey.table = "internal/bench/modules/balance_by_key", "bench_by_key", "bench_by_key.accounts"
		result := &partitionResult{Way: way.name}
		for range e.rounds {
			for _, of := range []struct {
				workload *workload
				rates    *[]float64
			}{{byStream, &result.ByStream}, {byKey, &result.ByKey}} {
				rate, err := way.run(ctx, e, of.workload)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, of.workload.projection, err)
				}
				fmt.Fprintf(os.Stderr, "%-45s %10.0f events/s, %s\n", name, rate, of.workload.projection)
				*of.rates = append(*of.rates, rate)
			}
		}
		r.Partitions = append(r.Partitions, result)
	}
	return nil
}

// run has the hosts apply the log, or one segment's part of it, and returns the events a second.
func (p *partitionWay) run(ctx context.Context, e *environment, w *workload) (float64, error) {
	s, err := openWatched(w.log.dsn, postgres.Options{Warm: true})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := forget(ctx, s, w.projection); err != nil {
		return 0, err
	}
	events := w.log.count
	if p.behind {
		if events, err = p.leaveBehind(ctx, e, s, w); err != nil {
			return 0, err
		}
	}
	workers := make([]*segments.Worker, p.hosts)
	for i := range workers {
		own, err := postgres.Open(w.log.dsn, postgres.Options{Warm: true})
		if err != nil {
			return 0, err
		}
		defer own.Close()
		module, err := e.load(ctx, tinygoGuest, w)
		if err != nil {
			return 0, err
		}
		if workers[i], err = segments.New(own, segments.Options{Once: true, Segments: p.segments}); err != nil {
			return 0, err
		}
		workers[i].Set(module)
	}
	watch := startStopwatch()
	done := make(chan error, p.hosts)
	for _, worker := range workers {
		go func() { done <- worker.Run(ctx) }()
	}
	for range p.hosts {
		err = errors.Join(err, <-done)
	}
	elapsed := watch.elapsed()
	if err == nil && !p.behind {
		err = w.check(ctx, w.table, w.log.count)
	}
	return float64(events) / elapsed.Seconds(), err
}

// leaveBehind has all segments but one stand at the end of the log, and returns about how many events that one has.
func (p *partitionWay) leaveBehind(ctx context.Context, e *environment, s *watchedStore, w *workload) (int64, error) {
	module, err := e.load(ctx, tinygoGuest, w)
	if err != nil {
		return 0, err
	}
	if _, err := s.Install(ctx, &module.Description.Projection, p.segments); err != nil {
		return 0, err
	}
	move := fmt.Sprintf("UPDATE pupwasm.segments SET position = %d WHERE projection = '%s' AND segment > 0", w.log.count, w.projection)
	return w.log.count / int64(p.segments), execute(ctx, w.log.dsn, move)
}

// judgePartitions compares division by key with division by stream.
func (r *report) judgePartitions() {
	for _, p := range r.Partitions {
		each := make([]float64, min(len(p.ByStream), len(p.ByKey)))
		for i := range each {
			each[i] = p.ByKey[i] / p.ByStream[i]
		}
		want := 0.0
		if p.Way == partitionWays[0].name {
			want = 0.9
		}
		r.Ratios = append(r.Ratios, ratio{Workload: "W1", Ours: p.Way + " divided by a JSON field", Theirs: "by stream", Want: want}.over(each))
	}
}

func (r *report) printPartitions(out *tabwriter.Writer) {
	if len(r.Partitions) == 0 {
		return
	}
	fmt.Fprint(out, "\nW1 divided by stream, and by a field of the payload, pupwasm TinyGo, from the start of the hosts\nby stream, events/s\tby field, events/s\t  way\n")
	for _, p := range r.Partitions {
		fmt.Fprintf(out, "%s\t%s\t  %s\n", figures(p.ByStream, 0, func(v float64) float64 { return v }),
			figures(p.ByKey, 0, func(v float64) float64 { return v }), p.Way)
	}
	_ = out.Flush()
}
