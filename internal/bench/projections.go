package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partProjections = "projections"

const (
	catchingUp  = "catching up"
	nearTheHead = "near the head"
)

// manyProjections is the number that a bar is about.
const manyProjections = 20

func projectionsName(count int, state string) string { return fmt.Sprintf("%d, %s", count, state) }

func runProjections(ctx context.Context, e *environment, r *report) error {
	result := r.addTable(partProjections, "projections on one host, W1, one segment each", "projections",
		column{"applied events/s", unitRate, 0, showSpread},
		column{"reads per 1,000 events", unitReads, 1, showSpread},
		column{"rows read per event", unitRows, 2, showSpread},
		column{"client CPU ns/applied event", "client-cpu-ns/event", 0, showSpread})
	for _, state := range []string{catchingUp, nearTheHead} {
		for _, count := range []int{1, 5, manyProjections} {
			name := fmt.Sprintf("projections/%s/%d", state, count)
			if !e.wants(name) {
				continue
			}
			for range e.pick(1, 3) {
				run := catchUpMany
				if state == nearTheHead {
					run = followMany
				}
				s, err := run(ctx, e, count)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				fmt.Fprintf(os.Stderr, "%-45s %10.0f events/s, %.2f rows an event\n", name, s[unitRate], s[unitRows])
				result.add(projectionsName(count, state), s)
			}
		}
	}
	return nil
}

// many is a worker with copies of W1 under names of their own.
type many struct {
	store  *watchedStore
	worker *segments.Worker
	names  []string
}

func startMany(ctx context.Context, e *environment, w *workload, count int, options segments.Options) (*many, error) {
	options.Segments = 1
	options.Concurrency = max(segments.Defaults().Concurrency, count)
	s, err := openWatched(w.log.dsn, postgres.Options{ConnectionsMax: options.Concurrency})
	if err != nil {
		return nil, err
	}
	m := &many{store: s}
	if m.worker, err = segments.New(s, s, options); err != nil {
		return nil, err
	}
	wasm, err := e.module(tinygoGuest.compiler, w.module)
	if err != nil {
		return nil, err
	}
	for i := range count {
		// The name is a constant in the module's data; another of the same length makes another projection of it.
		name := fmt.Sprintf("bench_bal%04d", i)
		module, err := e.runtime.Load(ctx, name+".wasm", bytes.ReplaceAll(wasm, []byte(w.projection), []byte(name)))
		if err != nil {
			return nil, err
		}
		if module.Description.Name != name {
			return nil, fmt.Errorf("a copy of %s is called %s, must be %s", w.projection, module.Description.Name, name)
		}
		if err := forget(ctx, s, name); err != nil {
			return nil, err
		}
		m.names = append(m.names, name)
		m.worker.Set(module)
	}
	return m, nil
}

// catchUpMany replays the log of W1.
func catchUpMany(ctx context.Context, e *environment, count int) (s sample, err error) {
	log, err := e.accountsLog(ctx)
	if err != nil {
		return s, err
	}
	w := balanceWorkload(log, e.bookings)
	before, err := readsOf(ctx, log.dsn)
	if err != nil {
		return s, err
	}
	m, err := startMany(ctx, e, w, count, segments.Options{Once: true})
	if err != nil {
		return s, err
	}
	cpu := processorTime()
	done, err := watchWorker(ctx, &m.store.beginning, m.worker, log.count*int64(count))
	cpu = processorTime() - cpu
	m.store.Close()
	if err != nil {
		return s, err
	}
	for _, name := range m.names {
		if err := w.check(ctx, name+".accounts", log.count); err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	after, err := readsOf(ctx, log.dsn)
	return readSample(done, cpu, before, after, log.count), err
}

// The load near the head: 500 events a second.
const (
	nearEvery  = 10 * time.Millisecond
	nearEvents = 5
)

// followMany has the projections follow an appender.
func followMany(ctx context.Context, e *environment, count int) (s sample, err error) {
	dsn, err := e.database(ctx, fmt.Sprintf("near_%d", e.nextDatabase()))
	if err != nil {
		return s, err
	}
	w := balanceWorkload(&eventLog{dsn: dsn}, nil)
	m, err := startMany(ctx, e, w, count, segments.Options{})
	if err != nil {
		return s, err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- m.worker.Run(working) }()
	cpu := processorTime()
	watch := startStopwatch()
	appended, err := m.follow(ctx, e)
	elapsed := watch.elapsed()
	cpu = processorTime() - cpu
	stop()
	err = errors.Join(err, <-done)
	m.store.Close()
	if err != nil {
		return s, err
	}
	for _, name := range m.names {
		if err := checkCount(ctx, dsn, name+".accounts", appended); err != nil {
			return s, err
		}
	}
	after, err := readsOf(ctx, dsn)
	all := measured{events: appended * int64(count), elapsed: elapsed}
	return readSample(all, cpu, logReads{}, after, appended), err
}

// follow appends at the load for some time, after all projections have shown that they are at work, and waits
// for the last of them.
func (m *many) follow(ctx context.Context, e *environment) (appended int64, err error) {
	tick := time.NewTicker(nearEvery)
	defer tick.Stop()
	appends := func() error {
		s := make([]store.StreamAppend, nearEvents)
		for i := range s {
			s[i] = booking{account: (int(appended) + i) % e.streams, amount: 1, kind: "Deposited"}.append(i)
		}
		_, err := m.store.Append(ctx, store.AppendOptions{}, s...)
		appended += nearEvents
		return err
	}
	applied := func() error {
		waited := startStopwatch()
		for appliedBy(m.worker) < appended*int64(len(m.names)) {
			if waited.elapsed() > probeTimeout {
				return fmt.Errorf("%d of %d events were applied", appliedBy(m.worker), appended*int64(len(m.names)))
			}
			<-tick.C
		}
		return nil
	}
	if err := appends(); err != nil {
		return appended, err
	}
	if err := applied(); err != nil {
		return appended, err
	}
	for watch := startStopwatch(); watch.elapsed() < e.near; <-tick.C {
		if err := appends(); err != nil {
			return appended, err
		}
	}
	return appended, applied()
}

func checkCount(ctx context.Context, dsn, table string, want int64) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var got int64
	err = conn.QueryRow(ctx, "SELECT coalesce(sum(events), 0)::bigint FROM "+table).Scan(&got)
	if err == nil && got != want {
		err = fmt.Errorf("%s counts %d events, must be %d", table, got, want)
	}
	return err
}

// logReads is what the database has counted at the index that the log is read by. Appends use another.
type logReads struct{ scans, rows int64 }

// readsOf waits until all others have left the database: a session hands its counts in when it ends.
func readsOf(ctx context.Context, dsn string) (reads logReads, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return reads, err
	}
	defer conn.Close(ctx)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for others := 1; others > 0; <-tick.C {
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend'
				AND pid <> pg_backend_pid()`).Scan(&others)
		if err != nil {
			return reads, err
		}
	}
	err = conn.QueryRow(ctx, `SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes
		WHERE schemaname = 'pupwasm' AND indexrelname = 'events_pkey'`).Scan(&reads.scans, &reads.rows)
	return reads, err
}

// readSample is what a run over some events of a log, by all projections together, has measured.
func readSample(m measured, cpu time.Duration, before, after logReads, events int64) sample {
	return sample{
		unitRate: m.rate(), "client-cpu-ns/event": float64(cpu.Nanoseconds()) / float64(m.events),
		unitReads: float64(after.scans-before.scans) / float64(events) * 1000,
		unitRows:  float64(after.rows-before.rows) / float64(events),
	}
}
