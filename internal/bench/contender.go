package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
)

// contender is one way to run a projection.
type contender struct {
	name  string
	only  string // the one workload that it takes part in; "" for all
	limit int64  // the most events of a run, for those that would take minutes; 0 for all
	run   run
}

// measured is one run.
type measured struct {
	table   string // where the rows are, "" when there are none
	events  int64  // that were timed
	elapsed time.Duration
	start   time.Duration // of a worker, until it first reads the log
}

// run projects the first events of a log into tables that are empty, and returns the table.
type run func(ctx context.Context, e *environment, w *workload, events int64) (measured, error)

func contenders(e *environment) []contender {
	reused, fresh := guestKind{"tinygo", host.InstancesReuse}, guestKind{"go", host.InstancesFresh}
	return []contender{
		{name: "bare read", run: runRead},
		{name: "COPY, then the key", only: "W2", run: copyRun},
		{name: "one SQL statement n=1000", run: sqlRun(1000)},
		{name: "one SQL statement n=5000", run: sqlRun(5000)},
		{name: "native n=1000", run: nativeRun(1000, 1)},
		{name: "native n=5000", run: nativeRun(5000, 1)},
		{name: "native n=1000, 4 segments", run: nativeRun(1000, 4)},
		{name: "handler, tuned", limit: int64(e.pick(5_000, 50_000)), run: handlerRun(true)},
		{name: "handler, defaults", limit: int64(e.pick(500, 5_000)), run: handlerRun(false)},
		{name: "pupwasm TinyGo n=1000", run: workerRun(tinygoGuest, batches(1000, 1))},
		{name: "pupwasm TinyGo n=5000", run: workerRun(tinygoGuest, batches(5000, 1))},
		{name: "pupwasm TinyGo n=1000, 2 segments", only: "W1", run: workerRun(tinygoGuest, batches(1000, 2))},
		{name: "pupwasm TinyGo n=1000, 4 segments", run: workerRun(tinygoGuest, batches(1000, 4))},
		{name: "pupwasm TinyGo n=1000, 8 segments", only: "W1", run: workerRun(tinygoGuest, batches(1000, 8))},
		{name: "pupwasm TinyGo, window", run: workerRun(tinygoGuest, segments.Options{Segments: 1})},
		{name: "pupwasm TinyGo, candidate", run: candidateRun(tinygoGuest, segments.Options{Segments: 1})},
		{name: "pupwasm TinyGo, candidate, 4 segments", run: candidateRun(tinygoGuest, segments.Options{Segments: 4})},
		{name: "pupwasm TinyGo, window, 4 segments", run: workerRun(tinygoGuest, segments.Options{Segments: 4})},
		{name: "pupwasm TinyGo n=1000, reused instances", only: "W1", run: workerRun(reused, batches(1000, 1))},
		{name: "pupwasm Go n=1000", run: workerRun(goGuest, batches(1000, 1))},
		{name: "pupwasm Go n=1000, fresh instances", only: "W1", run: workerRun(fresh, batches(1000, 1))},
	}
}

const partWorkloads = "workloads"

// runWorkloads has the contenders take turns on every workload.
func runWorkloads(ctx context.Context, e *environment, r *report) error {
	workloads, err := makeWorkloads(ctx, e)
	if err != nil {
		return err
	}
	stop, err := startProfile(e.cpuProfile)
	if err != nil {
		return err
	}
	defer stop()
	for _, w := range workloads {
		title := fmt.Sprintf("%s, %s: %s events, %s", w.name, w.title, thousands(float64(w.log.count), 0), w.log.source)
		result := r.addTable(partWorkloads, title, "contender",
			column{"events/s", unitRate, 0, showSpread},
			column{"client CPU ns/event", "client-cpu-ns/event", 0, showMedian},
			column{"allocs/event", "allocs/event", 2, showMedian},
			column{"bytes/event", "B/event", 0, showMedian},
			column{"client peak MiB", "client-peak-MiB", 0, showMedian},
			column{"start ms", "start-ms", 0, showPositive})
		for round := range e.rounds {
			for _, c := range contenders(e) {
				name := w.name + "/" + c.name
				if !c.wanted(e, w.name) || round > 0 && !e.full && !judged(w.name, c.name) {
					continue
				}
				s, err := c.measure(ctx, e, w)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				result.add(c.name, s)
				fmt.Fprintf(os.Stderr, "%d/%d %-45s %10.0f events/s\n", round+1, e.rounds, name, s[unitRate])
			}
		}
	}
	return nil
}

func (c *contender) wanted(e *environment, workload string) bool {
	return (c.only == "" || c.only == workload) && e.wants(workload+"/"+c.name)
}

// startProfile begins a CPU profile of the runs, which are all that it shows, if a file is asked for.
func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}, pprof.StartCPUProfile(file)
}

// makeWorkloads fills the logs of the workloads that somebody takes part in.
func makeWorkloads(ctx context.Context, e *environment) ([]*workload, error) {
	takesPart := func(workload string) bool {
		return slices.ContainsFunc(contenders(e), func(c contender) bool { return c.wanted(e, workload) })
	}
	var workloads []*workload
	if takesPart("W1") || takesPart("W2") {
		log, err := e.accountsLog(ctx)
		if err != nil {
			return nil, err
		}
		workloads = append(workloads, balanceWorkload(log, e.bookings), rowsWorkload(log, e.bookings))
	}
	if takesPart("W3") {
		log, events, err := finesLog(ctx, e)
		if err != nil {
			return nil, err
		}
		workloads = append(workloads, fineWorkload(log, events))
	}
	return workloads, nil
}

// measure runs the contender once, over fresh tables, and checks what it has made.
func (c *contender) measure(ctx context.Context, e *environment, w *workload) (sample, error) {
	if err := execute(ctx, w.log.dsn, append(w.ownTables(), "CHECKPOINT")...); err != nil {
		return nil, err
	}
	events := w.log.count
	if c.limit > 0 {
		events = min(events, c.limit)
	}
	memory := startMemoryWatch()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := processorTime()
	m, err := c.run(ctx, e, w, events)
	if err != nil {
		return nil, err
	}
	cpu = processorTime() - cpu
	peak := memory.peak()
	runtime.ReadMemStats(&after)
	if m.table != "" {
		if err := w.check(ctx, m.table, events); err != nil {
			return nil, err
		}
	}
	n := float64(events)
	return sample{
		unitRate: m.rate(), "start-ms": milliseconds(m.start), "client-cpu-ns/event": float64(cpu.Nanoseconds()) / n,
		"allocs/event":    float64(after.Mallocs-before.Mallocs) / n,
		"B/event":         float64(after.TotalAlloc-before.TotalAlloc) / n,
		"client-peak-MiB": peak / mebibyte, // beyond what the process had before
	}, nil
}

func (m measured) rate() float64 { return float64(m.events) / m.elapsed.Seconds() }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

const mebibyte = 1 << 20

// processorTime is what this process has used; the server's is not in it.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// stopwatch measures one run.
type stopwatch struct{ from time.Time }

func startStopwatch() stopwatch { return stopwatch{clock.Now()} }

func (s stopwatch) elapsed() time.Duration { return clock.Since(s.from) }
