package postgres_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// writer is one of many that append at the same time, each in a way of its own and slowly.
type writer struct {
	number   int
	db       pgtest.Database
	store    postgres.Backend
	conn     *pgx.Conn
	random   *rand.Rand
	versions map[string]int // of the writer's own streams, as committed
}

// pause models a slow program between two statements. Nothing waits for it to pass.
func (w *writer) pause() {
	<-time.After(time.Duration(w.random.IntN(6000)) * time.Microsecond)
}

// own returns a stream of the writer and the version that its next event has.
func (w *writer) own() (id string, next int) {
	id = fmt.Sprintf("writer-%d-%d", w.number, w.random.IntN(3))
	return id, w.versions[id] + 1
}

func (w *writer) isolation() pgx.TxOptions {
	levels := []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}
	return pgx.TxOptions{IsoLevel: levels[w.random.IntN(len(levels))]}
}

// within runs fn in a transaction that is rolled back now and then. fn returns how many events the stream has gained.
func (w *writer) within(ctx context.Context, fn func(tx pgx.Tx, id string, next int) (int, error)) error {
	tx, err := w.conn.BeginTx(ctx, w.isolation())
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	id, next := w.own()
	gained, err := fn(tx, id, next)
	if err != nil {
		return err
	}
	w.pause()
	if w.random.IntN(5) == 0 {
		return tx.Rollback(ctx)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	w.versions[id] += gained
	return nil
}

var eventColumns = []string{
	"bounded_context", "aggregate_type", "aggregate_id", "aggregate_version", "event_type",
	"payload",
}

// writeRows inserts single rows.
func writeRows(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx pgx.Tx, id string, next int) (int, error) {
		for i := range 3 {
			if _, err := tx.Exec(ctx, insertEvent, id, next+i); err != nil {
				return 0, err
			}
			w.pause()
		}
		return 3, nil
	})
}

// ways are the ways to write; a writer takes the one with its number.
var ways = []func(ctx context.Context, w *writer) error{
	func(ctx context.Context, w *writer) error { // through the store, on streams that all share
		_, err := w.store.Append(ctx, store.AppendOptions{},
			store.StreamAppend{
				Stream: stream(fmt.Sprint("shared-", w.random.IntN(4))),
				Events: events(1 + w.random.IntN(3)),
			},
			store.StreamAppend{Stream: stream(fmt.Sprint("shared-", w.random.IntN(4))), Events: events(1)})
		w.pause()
		return err
	},
	func(ctx context.Context, w *writer) error { // in the caller's transaction, with work before and after
		tx, err := w.conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		_, err = w.store.AppendTx(ctx, tx, store.AppendOptions{},
			store.StreamAppend{Stream: stream(fmt.Sprint("shared-", w.random.IntN(4))), Events: events(2)})
		if err != nil {
			return err
		}
		w.pause()
		if w.random.IntN(4) == 0 {
			return nil
		}
		return tx.Commit(ctx)
	},
	writeRows,
	func(ctx context.Context, w *writer) error { // savepoints, of which some are rolled back
		return w.within(ctx, func(tx pgx.Tx, id string, next int) (int, error) {
			gained := 0
			for range 4 {
				savepoint, err := tx.Begin(ctx)
				if err != nil {
					return 0, err
				}
				if _, err := savepoint.Exec(ctx, insertEvent, id, next+gained); err != nil {
					return 0, err
				}
				w.pause()
				if w.random.IntN(2) == 0 {
					err = savepoint.Rollback(ctx)
				} else {
					gained++
					err = savepoint.Commit(ctx)
				}
				if err != nil {
					return 0, err
				}
			}
			return gained, nil
		})
	},
	func(ctx context.Context, w *writer) error { // one statement for many rows
		return w.within(ctx, func(tx pgx.Tx, id string, next int) (int, error) {
			_, err := tx.Exec(ctx, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
				aggregate_version, event_type, payload)
				VALUES ('shop', 'order', $1, $2, 'x', ''), ('shop', 'order', $1, $2 + 1, 'x', '')`, id, next)
			return 2, err
		})
	},
	func(ctx context.Context, w *writer) error { // rows from a query
		return w.within(ctx, func(tx pgx.Tx, id string, next int) (int, error) {
			_, err := tx.Exec(ctx, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
				aggregate_version, event_type, payload)
				SELECT 'shop', 'order', $1, g, 'x', '' FROM generate_series($2::int, $2 + 3) g`, id, next)
			return 4, err
		})
	},
	func(ctx context.Context, w *writer) error { // COPY
		return w.within(ctx, func(tx pgx.Tx, id string, next int) (int, error) {
			rows := [][]any{{"shop", "order", id, next, "x", []byte{}}, {"shop", "order", id, next + 1, "x", []byte{}}}
			n, err := tx.CopyFrom(ctx, pgx.Identifier{"pupwasm", "events"}, eventColumns, pgx.CopyFromRows(rows))
			return int(n), err
		})
	},
	func(ctx context.Context, w *writer) error { // a load
		appends := make([]store.StreamAppend, 200)
		for i := range appends {
			appends[i] = store.StreamAppend{Stream: stream(fmt.Sprint("shared-", w.random.IntN(4))), Events: events(1)}
		}
		_, err := w.store.AppendBulk(ctx, store.AppendOptions{}, appends...)
		w.pause()
		return err
	},
	func(ctx context.Context, w *writer) error { // psql: a script with a transaction that takes its time
		psql := w.db.Server.Tool("psql")
		if psql == "" {
			return writeRows(ctx, w)
		}
		id, next := w.own()
		script := fmt.Sprintf(`BEGIN;
			INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload) VALUES ('shop', 'order', '%[1]s', %[2]d, 'x', '');
			SELECT pg_sleep(0.00%[4]d);
			INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload) VALUES ('shop', 'order', '%[1]s', %[3]d, 'x', '');
			COMMIT`, id, next, next+1, w.random.IntN(9))
		cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", w.db.DSN)
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("psql: %w: %s", err, out)
		}
		w.versions[id] += 2
		return nil
	},
}

