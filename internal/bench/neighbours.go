package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"runtime/metrics"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// neighbourResult is what one honest projection sees of hostile ones in the same process.
type neighbourResult struct {
	Hostile  int     `json:"hostile_modules"`
	Faults   int     `json:"faults"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	GCPause  float64 `json:"longest_gc_pause_ms"`
	MemoryMB float64 `json:"go_memory_mb"` // after the run
}

// neighbourPace is how often an event comes to the honest projection.
const neighbourPace = 5 * time.Millisecond

// hostileEvery is how often a hostile module is set anew, which has it try its batch again.
const hostileEvery = 200 * time.Millisecond

// runNeighbours has a projection follow 200 events a second, by itself and beside all hostile modules of the conformance kit, each of which
// is set anew when it has failed. Modules that cannot be compiled in time are loaded beside it, again and again.
func runNeighbours(ctx context.Context, e *environment, r *report) error {
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
		result, err := measureNeighbours(ctx, &own, hostile)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%-45s p99 %.1f ms, longest GC pause %.1f ms\n", name, result.P99, result.GCPause)
		r.Neighbours = append(r.Neighbours, result)
	}
	return nil
}

func measureNeighbours(ctx context.Context, e *environment, hostile bool) (*neighbourResult, error) {
	result := &neighbourResult{}
	f := follower{name: "neighbours", start: func(ctx context.Context, e *environment, w *workload) (func() error, string, error) {
		wasm, err := e.module("tinygo", w.module)
		if err != nil {
			return nil, "", err
		}
		honest, err := e.runtime.Load(ctx, w.projection+".wasm", wasm)
		if err != nil {
			return nil, "", err
		}
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return nil, "", err
		}
		worker, err := segments.New(s, segments.Options{})
		if err != nil {
			return nil, "", err
		}
		worker.Set(honest)
		return func() error {
			defer s.Close()
			around, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if hostile {
					result.Hostile, result.Faults = besiege(around, e.runtime, worker)
				}
			}()
			err := worker.Run(ctx)
			stop()
			<-ended
			return err
		}, w.table, nil
	}}
	samples := e.pick(2000, 6000)
	l := &latencyResult{}
	paused := gcPauses()
	if err := l.measure(ctx, e, f, pace{"200/s", neighbourPace, samples}, fmt.Sprintf("neighbours_%t", hostile)); err != nil {
		return nil, err
	}
	result.P50, result.P99, result.GCPause = l.P50, l.P99, longestSince(paused)
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	result.MemoryMB = float64(sample[0].Value.Uint64()) / 1e6
	return result, nil
}

// besiege sets hostile modules one after the other until ctx ends, and has modules compiled that take too much. It returns how many there
// are, and how often one was set.
func besiege(ctx context.Context, runtime *host.Runtime, worker *segments.Worker) (hostiles, faults int) {
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
func (r *report) judgeNeighbours() {
	alone := slices.IndexFunc(r.Neighbours, func(n *neighbourResult) bool { return n.Hostile == 0 })
	among := slices.IndexFunc(r.Neighbours, func(n *neighbourResult) bool { return n.Hostile > 0 })
	if alone < 0 || among < 0 {
		return
	}
	const floor = 60 // ms
	limit := max(3*r.Neighbours[alone].P99, floor)
	r.Ratios = append(r.Ratios,
		ratio{Ours: "p99 from append to row beside hostile modules", Theirs: fmt.Sprintf("%.0f ms", limit), Want: 1, AtMost: true}.
			over([]float64{r.Neighbours[among].P99 / limit}),
		ratio{Ours: "longest GC pause beside hostile modules", Theirs: "50 ms", Want: 1, AtMost: true}.
			over([]float64{r.Neighbours[among].GCPause / 50}))
}

func (r *report) printNeighbours(out *tabwriter.Writer) {
	if len(r.Neighbours) == 0 {
		return
	}
	fmt.Fprint(out, "\none projection under 200 events a second, beside hostile modules\nhostile\tset\tp50 ms\tp99 ms\tlongest GC pause ms\tMB\n")
	for _, n := range r.Neighbours {
		fmt.Fprintf(out, "%d\t%d\t%.2f\t%.2f\t%.2f\t%.0f\n", n.Hostile, n.Faults, n.P50, n.P99, n.GCPause, n.MemoryMB)
	}
	_ = out.Flush()
}
