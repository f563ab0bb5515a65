package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// batches are the options of a worker whose batches and commits have a fixed size.
func batches(events, count int) segments.Options {
	return segments.Options{BatchEvents: events, Segments: count}
}

// workerRun is the projection as a module, run by a worker until all is applied.
func workerRun(kind guestKind, options segments.Options) func(context.Context, *environment, *workload, int64) (measured, error) {
	return func(ctx context.Context, e *environment, w *workload, events int64) (measured, error) {
		module, err := e.load(ctx, kind, w)
		if err != nil {
			return measured{}, err
		}
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return measured{}, err
		}
		defer s.Close()
		if err := forget(ctx, s, w.projection); err != nil {
			return measured{}, err
		}
		options.Once = true
		worker, err := segments.New(s, options)
		if err != nil {
			return measured{}, err
		}
		worker.Set(module)
		m, err := watchWorker(ctx, worker, events)
		m.table = w.table
		return m, err
	}
}

// forget removes what an earlier run has left of a projection.
func forget(ctx context.Context, s store.Store, projection string) error {
	var unknown *store.InputError // at the first time
	if err := s.Reset(ctx, projection); err != nil && !errors.As(err, &unknown) {
		return err
	}
	return nil
}

// appliedBy is how many events a worker has applied, over all of its projections.
func appliedBy(worker *segments.Worker) (events int64) {
	for _, p := range worker.Progress() {
		events += p.Events
	}
	return events
}

// watchWorker runs a worker and times it from the first commit that is seen to the last, so that what a process does once is
// told apart: the look at who else works, the install with its checks, the claims.
func watchWorker(ctx context.Context, worker *segments.Worker, events int64) (m measured, err error) {
	done := make(chan error, 1)
	watch := startStopwatch()
	go func() { done <- worker.Run(ctx) }()
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	var first int64
	var begun, ended time.Duration
	for ended == 0 {
		var applied int64
		select {
		case <-tick.C:
			applied = appliedBy(worker)
		case err := <-done:
			return m, fmt.Errorf("the worker ended early: %w", err)
		}
		now := watch.elapsed()
		if first == 0 && applied > 0 {
			first, begun = applied, now
		}
		if applied >= events {
			ended = now
		}
	}
	if err := <-done; err != nil {
		return m, err
	}
	if first >= events {
		return m, fmt.Errorf("all %d events were applied at once: give it more", events)
	}
	return measured{events: events - first, elapsed: ended - begun, start: begun}, nil
}