// follower reads the log and keeps what it saw.
type follower struct {
	t        *testing.T
	store    postgres.Backend
	position int64
	seen     map[int64]int
	last     map[string]int64
	inverted int
}

func newFollower(t *testing.T, s postgres.Backend) *follower {
	return &follower{t: t, store: s, seen: map[int64]int{}, last: map[string]int64{}}
}

func (f *follower) read(through int64) error {
	var page store.Page
	err := f.store.Read(f.t.Context(), store.ReadRequest{
		After: f.position, Through: through, Limit: 100,
		Range: store.FullRange(), Columns: store.ColumnAggregateID,
	}, &page)
	if err != nil {
		return err
	}
	for i := range page.Events {
		e := &page.Events[i]
		f.seen[e.Position]++
		f.position = e.Position
		if e.AggregateVersion != f.last[e.AggregateID]+1 {
			f.inverted++
		}
		f.last[e.AggregateID] = e.AggregateVersion
	}
	return nil
}

// lost compares with what was committed in the end.
func (f *follower) lost(committed []int64) (lost, twice int) {
	for _, position := range committed {
		switch f.seen[position] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	return lost, twice
}

// TestInvariant2_noEventIsSkipped lets sixteen writers work while two readers follow: one by the horizon, and one
// that takes whatever is above the last position that it saw. The second has to lose events, or the test would
// prove nothing.
func TestInvariant2_noEventIsSkipped(t *testing.T) {
	t.Parallel()
	const writers, rounds = 16, 25
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{ConnectionsMax: 10, Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)

	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	var group sync.WaitGroup
	for number := range writers {
		w := &writer{
			number: number, db: db, store: s, conn: db.Connect(t),
			random: rand.New(rand.NewPCG(uint64(number), 1)), versions: map[string]int{},
		}
		group.Go(func() {
			for range rounds {
				if err := ways[number%len(ways)](ctx, w); err != nil {
					t.Errorf("writer %d: %v", number, err)
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()

	careful, naive := newFollower(t, open(t, db)), newFollower(t, open(t, db))
	var readers sync.WaitGroup
	follow := func(f *follower, through func() int64) {
		for over := false; ; {
			select {
			case <-finished:
				over = true
			default:
			}
			limit := through()
			before := f.position
			if err := f.read(limit); err != nil {
				t.Error(err)
				return
			}
			if over && f.position == before {
				return
			}
		}
	}
	readers.Go(func() {
		follow(careful, func() int64 {
			h, err := careful.store.Horizon(ctx)
			if err != nil {
				t.Error(err)
			}
			return h.Position
		})
	})
	readers.Go(func() { follow(naive, func() int64 { return math.MaxInt64 }) })
	readers.Wait()

	rows, err := db.Connect(t).Query(t.Context(), "SELECT global_position FROM pupwasm.events")
	must(t, err)
	committed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	must(t, err)
	if lost, twice := careful.lost(committed); lost+twice+careful.inverted != 0 || len(careful.seen) != len(committed) {
		t.Errorf("of %d events %d were lost, %d came twice, %d were out of order, %d were seen", len(committed), lost,
			twice, careful.inverted, len(careful.seen))
	}
	if lost, _ := naive.lost(committed); lost == 0 {
		t.Errorf("a reader without a horizon lost nothing of %d events: the writers do not race", len(committed))
	} else {
		t.Logf("%d events; without a horizon %d are lost", len(committed), lost)
	}
}
