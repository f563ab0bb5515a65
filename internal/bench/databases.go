package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partDatabases = "databases"

// databaseName names the rows of a database.
type databaseName string

const (
	onPostgres databaseName = "PostgreSQL"
	onMariaDB  databaseName = "MariaDB"
)

// databaseRun is one way to run a workload on each database.
type databaseRun struct {
	name    string
	options segments.Options
}

var databaseRuns = []databaseRun{
	{"n=1000", batches(1000, 1)},
	{"window", segments.Options{Segments: 1}},
	{"window, 4 segments", segments.Options{Segments: 4}},
}

// databaseWriters append single events at the same time.
const databaseWriters = 16

func databaseRowName(w, way string, on databaseName) string {
	return fmt.Sprintf("%s, %s, %s", w, way, on)
}

// runDatabases has pupwasm run W1 and W2 on PostgreSQL and on MariaDB, and writers append to both, in turns. Both servers
// have their own default settings, so that each commit of MariaDB waits for the disk; pupwasm's on PostgreSQL do not.
func runDatabases(ctx context.Context, e *environment, r *report) error {
	if !e.wants("databases/" + string(onMariaDB)) {
		return nil
	}
	b, err := startMariaDB(ctx, e)
	if err != nil {
		return err
	}
	defer b.close()
	result := r.addTable(partDatabases, "PostgreSQL and MariaDB, pupwasm TinyGo", "workload",
		column{"events/s", unitRate, 0, showSpread},
		column{"client CPU ns/event", "client-cpu-ns/event", 0, showMedian},
		column{"start ms", "start-ms", 0, showPositive})
	appends := r.addTable(partDatabases, fmt.Sprintf("PostgreSQL and MariaDB, %d writers of single events",
		databaseWriters), "way", column{"events/s", unitRate, 0, showSpread})
	add := func(to *table, name string, s sample) {
		fmt.Fprintf(os.Stderr, "databases/%-40s %10.0f events/s\n", name, s[unitRate])
		to.add(name, s)
	}
	for range e.rounds {
		for _, w := range b.workloads {
			for _, way := range databaseRuns {
				for _, on := range []databaseName{onPostgres, onMariaDB} {
					s, err := b.project(ctx, e, w, way.options, on)
					if err != nil {
						return fmt.Errorf("%s on %s: %w", w.name, on, err)
					}
					add(result, databaseRowName(w.name, way.name, on), s)
				}
			}
		}
		for _, way := range []string{"insert", "append"} {
			for _, on := range []databaseName{onPostgres, onMariaDB} {
				rate, err := b.append(ctx, e, way, on)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", way, on, err)
				}
				add(appends, databaseRowName(fmt.Sprintf("%d writers", databaseWriters), way, on), sample{unitRate: rate})
			}
		}
	}
	return nil
}

// mariaDBBench is what the databases are measured with.
type mariaDBBench struct {
	server    *mariadbserver.Server
	workloads []*workload // with the log on PostgreSQL
	appends   *appendBench
	next      atomic.Int64 // version of the next row of an insert
}

// The databases of the server.
const (
	mariaDBAccounts = "accounts"
	mariaDBAppends  = "appends"
)

