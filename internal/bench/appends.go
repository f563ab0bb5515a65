package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// appendResult is the rates of events of one way to append, one a round. A call is a transaction, but for the loop in the server.
type appendResult struct {
	Way     string    `json:"way"`
	Events  int       `json:"events_per_call"`
	Writers int       `json:"writers"`
	Rates   []float64 `json:"events_per_second"`
}

// appendOnce appends some events in a transaction.
type appendOnce func(ctx context.Context, random *rand.Rand, events int) error

// appendWay is a way to append, and with which numbers of events and writers it is measured.
type appendWay struct {
	name    string
	events  []int
	writers []int
	fenced  bool // whether the fence is on
	open    func(ctx context.Context, b *appendBench, writers int) (once appendOnce, done func(), err error)
}

var appendWays = []appendWay{
	{"insert", []int{1}, []int{1, 4, 16}, true, openInsert},
	{"insert without fence", []int{1}, []int{1, 4, 16}, false, openInsert},
	{"loop in the server", []int{loopLength}, []int{1}, true, openLoop},
	{"loop in the server without fence", []int{loopLength}, []int{1}, false, openLoop},
	{"append", []int{1, 10, 1000}, []int{1, 4, 16}, true, openAppend},
	{"append, one stream", []int{5000}, []int{1}, true, openStream},
	{"bulk", []int{1000, 5000}, []int{1, 4}, true, openBulk},
}

// appendBench is the database that all ways append to.
type appendBench struct {
	dsn     string
	streams int
	next    atomic.Int64 // version of the next row of an insert, which looks for none
}

// runAppends measures every way once a round, so that what slows the machine down for a while slows all of them, and every other round
// from the end, so that none always follows the same one.
func runAppends(ctx context.Context, e *environment, r *report) error {
	var b *appendBench
	length := time.Duration(e.pick(700, 3000)) * time.Millisecond
	for round := range e.rounds {
		ways := slices.Clone(appendWays)
		if round%2 == 1 {
			slices.Reverse(ways)
		}
		for _, way := range ways {
			for _, events := range way.events {
				for _, writers := range way.writers {
					if !e.run.MatchString(fmt.Sprintf("append/%s/%d/%d", way.name, events, writers)) {
						continue
					}
					if b == nil {
						dsn, err := e.database(ctx, "appends")
						if err != nil {
							return err
						}
						b = &appendBench{dsn: dsn, streams: e.streams}
					}
					rate, err := b.measure(ctx, way, events, writers, length)
					if err != nil {
						return fmt.Errorf("append/%s/%d/%d: %w", way.name, events, writers, err)
					}
					r.addAppend(way.name, events, writers, rate)
				}
			}
		}
	}
	return nil
}

func (b *appendBench) measure(ctx context.Context, way appendWay, events, writers int, length time.Duration) (float64, error) {
	fence := "ENABLE ALWAYS"
	if !way.fenced {
		fence = "DISABLE"
	}
	if err := execute(ctx, b.dsn, "ALTER TABLE pupwasm.events "+fence+" TRIGGER fence"); err != nil {
		return 0, err
	}
	once, done, err := way.open(ctx, b, writers)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := once(ctx, rand.New(rand.NewPCG(1, 1)), events); err != nil {
		return 0, err
	}
	return appendFor(ctx, once, events, writers, length)
}

// appendFor has writers append for some time.
func appendFor(ctx context.Context, once appendOnce, events, writers int, length time.Duration) (float64, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var over atomic.Bool
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	var appended atomic.Int64
	var group sync.WaitGroup
	watch := startStopwatch()
	for writer := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(writer), uint64(events)))
			for !over.Load() && ctx.Err() == nil {
				if err := once(ctx, random, events); err != nil {
					stop(err)
					return
				}
				appended.Add(int64(events))
			}
		})
	}
	group.Wait()
	rate := float64(appended.Load()) / watch.elapsed().Seconds()
	return rate, context.Cause(ctx)
}

// appendsOf makes events of streams at random.
func appendsOf(random *rand.Rand, streams, events int) []store.StreamAppend {
	appends := make([]store.StreamAppend, events)
	for i := range appends {
		event := booking{account: random.IntN(streams), amount: 1, kind: "Deposited"}.event(i)
		appends[i] = store.StreamAppend{
			Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: event.stream},
			Expected: store.Any(), Events: []store.Event{{Type: event.kind, Payload: event.payload}},
		}
	}
	return appends
}

