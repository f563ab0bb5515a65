package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partLatencies = "latencies"

// Names of followers that bars are about.
const (
	notified   = "pupwasm TinyGo, notify"
	listenLoop = "bare LISTEN loop"
)

// latencyResult has the times from the end of an append to the commit of the row that shows it, over all rounds.
type latencyResult struct {
	times []time.Duration
	rates []float64 // of the appends, one a round
	lost  int       // events that got no row
}

// follower projects what is appended until ctx ends.
type follower struct {
	name  string
	loses bool // events of writers that commit in another order
	start startFollower
}

// startFollower returns what follows the log until ctx ends, and the table that it writes.
type startFollower func(ctx context.Context, e *environment, w *workload) (follow func() error, table string, err error)

// load is how often an event is appended, whether or not the last one is visible.
type load struct {
	name    string
	every   time.Duration
	samples int // of a round
}

// latencyWarmUp is for how long the events of a round do not count: while connections are new and nothing is
// prepared yet, events come faster than they are applied.
const latencyWarmUp = 4 * time.Second

// warmUp is how many events come in that time, at least some.
func (p load) warmUp() int { return max(int(latencyWarmUp/p.every), 5) }

// runLatencies lets the followers take turns, each time with a database of their own, on a server that keeps
// the times of commits and waits for no disk: what an append waits for it holds the horizon back with, and
// that is not what is measured.
func runLatencies(ctx context.Context, e *environment, r *report) error {
	loads := []load{
		{"1000/s", time.Millisecond, e.pick(500, 2000)},
		{"100/s", 10 * time.Millisecond, e.pick(100, 250)},
		{"from idle", time.Duration(e.pick(200, 500)) * time.Millisecond, e.pick(40, 50)},
	}
	followers := []follower{
		{listenLoop, true, startListenLoop},
		{notified, false, startWorker(segments.Options{})},
		{"pupwasm TinyGo, polling", false, startWorker(segments.Options{PollOnly: true})},
	}
	results := map[string]*latencyResult{}
	var names []string
	own := *e
	defer func() {
		if own.server != e.server {
			own.server.Stop()
		}
	}()
	for round := range e.rounds {
		for _, p := range loads {
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
				row := p.name + ", " + f.name
				if results[row] == nil {
					results[row], names = &latencyResult{}, append(names, row)
				}
				database := fmt.Sprintf("latency_%d_%d_%d", p.every.Milliseconds(), i, round)
				if err := results[row].measure(ctx, &own, f, p, database); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	result := r.addTable(partLatencies, "from the end of an append to the commit that shows it", "load, contender",
		column{"p50 ms", unitP50, 2, showMedian},
		column{"p99 ms", unitP99, 2, showMedian},
		column{"most ms", unitMost, 2, showMedian},
		column{"samples", "samples", 0, showMedian},
		column{"lost", "lost", 0, showMedian},
		column{"appends/s", "appends/s", 0, showMedian})
	for _, row := range names {
		s := results[row].sample()
		fmt.Fprintf(os.Stderr, "%-45s p50 %.2f ms, p99 %.2f ms\n", "latency/"+row, s[unitP50], s[unitP99])
		result.add(row, s)
	}
	return nil
}

// timeCommits starts a server that keeps the times of commits.
func (e *environment) timeCommits() (err error) {
	e.server, err = pgtest.StartDurable("track_commit_timestamp=on", "fsync=off")
	return err
}

// measure adds a round.
func (l *latencyResult) measure(ctx context.Context, e *environment, f follower, p load, database string) error {
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
	l.lost += probe.lost
	stop()
	if err != nil {
		return err
	}
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	l.times, l.rates = append(l.times, times...), append(l.rates, rate)
	return nil
}

// sample is of all rounds together, since one has few times.
func (l *latencyResult) sample() sample {
	slices.Sort(l.times)
	at := func(share float64) float64 {
		return milliseconds(l.times[int(math.Ceil(share*float64(len(l.times))))-1])
	}
	rate, _, _ := spread(l.rates)
	return sample{
		unitP50: at(0.5), unitP99: at(0.99), unitMost: at(1),
		"samples": float64(len(l.times)), "lost": float64(l.lost), "appends/s": rate,
	}
}

// startWorker follows as a host does.
func startWorker(options segments.Options) startFollower {
	return func(ctx context.Context, e *environment, w *workload) (func() error, string, error) {
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return nil, "", err
		}
		worker, err := newWorker(ctx, e, s.Backend(), w, tinygoGuest, options)
		if err != nil {
			s.Close()
			return nil, "", err
		}
		return func() error {
			defer s.Close()
			return worker.Run(ctx)
		}, w.stored(), nil
	}
}

// What makes each append notify.
const (
	tellFunction = `CREATE FUNCTION bench.tell() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_notify('bench', ''); RETURN NULL; END $$`
	tellTrigger = "CREATE TRIGGER tell AFTER INSERT ON pupwasm.events FOR EACH STATEMENT EXECUTE FUNCTION bench.tell()"
)

// startListenLoop is the least that can follow: a trigger that notifies, and a loop that reads and writes as
// the native contender does. It has no horizon, so that it would lose events of writers that commit in
// another order.
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
	segment, err := openSegment(ctx, w, 0, 1, handlerPage)
	if err != nil {
		return nil, "", err
	}
	return func() error {
		defer func() { _ = listener.Close(context.WithoutCancel(ctx)) }()
		defer segment.close(ctx)
		for {
			if _, err := listener.WaitForNotification(ctx); err != nil {
				return err
			}
			if err := segment.project(ctx, math.MaxInt64); err != nil {
				return err
			}
		}
	}, "bench.rows", nil
}
