package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// batches are the options of a worker each of whose batches, of a fixed size, is a commit.
func batches(events, count int) segments.Options {
	return segments.Options{BatchEvents: events, CommitEvents: events, Segments: count}
}

// workerRun is the projection as a module, run by a worker until all is applied.
func workerRun(kind guestKind, options segments.Options) run { return runOf(kind, options, false) }

// candidateRun is the same for a version that readers do not see.
func candidateRun(kind guestKind, options segments.Options) run { return runOf(kind, options, true) }

func runOf(kind guestKind, options segments.Options, unseen bool) run {
	options.Once = true
	return func(ctx context.Context, e *environment, w *workload, events int64) (measured, error) {
		s, err := openWatched(w.log.dsn, postgres.Options{})
		if err != nil {
			return measured{}, err
		}
		defer s.Close()
		s.unseen = unseen
		if err := forget(ctx, s, w.projection); err != nil {
			return measured{}, err
		}
		worker, err := newWorker(ctx, e, s, w, kind, options)
		if err != nil {
			return measured{}, err
		}
		m, err := watchWorker(ctx, &s.beginning, worker, events)
		m.table = w.table
		return m, err
	}
}

// newWorker makes a worker with the workload's module.
func newWorker(
	ctx context.Context, e *environment, s store.Store, w *workload, kind guestKind, options segments.Options,
) (*segments.Worker, error) {
	module, err := e.load(ctx, kind, w)
	if err != nil {
		return nil, err
	}
	worker, err := segments.New(s, s, options)
	if err != nil {
		return nil, err
	}
	worker.Set(module)
	return worker, nil
}

// beginning notes when a worker first reads the log: its work begins there. What it does once before is reported as its
// start: finding the other workers, the install with its checks, the claims.
type beginning struct {
	watch stopwatch
	begun atomic.Int64 // by the watch; 0 before
}

func (b *beginning) note() { b.begun.CompareAndSwap(0, int64(b.watch.elapsed())) }

// watchedStore notes when the log is first read.
type watchedStore struct {
	server
	beginning
	unseen bool
}

// Status is the store's. Readers are said to see another version where that is what is measured.
func (s *watchedStore) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	all, err := s.server.Status(ctx, only...)
	for i := range all {
		all[i].Live = all[i].Live && !s.unseen
	}
	return all, err
}

func openWatched(dsn string, options postgres.Options) (*watchedStore, error) {
	s, err := postgres.Open(dsn, options)
	if err != nil {
		return nil, err
	}
	return &watchedStore{server: s.Backend().(server), beginning: beginning{watch: startStopwatch()}}, nil
}

// server is a store on PostgreSQL, as a worker uses it.
type server interface {
	store.Store
	store.Notifier
	store.Peeker
}

// Read is the store's.
func (s *watchedStore) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	s.note()
	return s.server.Read(ctx, request, page)
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

// watchWorker runs a worker and times it from its first read to its last commit.
func watchWorker(ctx context.Context, b *beginning, worker *segments.Worker, events int64) (m measured, err error) {
	done := make(chan error, 1)
	started := b.watch.elapsed()
	go func() { done <- worker.Run(ctx) }()
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for appliedBy(worker) < events {
		select {
		case <-tick.C:
		case err := <-done:
			if applied := appliedBy(worker); err == nil && applied < events {
				err = fmt.Errorf("the worker has applied %d of %d events", applied, events)
			}
			if err != nil {
				return m, err
			}
			done <- nil
		}
	}
	ended, begun := b.watch.elapsed(), time.Duration(b.begun.Load())
	return measured{events: events, elapsed: ended - begun, start: begun - started}, <-done
}