// openInsert is what one would write without a store: it finds no version, locks no stream, and checks nothing.
func openInsert(ctx context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	config, err := pgxpool.ParseConfig(b.dsn)
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = int32(writers)
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // as the store
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, random *rand.Rand, _ int) error {
		event := booking{account: random.IntN(b.streams), amount: 1, kind: "Deposited"}.event(0)
		_, err := pool.Exec(ctx, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload, partition_hash)
			VALUES ('Insert', 'Account', $1, $2, $3, $4, $5) RETURNING global_position`,
			event.stream, b.next.Add(1), event.kind, event.payload, int64(store.PartitionHash(event.stream)))
		return err
	}
	return once, pool.Close, nil
}

// loopLength is how many transactions, with an event each, a call of the loop in the server has.
const loopLength = 200

// openLoop inserts single rows without a client, and without waiting for the disk, so that the fence is all there is beside the row.
func openLoop(ctx context.Context, b *appendBench, _ int) (appendOnce, func(), error) {
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		return nil, nil, err
	}
	config.RuntimeParams["synchronous_commit"] = "off"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, _ *rand.Rand, _ int) error {
		_, err := conn.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN
			FOR i IN 1 .. %d LOOP
				INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload, partition_hash)
					VALUES ('Loop', 'Account', 'account' || i, %d, 'Deposited', convert_to(repeat('x', 210), 'UTF8'), 5);
				COMMIT;
			END LOOP;
		END $$`, loopLength, b.next.Add(1)), pgx.QueryExecModeSimpleProtocol)
		return err
	}
	return once, func() { _ = conn.Close(ctx) }, nil
}

func (b *appendBench) store(writers int) (*postgres.Store, error) {
	return postgres.Open(b.dsn, postgres.Options{ConnectionsMax: writers, Lazy: true})
}

func openAppend(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	s, err := b.store(writers)
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, random *rand.Rand, events int) error {
		_, err := s.Append(ctx, store.AppendOptions{}, appendsOf(random, b.streams, events)...)
		return err
	}
	return once, s.Close, nil
}

func openStream(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	s, err := b.store(writers)
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, random *rand.Rand, events int) error {
		appends := appendsOf(random, b.streams, events)
		for i := range appends {
			appends[i].Stream = appends[0].Stream
		}
		_, err := s.Append(ctx, store.AppendOptions{}, appends...)
		return err
	}
	return once, s.Close, nil
}

func openBulk(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	s, err := b.store(writers)
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, random *rand.Rand, events int) error {
		_, err := s.AppendBulk(ctx, store.AppendOptions{}, appendsOf(random, b.streams, events)...)
		return err
	}
	return once, s.Close, nil
}

func (r *report) addAppend(way string, events, writers int, rate float64) {
	if a := r.appended(way, events, writers); a != nil {
		a.Rates = append(a.Rates, rate)
		return
	}
	r.Appends = append(r.Appends, appendResult{way, events, writers, []float64{rate}})
}

func (r *report) appended(way string, events, writers int) *appendResult {
	for i := range r.Appends {
		if a := &r.Appends[i]; a.Way == way && a.Events == events && a.Writers == writers {
			return a
		}
	}
	return nil
}

// appendRatios are those to the plain insert of the same number of writers, and what the fence leaves of it.
func (r *report) appendRatios() (ratios []ratio) {
	add := func(a, b *appendResult) {
		if a == nil || b == nil {
			return
		}
		each := make([]float64, min(len(a.Rates), len(b.Rates)))
		for i := range each {
			each[i] = a.Rates[i] / b.Rates[i]
		}
		got, least, most := spread(each)
		ratios = append(ratios, ratio{Workload: fmt.Sprintf("%d writers", a.Writers), Ours: a.Way, Theirs: b.Way, Got: got, Least: least, Most: most})
	}
	for _, writers := range []int{1, 4, 16} {
		plain := r.appended("insert", 1, writers)
		add(plain, r.appended("insert without fence", 1, writers))
		add(r.appended("append", 1, writers), plain)
	}
	add(r.appended("loop in the server", loopLength, 1), r.appended("loop in the server without fence", loopLength, 1))
	return ratios
}

// judgeAppends compares single-row inserts with and without the fence's trigger.
func (r *report) judgeAppends() {
	for _, fenced := range r.Appends {
		if fenced.Way != "insert" {
			continue
		}
		for _, bare := range r.Appends {
			if bare.Way != "insert without fence" || bare.Writers != fenced.Writers {
				continue
			}
			each := make([]float64, min(len(fenced.Rates), len(bare.Rates)))
			for i := range each {
				each[i] = fenced.Rates[i] / bare.Rates[i]
			}
			r.Ratios = append(r.Ratios, ratio{Ours: fmt.Sprintf("plain INSERT, %d writers", fenced.Writers), Theirs: "without the fence", Want: 0.9}.over(each))
		}
	}
}

func (r *report) printAppends(out *tabwriter.Writer) {
	if len(r.Appends) == 0 {
		return
	}
	ratios := r.appendRatios()
	fmt.Fprint(out, "\nappends\nevents/s\tleast\tmost\tevents a call\twriters\t  way\n")
	for _, a := range r.Appends {
		median, least, most := spread(slices.Clone(a.Rates))
		fmt.Fprintf(out, "%.0f\t%.0f\t%.0f\t%d\t%d\t  %s\n", median, least, most, a.Events, a.Writers, a.Way)
	}
	_ = out.Flush()
	if len(ratios) == 0 {
		return
	}
	fmt.Fprint(out, "\nratios, medians of each round's, one event a transaction\ngot\tleast\tmost\t  of\n")
	for _, of := range ratios {
		fmt.Fprintf(out, "%.2f\t%.2f\t%.2f\t  %s: %s / %s\n", of.Got, of.Least, of.Most, of.Workload, of.Ours, of.Theirs)
	}
	_ = out.Flush()
}
