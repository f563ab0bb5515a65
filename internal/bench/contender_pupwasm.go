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

// workerRun is the projection as a module, run by a worker until all is applied.
//
// Without a window every batch is a commit.
func workerRun(compiler string, batch, count int, window bool) func(context.Context, *environment, *workload, int64) (measured, error) {
	return func(ctx context.Context, e *environment, w *workload, events int64) (measured, error) {
		wasm, err := e.module(compiler, w.module)
		if err != nil {
			return measured{}, err
		}
		module, err := e.runtime.Load(ctx, w.projection+".wasm", wasm)
		if err != nil {
			return measured{}, err
		}
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return measured{}, err
		}
		defer s.Close()
		var unknown *store.InputError // at the first time
		if err := s.Reset(ctx, w.projection); err != nil && !errors.As(err, &unknown) {
			return measured{}, err
		}
		options := segments.Options{Once: true, BatchEvents: batch, Segments: count}
		if !window {
			options.CommitEvents = batch
		}
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
			applied = worker.Progress()[0].Events
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