func startMariaDB(ctx context.Context, e *environment) (b *mariaDBBench, err error) {
	log, err := e.accountsLog(ctx)
	if err != nil {
		return nil, err
	}
	b = &mariaDBBench{workloads: []*workload{balanceWorkload(log, e.bookings), rowsWorkload(log, e.bookings)}}
	dsn, err := e.database(ctx, "database_appends")
	if err != nil {
		return nil, err
	}
	b.appends = &appendBench{dsn: dsn, streams: e.streams}
	if b.server, err = mariadbserver.StartDurable(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	for _, name := range []string{mariaDBAccounts, mariaDBAppends} {
		if err := b.migrate(ctx, name); err != nil {
			return nil, err
		}
	}
	s, err := mysql.Open(b.server.URL(mariaDBAccounts), mysql.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	events := make([]logEvent, len(e.bookings))
	for i, booking := range e.bookings {
		events[i] = booking.event(i)
	}
	return b, appendAll(ctx, s.Backend(), "Bank", "Account", events)
}

func (b *mariaDBBench) close() { b.server.Stop() }

func (b *mariaDBBench) migrate(ctx context.Context, name string) error {
	root, err := sql.Open("mysql", b.server.DSN(""))
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	handle, err := mysql.OpenSQL(b.server.URL(name))
	if err != nil {
		return err
	}
	defer handle.Close()
	migrator, err := migrations.New(handle, migrations.MySQL, store.DefaultSchema)
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}

// watchedTables notes when the log is first read, on any database.
type watchedTables struct {
	store.Store
	beginning
}

// Read is the store's.
func (s *watchedTables) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	s.note()
	return s.Store.Read(ctx, request, page)
}

// open opens a store on one of the databases.
func (b *mariaDBBench) open(w *workload, on databaseName) (store.Store, error) {
	if on == onPostgres {
		s, err := postgres.Open(w.log.dsn, postgres.Options{})
		if err != nil {
			return nil, err
		}
		return s.Backend(), nil
	}
	s, err := mysql.Open(b.server.URL(mariaDBAccounts), mysql.Options{})
	if err != nil {
		return nil, err
	}
	return s.Backend(), nil
}

// project runs a workload from the beginning to the end of the log, and compares its rows.
func (b *mariaDBBench) project(
	ctx context.Context, e *environment, w *workload, options segments.Options, on databaseName,
) (sample, error) {
	opened, err := b.open(w, on)
	if err != nil {
		return nil, err
	}
	s := &watchedTables{Store: opened, beginning: beginning{watch: startStopwatch()}}
	defer s.Close()
	if err := forget(ctx, s, w.projection); err != nil {
		return nil, err
	}
	options.Once = true
	worker, err := newWorker(ctx, e, s, w, tinygoGuest, options)
	if err != nil {
		return nil, err
	}
	cpu := processorTime()
	m, err := watchWorker(ctx, &s.beginning, worker, w.log.count)
	if err != nil {
		return nil, err
	}
	cpu = processorTime() - cpu
	if on == onPostgres {
		err = w.check(ctx, w.table, w.log.count)
	} else {
		err = b.check(ctx, w)
	}
	return sample{
		unitRate: m.rate(), "start-ms": milliseconds(m.start),
		"client-cpu-ns/event": float64(cpu.Nanoseconds()) / float64(w.log.count),
	}, err
}

// check compares the table on MariaDB with what the log amounts to.
func (b *mariaDBBench) check(ctx context.Context, w *workload) error {
	handle, err := mysql.OpenSQL(b.server.URL(mariaDBAccounts))
	if err != nil {
		return err
	}
	defer handle.Close()
	rows, err := handle.QueryContext(ctx, "SELECT "+strings.ReplaceAll(w.compare, "::text", "")+" FROM "+
		mariaDBAccounts+"__"+w.table)
	if err != nil {
		return err
	}
	defer rows.Close()
	want := maps.Clone(w.want(w.log.count))
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if err := strike(want, key, value); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return missing(want)
}

// append has writers append single events, by pupwasm or as one would without it.
func (b *mariaDBBench) append(ctx context.Context, e *environment, way string, on databaseName) (float64, error) {
	length := time.Duration(e.pick(700, 3000)) * time.Millisecond
	if on == onPostgres {
		at := slices.IndexFunc(appendWays, func(w appendWay) bool { return w.name == way })
		return b.appends.measure(ctx, appendWays[at], 1, databaseWriters, length)
	}
	s, err := mysql.Open(b.server.URL(mariaDBAppends), mysql.Options{ConnectionsMax: databaseWriters})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	once := func(ctx context.Context, random *rand.Rand, events int) error {
		_, err := s.Append(ctx, store.AppendOptions{}, appendsOf(random, b.appends.streams, events)...)
		return err
	}
	if way == "insert" {
		handle, err := sql.Open("mysql", b.server.DSN(mariaDBAppends)+"&interpolateParams=true")
		if err != nil {
			return 0, err
		}
		defer handle.Close()
		handle.SetMaxIdleConns(databaseWriters)
		once = func(ctx context.Context, random *rand.Rand, _ int) error {
			return b.insert(ctx, handle, random)
		}
	}
	if err := once(ctx, rand.New(rand.NewPCG(1, 1)), 1); err != nil {
		return 0, err
	}
	return appendFor(ctx, once, 1, databaseWriters, length)
}

// insert is what one would write without a store: it finds no version, locks no stream, and checks nothing.
func (b *mariaDBBench) insert(ctx context.Context, handle *sql.DB, random *rand.Rand) error {
	event := booking{account: random.IntN(b.appends.streams), amount: 1, kind: "Deposited"}.event(0)
	_, err := handle.ExecContext(ctx, `INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id,
		aggregate_version, event_id, event_type, payload, partition_hash)
		VALUES ('Insert', 'Account', ?, ?, RANDOM_BYTES(16), ?, ?, ?)`,
		event.stream, b.next.Add(1), event.kind, event.payload, int64(store.PartitionHash(event.stream)))
	return err
}
