package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"runtime/metrics"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partNeighbours = "neighbours"

// neighbourInterval is how often an event comes to the honest projection.
const neighbourInterval = 5 * time.Millisecond

// hostileEvery is how often a hostile module is set, which has it try its batch again.
const hostileEvery = 200 * time.Millisecond

// runNeighbours has a projection follow 200 events a second, by itself and beside all hostile modules of the
// conformance kit, each of which is set again when it has failed. Modules that cannot be compiled in time are
// loaded beside it, again and again.
func runNeighbours(ctx context.Context, e *environment, r *report) error {
	result := r.addTable(partNeighbours, "one projection under 200 events a second", "neighbours",
		column{"hostile", "hostile-modules", 0, showMedian},
		column{"set", "faults", 0, showMedian},
		column{"p50 ms", unitP50, 2, showMedian},
		column{"p99 ms", unitP99, 2, showMedian},
		column{"longest GC pause ms", unitGCPause, 2, showMedian},
		column{"MB", unitMegabyte, 0, showMedian})
	own := *e
	defer func() {
		if own.server != e.server {
			own.server.Stop()
		}
	}()
	for _, hostile := range []bool{false, true} {
		name := fmt.Sprintf("neighbours/hostile=%t", hostile)
		if !e.wants(name) {
			continue
		}
		if own.server == e.server {
			if err := own.timeCommits(); err != nil {
				return err
			}
		}
		s, err := measureNeighbours(ctx, &own, hostile)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%-45s p99 %.1f ms, longest GC pause %.1f ms\n", name, s[unitP99], s[unitGCPause])
		result.add(neighboursName(hostile), s)
	}
	judgeNeighbours(r, result)
	return nil
}

func neighboursName(hostile bool) string {
	if hostile {
		return "beside hostile modules"
	}
	return "alone"
}

func measureNeighbours(ctx context.Context, e *environment, hostile bool) (sample, error) {
	hostiles, faults := 0, 0
	start := func(ctx context.Context, e *environment, w *workload) (func() error, string, error) {
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return nil, "", err
		}
		worker, err := newWorker(ctx, e, s.Backend(), w, tinygoGuest, segments.Options{})
		if err != nil {
			s.Close()
			return nil, "", err
		}
		return func() error {
			defer s.Close()
			around, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if hostile {
					hostiles, faults = runHostile(around, e.runtime, worker)
				}
			}()
			err := worker.Run(ctx)
			stop()
			<-ended
			return err
		}, w.stored(), nil
	}
	l := &latencyResult{}
	paused := gcPauses()
	load := load{"200/s", neighbourInterval, e.pick(2000, 6000)}
	f := follower{name: partNeighbours, start: start}
	if err := l.measure(ctx, e, f, load, fmt.Sprintf("neighbours_%t", hostile)); err != nil {
		return nil, err
	}
	times := l.sample()
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(memory)
	return sample{
		"hostile-modules": float64(hostiles), "faults": float64(faults),
		unitP50: times[unitP50], unitP99: times[unitP99],
		unitGCPause: longestSince(paused), unitMegabyte: float64(memory[0].Value.Uint64()) / 1e6,
	}, nil
}

// runHostile sets hostile modules one after the other until ctx ends, and has modules compiled that take too
// much. It returns how many there are, and how often one was set.
func runHostile(ctx context.Context, runtime *host.Runtime, worker *segments.Worker) (hostiles, faults int) {
	go func() {
		for n := 0; ctx.Err() == nil; n++ {
			m := hosttest.SlowToCompile().Module()
			m.Custom("number", fmt.Appendf(nil, "%d", n)) // another module each time
			_, _ = runtime.Load(ctx, "slow.wasm", m.Encode())
		}
	}()
	var guests []hosttest.HostileGuest
	for _, g := range hosttest.Hostile() {
		if g.Stage == hosttest.StageApply {
			guests = append(guests, g)
		}
	}
	tick := time.NewTicker(hostileEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return len(guests), faults
		case <-tick.C:
		}
		g := guests[n%len(guests)]
		// All describe themselves alike: a few share the names of as many projections.
		wasm := bytes.ReplaceAll(g.Wasm, []byte(`"name":"hosttest"`), fmt.Appendf(nil, `"name":"host%04d"`, n%8))
		module, err := runtime.Load(ctx, g.Name+".wasm", wasm)
		if err != nil {
			continue
		}
		worker.Set(module)
		faults++
	}
}

const pausesMetric = "/sched/pauses/total/gc:seconds"

// gcPauses reads how often the collector has stopped everything, by how long it took.
func gcPauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: pausesMetric}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

// longestSince is the longest pause since a reading, in milliseconds: the upper end of its bucket.
func longestSince(before *metrics.Float64Histogram) float64 {
	now := gcPauses()
	for i := len(now.Counts) - 1; i >= 0; i-- {
		if now.Counts[i] > before.Counts[i] {
			if end := now.Buckets[i+1]; !math.IsInf(end, 1) {
				return end * 1000
			}
			return now.Buckets[i] * 1000
		}
	}
	return 0
}

// judgeNeighbours wants the honest projection to see little of the others.
func judgeNeighbours(r *report, result *table) {
	alone, among := result.row(neighboursName(false)), result.row(neighboursName(true))
	if alone == nil || among == nil {
		return
	}
	const floor, pause = 60.0, 50.0 // ms
	limit := max(3*alone.Samples[unitP99][0], floor)
	r.addRatio(bar{
		part: partNeighbours, ours: "p99 from append to row beside hostile modules",
		theirs: fmt.Sprintf("%.0f ms", limit), want: 1, atMost: true,
	}, []float64{among.Samples[unitP99][0] / limit})
	r.addRatio(bar{
		part: partNeighbours, ours: "longest GC pause beside hostile modules", theirs: fmt.Sprintf("%.0f ms", pause),
		want: 1, atMost: true,
	}, []float64{among.Samples[unitGCPause][0] / pause})
}
