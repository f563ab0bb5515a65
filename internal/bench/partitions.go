package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partPartitions = "partitions"

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
		named := fmt.Appendf(nil, `"account":%q`, events[i].stream)
		events[i].payload = bytes.Replace(events[i].payload, []byte(`"channel":"branch"`), named, 1)
	}
	return &eventLog{dsn: dsn, count: int64(len(events))}, bookings, fill(ctx, dsn, "Bank", "Account", events)
}

func runPartitions(ctx context.Context, e *environment, r *report) error {
	var log *eventLog
	var bookings []booking
	result := r.addTable(partPartitions,
		"W1 divided by stream, and by a field of the payload, pupwasm TinyGo, from the start of the hosts", "way",
		column{"by stream, events/s", unitRate, 0, showSpread},
		column{"by field, events/s", unitByKey, 0, showSpread})
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
		byKey.module = "internal/bench/modules/balance_by_key"
		byKey.projection, byKey.table = "bench_by_key", "bench_by_key.accounts"
		for range e.rounds {
			for unit, w := range map[string]*workload{unitRate: byStream, unitByKey: byKey} {
				rate, err := way.run(ctx, e, w)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, w.projection, err)
				}
				fmt.Fprintf(os.Stderr, "%-45s %10.0f events/s, %s\n", name, rate, w.projection)
				result.add(way.name, sample{unit: rate})
			}
		}
	}
	return nil
}

// run has the hosts apply the log, or one segment's part of it, and returns the events a second.
func (p *partitionWay) run(ctx context.Context, e *environment, w *workload) (float64, error) {
	s, err := openWatched(w.log.dsn, postgres.Options{})
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
		own, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return 0, err
		}
		defer own.Close()
		options := segments.Options{Once: true, Segments: p.segments}
		if workers[i], err = newWorker(ctx, e, own.Backend(), w, tinygoGuest, options); err != nil {
			return 0, err
		}
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

// leaveBehind moves all segments but one to the end of the log, and returns about how many events that one has.
func (p *partitionWay) leaveBehind(ctx context.Context, e *environment, s *watchedStore, w *workload) (int64, error) {
	module, err := e.load(ctx, tinygoGuest, w)
	if err != nil {
		return 0, err
	}
	if _, err := s.Install(ctx, &module.Description.Projection, p.segments); err != nil {
		return 0, err
	}
	move := fmt.Sprintf("UPDATE pupwasm.segments SET position = %d WHERE projection = '%s' AND segment > 0",
		w.log.count, w.projection)
	return w.log.count / int64(p.segments), execute(ctx, w.log.dsn, move)
}
