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

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// latencyResult is the time from the end of an append to the row that shows it.
type latencyResult struct {
	Contender string  `json:"contender"`
	Load      string  `json:"load"`
	Samples   int     `json:"samples"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Most      float64 `json:"most_ms"`
}

// follower projects what is appended until ctx ends.
type follower struct {
	name  string
	start func(ctx context.Context, e *environment, w *workload) (follow func() error, table string, err error)
}

// pace is how often an event is appended. The next one waits until the last one is visible.
type pace struct {
	name    string
	every   time.Duration
	samples int
}

func runLatencies(ctx context.Context, e *environment, r *report) error {
	paces := []pace{
		{"100/s", 10 * time.Millisecond, e.pick(200, 1000)},
		{"from idle", 600 * time.Millisecond, e.pick(10, 50)},
	}
	followers := []follower{{"bare LISTEN loop", startListenLoop}, {"pupwasm TinyGo, notify", startWorker}}
	for _, f := range followers {
		for _, p := range paces {
			name := "latency/" + f.name + "/" + p.name
			if !e.run.MatchString(name) {
				continue
			}
			result, err := measureLatency(ctx, e, f, p, fmt.Sprintf("latency_%d", len(r.Latencies)))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "%-45s p50 %.2f ms, p99 %.2f ms\n", name, result.P50, result.P99)
			r.Latencies = append(r.Latencies, result)
		}
	}
	return nil
}

// measureLatency appends to a log of its own and looks for the row without a pause.
func measureLatency(ctx context.Context, e *environment, f follower, p pace, database string) (latencyResult, error) {
	result := latencyResult{Contender: f.name, Load: p.name, Samples: p.samples}
	dsn, err := e.database(ctx, database)
	if err != nil {
		return result, err
	}
	w := balanceWorkload(&eventLog{dsn: dsn}, nil)
	if err := execute(ctx, dsn, w.ownTables()...); err != nil {
		return result, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	follow, table, err := f.start(following, e, w)
	if err != nil {
		return result, err
	}
	ended := make(chan error, 1)
	go func() { ended <- follow() }()
	probe := &probe{dsn: dsn, table: table, ended: ended}
	times, err := probe.sample(ctx, p)
	stop()
	if err != nil {
		return result, err
	}
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return result, err
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return times[int(math.Ceil(share*float64(len(times))))-1].Seconds() * 1000
	}
	result.P50, result.P99, result.Most = at(0.5), at(0.99), at(1)
	return result, nil
}

// probe appends events and waits for the row that counts them.
type probe struct {
	dsn, table string
	ended      chan error // of the follower
	seen       int64
}

const probeWarmUp = 5

func (p *probe) sample(ctx context.Context, pace pace) ([]time.Duration, error) {
	s, err := postgres.Open(p.dsn, postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	conn, err := pgx.Connect(ctx, p.dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	tick := time.NewTicker(pace.every)
	defer tick.Stop()
	var times []time.Duration
	for i := range probeWarmUp + pace.samples {
		event := booking{account: 1, amount: 1, kind: "Deposited"}.event(i)
		_, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
			Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: event.stream},
			Expected: store.Any(), Events: []store.Event{{Type: event.kind, Payload: event.payload}},
		})
		if err != nil {
			return nil, err
		}
		watch := startStopwatch()
		if err := p.await(ctx, conn, int64(i+1), watch); err != nil {
			return nil, err
		}
		if i >= probeWarmUp {
			times = append(times, watch.elapsed())
		}
		<-tick.C
	}
	return times, nil
}

// probePatience is what the first event may take, whose follower is still starting.
const probePatience = 30 * time.Second

func (p *probe) await(ctx context.Context, conn *pgx.Conn, events int64, watch stopwatch) error {
	for {
		var exists bool
		// A worker makes its table when it starts.
		err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", p.table).Scan(&exists)
		for err == nil && exists && p.seen < events && watch.elapsed() < probePatience {
			err = conn.QueryRow(ctx, "SELECT coalesce(sum(events), 0)::bigint FROM "+p.table).Scan(&p.seen)
		}
		select {
		case ended := <-p.ended:
			return fmt.Errorf("the follower ended: %w", ended)
		default:
		}
		if err != nil || p.seen >= events {
			return err
		}
		if watch.elapsed() > probePatience {
			return errors.New("an event did not become visible")
		}
	}
}

// startWorker follows as a host does that may sleep.
func startWorker(ctx context.Context, e *environment, w *workload) (func() error, string, error) {
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
	worker, err := segments.New(s, segments.Options{Notify: true})
	if err != nil {
		return nil, "", err
	}
	worker.Set(module)
	return func() error {
		defer s.Close()
		return worker.Run(ctx)
	}, w.table, nil
}

// startListenLoop is the least that can follow: a trigger that notifies, and a loop that reads and writes as the native contender
// does. It has no horizon, so that it would lose events of writers that commit in another order.
func startListenLoop(ctx context.Context, _ *environment, w *workload) (func() error, string, error) {
	err := execute(ctx, w.log.dsn, `CREATE FUNCTION bench.tell() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_notify('bench', ''); RETURN NULL; END $$`,
		"CREATE TRIGGER tell AFTER INSERT ON pupwasm.events FOR EACH STATEMENT EXECUTE FUNCTION bench.tell()")
	if err != nil {
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

func (r *report) printLatencies(out *tabwriter.Writer) {
	if len(r.Latencies) == 0 {
		return
	}
	fmt.Fprint(out, "\nfrom the end of an append to the row that shows it\np50 ms\tp99 ms\tmost ms\tsamples\t  load, contender\n")
	for _, l := range r.Latencies {
		fmt.Fprintf(out, "%.2f\t%.2f\t%.2f\t%d\t  %s, %s\n", l.P50, l.P99, l.Most, l.Samples, l.Load, l.Contender)
	}
	_ = out.Flush()
}
