package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partAppends = "appends"

func appendName(way string, events, writers int) string {
	return fmt.Sprintf("%s, %d events a call, %d writers", way, events, writers)
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

// runAppends measures every way once a round, so that what slows the machine down for a while slows all of
// them, and every other round from the end, so that none always follows the same one.
func runAppends(ctx context.Context, e *environment, r *report) error {
	var b *appendBench
	result := r.addTable(partAppends, "appends", "way, events a call, writers",
		column{"events/s", unitRate, 0, showSpread})
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
					result.add(appendName(way.name, events, writers), sample{unitRate: rate})
				}
			}
		}
	}
	return nil
}

func (b *appendBench) measure(
	ctx context.Context, way appendWay, events, writers int, length time.Duration,
) (float64, error) {
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
		appends[i] = booking{account: random.IntN(streams), amount: 1, kind: "Deposited"}.append(i)
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
		_, err := pool.Exec(ctx, `INSERT INTO pupwasm.events
			(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload, partition_hash)
			VALUES ('Insert', 'Account', $1, $2, $3, $4, $5) RETURNING global_position`,
			event.stream, b.next.Add(1), event.kind, event.payload, int64(store.PartitionHash(event.stream)))
		return err
	}
	return once, pool.Close, nil
}

// loopLength is how many transactions, with an event each, a call of the loop in the server has.
const loopLength = 200

// openLoop inserts single rows without a client, and without waiting for the disk, so that the fence is all
// there is beside the row.
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
				INSERT INTO pupwasm.events
					(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload,
					partition_hash)
					VALUES ('Loop', 'Account', 'account' || i, %d, 'Deposited',
						convert_to(repeat('x', 210), 'UTF8'), 5);
				COMMIT;
			END LOOP;
		END $$`, loopLength, b.next.Add(1)), pgx.QueryExecModeSimpleProtocol)
		return err
	}
	return once, func() { _ = conn.Close(ctx) }, nil
}

func openAppend(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	return b.opened(writers, func(ctx context.Context, s *postgres.Store, appends []store.StreamAppend) error {
		_, err := s.Append(ctx, store.AppendOptions{}, appends...)
		return err
	})
}

func openStream(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	return b.opened(writers, func(ctx context.Context, s *postgres.Store, appends []store.StreamAppend) error {
		for i := range appends {
			appends[i].Stream = appends[0].Stream
		}
		_, err := s.Append(ctx, store.AppendOptions{}, appends...)
		return err
	})
}

func openBulk(_ context.Context, b *appendBench, writers int) (appendOnce, func(), error) {
	return b.opened(writers, func(ctx context.Context, s *postgres.Store, appends []store.StreamAppend) error {
		_, err := s.AppendBulk(ctx, store.AppendOptions{}, appends...)
		return err
	})
}

// opened appends by a store.
func (b *appendBench) opened(
	writers int, appendAll func(context.Context, *postgres.Store, []store.StreamAppend) error,
) (appendOnce, func(), error) {
	s, err := postgres.Open(b.dsn, postgres.Options{ConnectionsMax: writers, Lazy: true})
	if err != nil {
		return nil, nil, err
	}
	once := func(ctx context.Context, random *rand.Rand, events int) error {
		return appendAll(ctx, s, appendsOf(random, b.streams, events))
	}
	return once, s.Close, nil
}
