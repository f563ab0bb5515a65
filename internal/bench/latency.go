package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// latencyResult is the time from the end of an append to the commit of the row that shows it, over all rounds.
type latencyResult struct {
	Contender string  `json:"contender"`
	Load      string  `json:"load"`
	Samples   int     `json:"samples"`
	Rate      float64 `json:"appends_per_second"` // that was kept
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Most      float64 `json:"most_ms"`
	Lost      int     `json:"lost"` // events that got no row

	times []time.Duration
}

// follower projects what is appended until ctx ends.
type follower struct {
	name  string
	loses bool // events of writers that commit in another order
	start func(ctx context.Context, e *environment, w *workload) (follow func() error, table string, err error)
}

// pace is how often an event is appended, whether or not the last one is visible.
type pace struct {
	name    string
	every   time.Duration
	samples int // of a round
}

// latencyWarmUp is for how long the events of a round do not count: while connections are new and nothing is prepared yet, events
// come faster than they are applied.
const latencyWarmUp = 4 * time.Second

// warmUp is how many events come in that time, at least some.
func (p pace) warmUp() int { return max(int(latencyWarmUp/p.every), 5) }

// runLatencies lets the followers take turns, each time with a database of their own, on a server that keeps the times of commits
// and waits for no disk: what an append waits for it holds the horizon back with, and that is not what is measured.
func runLatencies(ctx context.Context, e *environment, r *report) error {
	paces := []pace{
		{"1000/s", time.Millisecond, e.pick(500, 2000)},
		{"100/s", 10 * time.Millisecond, e.pick(100, 250)},
		{"from idle", time.Duration(e.pick(200, 500)) * time.Millisecond, e.pick(40, 50)},
	}
	followers := []follower{
		{"bare LISTEN loop", true, startListenLoop},
		{"pupwasm TinyGo, notify", false, startWorker(segments.Options{})},
		{"pupwasm TinyGo, polling", false, startWorker(segments.Options{PollOnly: true})},
	}
	var results []*latencyResult
	own := *e
	defer func() {
		if own.server != e.server {
			own.server.Stop()
		}
	}()
	for round := range e.rounds {
		for _, p := range paces {
			for i, f := range followers {
				name := "latency/" + f.name + "/" + p.name
				if !e.run.MatchString(name) {
					continue
				}
				if own.server == e.server {
					if err := own.timeCommits(); err != nil {
						return err
					}
				}
				at := slices.IndexFunc(results, func(l *latencyResult) bool { return l.Contender == f.name && l.Load == p.name })
				if at < 0 {
					at = len(results)
					results = append(results, &latencyResult{Contender: f.name, Load: p.name})
				}
				database := fmt.Sprintf("latency_%d_%d_%d", p.every.Milliseconds(), i, round)
				if err := results[at].measure(ctx, &own, f, p, database); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	for _, l := range results {
		r.Latencies = append(r.Latencies, *l)
		fmt.Fprintf(os.Stderr, "%-45s p50 %.2f ms, p99 %.2f ms\n", "latency/"+l.Contender+"/"+l.Load, l.P50, l.P99)
	}
	return nil
}

// timeCommits starts a server that keeps the times of commits.
func (e *environment) timeCommits() (err error) {
	e.server, err = pgtest.StartDurable("track_commit_timestamp=on", "fsync=off")
	return err
}

// measure adds a round.
func (l *latencyResult) measure(ctx context.Context, e *environment, f follower, p pace, database string) error {
	dsn, err := e.database(ctx, database)
	if err != nil {
		return err
	}
	w := balanceWorkload(&eventLog{dsn: dsn}, nil)
	if err := execute(ctx, dsn, w.ownTables()...); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	follow, table, err := f.start(following, e, w)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- follow() }()
	probe := &probe{dsn: dsn, table: table, ended: ended, loses: f.loses}
	times, rate, err := probe.sample(ctx, p)
	l.Lost += probe.lost
	stop()
	if err != nil {
		return err
	}
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	rounds := float64(len(l.times)) / float64(len(times))
	l.Rate = (l.Rate*rounds + rate) / (rounds + 1)
	l.times = append(l.times, times...)
	l.Samples = len(l.times)
	slices.Sort(l.times)
	at := func(share float64) float64 {
		return l.times[int(math.Ceil(share*float64(len(l.times))))-1].Seconds() * 1000
	}
	l.P50, l.P99, l.Most = at(0.5), at(0.99), at(1)
	return nil
}

// startWorker follows as a host does.
func startWorker(options segments.Options) func(context.Context, *environment, *workload) (func() error, string, error) {
	return func(ctx context.Context, e *environment, w *workload) (func() error, string, error) {
		wasm, err := e.module("tinygo", w.module)
		if err != nil {
			return nil, "", err
		}
		module, err := e.runtime.Load(ctx, w.projection+".wasm", wasm)
		if err != nil {
			return nil, "", err
		}
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return nil, "", err
		}
		worker, err := segments.New(s, options)
		if err != nil {
			return nil, "", err
		}
		worker.Set(module)
		return func() error {
			defer s.Close()
			return worker.Run(ctx)
		}, w.table, nil
	}
}

// What makes each append notify.
const (
	tellFunction = `CREATE FUNCTION bench.tell() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_notify('bench', ''); RETURN NULL; END $$`
	tellTrigger = "CREATE TRIGGER tell AFTER INSERT ON pupwasm.events FOR EACH STATEMENT EXECUTE FUNCTION bench.tell()"
)

// startListenLoop is the least that can follow: a trigger that notifies, and a loop that reads and writes as the native contender
// does. It has no horizon, so that it would lose events of writers that commit in another order.
func startListenLoop(ctx context.Context, _ *environment, w *workload) (func() error, string, error) {
	if err := execute(ctx, w.log.dsn, tellFunction, tellTrigger); err != nil {
		return nil, "", err
	}
	listener, err := pgx.Connect(ctx, w.log.dsn)
	if err != nil {
		return nil, "", err
	}
	if _, err := listener.Exec(ctx, "LISTEN bench"); err != nil {
		return nil, "", err
	}
	reader, err := openReader(ctx, w.log.dsn, w.createdColumn(), "NULL")
	if err != nil {
		return nil, "", err
	}
	segment, err := openSegment(ctx, w, 0, handlerPage)
	if err != nil {
		return nil, "", err
	}
	return func() error {
		defer func() { _ = listener.Close(context.WithoutCancel(ctx)) }()
		defer reader.close()
		defer segment.close()
		for {
			if _, err := listener.WaitForNotification(ctx); err != nil {
				return err
			}
			if err := segment.catchUp(ctx, reader); err != nil {
				return err
			}
		}
	}, "bench.rows", nil
}

// catchUp projects what there is, as one batch.
func (s *nativeSegment) catchUp(ctx context.Context, reader *eventReader) error {
	b := s.batch
	err := reader.read(ctx, s.position, math.MaxInt64, handlerPage, func(values [][]byte) error {
		b.events++
		b.through = positionOf(values)
		return b.add(values)
	})
	if err != nil || b.events == 0 {
		return err
	}
	return s.commit(ctx, b)
}

// judgeLatencies looks at the slowest hundredth. It is of all rounds together, since one has few.
func (r *report) judgeLatencies() {
	find := func(contender, load string) *latencyResult {
		at := slices.IndexFunc(r.Latencies, func(l latencyResult) bool { return l.Contender == contender && l.Load == load })
		if at < 0 {
			return nil
		}
		return &r.Latencies[at]
	}
	const ours, theirs = "pupwasm TinyGo, notify", "bare LISTEN loop"
	if idle, bare := find(ours, "from idle"), find(theirs, "from idle"); idle != nil && bare != nil {
		r.Ratios = append(r.Ratios, ratio{
			Ours: "p99 from append to row, from idle: " + ours, Theirs: theirs, Want: 2, AtMost: true,
		}.over([]float64{idle.P99 / bare.P99}))
	}
	if busy := find(ours, "1000/s"); busy != nil {
		r.Ratios = append(r.Ratios, ratio{
			Ours: "p99 from append to row, 1,000 a second: " + ours, Theirs: "1 ms", Want: 3, AtMost: true,
		}.over([]float64{busy.P99}))
	}
}

func (r *report) printLatencies(out *tabwriter.Writer) {
	if len(r.Latencies) == 0 {
		return
	}
	fmt.Fprint(out, "\nfrom the end of an append to the commit that shows it\np50 ms\tp99 ms\tmost ms\tsamples\tlost\tappends/s\t  load, contender\n")
	for _, l := range r.Latencies {
		fmt.Fprintf(out, "%.2f\t%.2f\t%.2f\t%d\t%d\t%.0f\t  %s, %s\n", l.P50, l.P99, l.Most, l.Samples, l.Lost, l.Rate, l.Load, l.Contender)
	}
	_ = out.Flush()
}
