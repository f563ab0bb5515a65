package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// ear is a listener under test.
type ear struct {
	woken chan struct{} // holds one wake-up
	wakes atomic.Int64  // the proof is one
	ended chan error
}

// listen starts listening and returns when it is proven.
func listen(t testing.TB, s *postgres.Store) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e := &ear{woken: make(chan struct{}, 1), ended: make(chan error, 1)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		e.ended <- s.Listen(ctx, func() {
			e.wakes.Add(1)
			select {
			case e.woken <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-over })
	e.await(t, "notifications arrive")
	return e
}

func (e *ear) await(t testing.TB, what string) {
	t.Helper()
	select {
	case <-e.woken:
	case err := <-e.ended:
		t.Fatalf("%s: listening ended: %v", what, err)
	case <-time.After(30 * time.Second):
		t.Fatalf("waited in vain: %s", what)
	}
}

// heard makes sure that everything that was notified before has arrived, by a notification of our own, and returns how many
// wake-ups there were besides it and the proof.
func (e *ear) heard(t testing.TB, db pgtest.Database) int64 {
	t.Helper()
	drain(e.woken)
	before := e.wakes.Load()
	execute(t, db.Connect(t), "SELECT pg_notify($1, 'last')", db.Schema+".wake")
	await(t, "our own notification arrives", func() bool { return e.wakes.Load() > before })
	e.wakes.Add(-1)
	return e.wakes.Load() - 1
}

func drain(woken chan struct{}) {
	select {
	case <-woken:
	default:
	}
}

func doze(t testing.TB, s *postgres.Store, worker string, d time.Duration) bool {
	t.Helper()
	quiet, err := s.Doze(context.Background(), worker, d)
	must(t, err)
	return quiet
}

// wakingWays are short appends of every kind, by a connection's writer.
var wakingWays = map[string]func(ctx context.Context, w *writer, id string) error{
	"function": func(ctx context.Context, w *writer, id string) error {
		_, err := w.conn.Exec(ctx, `SELECT pupwasm.append('shop', 'order', $1, '[{"event_type": "e"}]')`, id)
		return err
	},
	"insert": func(ctx context.Context, w *writer, id string) error {
		_, err := w.conn.Exec(ctx, insertEvent, id, 1)
		return err
	},
	"copy": func(ctx context.Context, w *writer, id string) error {
		_, err := w.conn.CopyFrom(ctx, pgx.Identifier{"pupwasm", "events"}, eventColumns, pgx.CopyFromRows([][]any{{"shop", "order", id, 1, "x", []byte{}}}))
		return err
	},
	"repeatable read": func(ctx context.Context, w *writer, id string) error {
		return pgx.BeginTxFunc(ctx, w.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT 1"); err != nil { // takes the snapshot
				return err
			}
			w.pause()
			_, err := tx.Exec(ctx, insertEvent, id, 1)
			return err
		})
	},
	"slow": func(ctx context.Context, w *writer, id string) error {
		return pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
			// The lock first and the position later: such a transaction holds nothing back and is not seen in the horizon.
			if _, err := tx.Exec(ctx, `INSERT INTO pupwasm.events SELECT FROM pupwasm.events WHERE false`); err != nil {
				return err
			}
			w.pause()
			_, err := tx.Exec(ctx, insertEvent, id, 1)
			return err
		})
	},
}

// TestWake_isNeverLost lets writers append one event after the other while a sleeper announces, looks and waits. The sleeper
// never polls, so every event needs a notification, unless a look found it.
func TestWake_isNeverLost(t *testing.T) {
	t.Parallel()
	const each = 600
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	var seen atomic.Int64 // the horizon that the sleeper knows
	var writers sync.WaitGroup
	number := 0
	for name, append := range wakingWays {
		number++
		w := &writer{conn: db.Connect(t), random: rand.New(rand.NewPCG(uint64(number), 2))}
		writers.Go(func() {
			for i := range each {
				if err := append(ctx, w, fmt.Sprint(name, i)); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if w.random.IntN(3) > 0 {
					continue
				}
				// Let the sleeper fall asleep, now and then: when everything is seen, or after a moment.
				for start, until := time.Now(), time.Duration(w.random.IntN(8))*time.Millisecond; time.Since(start) < until; {
					w.pause()
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { writers.Wait(); close(finished) }()

	naps, busy := 0, 0
	look := func() store.Horizon {
		h := horizonOf(t, s)
		seen.Store(h.Position)
		return h
	}
	for over := false; !over; {
		before := look()
		drain(e.woken)
		quiet := doze(t, s, "sleeper", time.Minute)
		after := look()
		if !quiet || after.Position > before.Position || after.Head > after.Position {
			busy++
			select {
			case <-finished:
				over = after.Position == after.Head && quiet
			default:
			}
			continue
		}
		naps++
		over = wait(t, s, e, finished, after)
		if t.Failed() {
			return
		}
	}
	if want := int64(each * len(wakingWays)); horizonOf(t, s).Position < want {
		t.Errorf("the horizon is %d, must be %d at least", seen.Load(), want)
	}
	if naps < 100 {
		t.Errorf("only %d naps of %d tries: nothing is tested", naps, naps+busy)
	}
	t.Logf("%d naps, %d times busy", naps, busy)
}

// wait sleeps until a notification comes, or until there is nothing left to come. Beside it somebody looks whether the horizon
// has moved long ago without one.
func wait(t *testing.T, s *postgres.Store, e *ear, finished chan struct{}, known store.Horizon) (over bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for moved := 0; ; {
		select {
		case <-e.woken:
			return false
		case <-tick.C:
			select {
			case <-finished:
				over = true
			default:
			}
			h := horizonOf(t, s)
			switch {
			case h.Position > known.Position:
				// The notification may be on its way, for as long as it takes a busy machine to deliver one.
				if moved++; moved > 30 {
					t.Errorf("the horizon went from %d to %d and no notification came", known.Position, h.Position)
					return true
				}
			case over && h.Head == h.Position:
				return true
			}
		}
	}
}

// TestWake_anAppendWithoutAPositionKeepsTheSleeperUp is the case that the horizon does not tell.
func TestWake_anAppendWithoutAPositionKeepsTheSleeperUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	appendOne(t, s, "a")
	tx := begin(t, db.Connect(t))
	_, err := tx.Exec(t.Context(), `INSERT INTO pupwasm.events SELECT FROM pupwasm.events WHERE false`)
	must(t, err)
	if doze(t, s, "w", time.Minute) {
		t.Error("all is said to be quiet while an append is under way")
	}
	if h := horizonOf(t, s); h.Head != h.Position {
		t.Errorf("the horizon is %+v: it tells, after all", h)
	}
	end(t, tx, true)
	if !doze(t, s, "w", time.Minute) {
		t.Error("no append is under way, and it is said not to be quiet")
	}
}

func TestWake_reachesTransactionsWithAnOlderSnapshot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx, err := db.Connect(t).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		must(t, err)
		_, err = tx.Exec(t.Context(), "SELECT count(*) FROM pupwasm.events")
		must(t, err)
		if !doze(t, s, "w", time.Minute) {
			t.Error("a transaction that has not appended disturbs")
		}
		insertIn(t, tx, string(level), 1)
		end(t, tx, true)
		e.await(t, "an append at "+string(level))
		must(t, s.Awake(t.Context(), "w"))
	}
}

func TestWake_nobodyNotifiesUnderLoad(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	for range 100 { // nobody has slept yet
		appendOne(t, s, "a")
	}
	doze(t, s, "one", time.Minute)
	doze(t, s, "two", time.Minute)
	must(t, s.Awake(t.Context(), "one"))
	if n := e.heard(t, db); n != 0 {
		t.Errorf("%d notifications came while nobody slept", n)
	}
	drain(e.woken)
	appendOne(t, s, "a")
	e.await(t, "the other one sleeps")
	must(t, s.Awake(t.Context(), "two"))
	must(t, s.Awake(t.Context(), "two"))
	must(t, s.Awake(t.Context(), "nobody"))
	for range 100 {
		appendOne(t, s, "a")
	}
	if n := e.heard(t, db); n != 1 {
		t.Errorf("%d notifications came, must be the one while somebody slept", n)
	}
	wantRows(t, db, "SELECT count(*), (SELECT last_value FROM pupwasm.sleep) FROM pupwasm.sleepers", "0 0")
}

func TestWake_oneNotificationATransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	doze(t, s, "w", time.Minute)
	tx := begin(t, db.Connect(t))
	for i := range 5 {
		insertIn(t, tx, "a", i+1)
	}
	end(t, tx, true)
	tx = begin(t, db.Connect(t))
	insertIn(t, tx, "b", 1)
	end(t, tx, false)
	if n := e.heard(t, db); n != 1 {
		t.Errorf("%d notifications came of one transaction, and of one that was rolled back", n)
	}
	// The savepoint takes lock, memory and notification along, and the next insert makes them anew.
	tx = begin(t, db.Connect(t))
	savepoint, err := tx.Begin(t.Context())
	must(t, err)
	insertIn(t, savepoint, "b", 1)
	end(t, savepoint, false)
	insertIn(t, tx, "b", 1)
	end(t, tx, true)
	if n := e.heard(t, db); n != 2 {
		t.Errorf("%d notifications came, must be 2", n)
	}
}

func TestWake_anAnnouncementRunsOut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	doze(t, s, "gone", time.Millisecond)
	await(t, "the announcement runs out", func() bool {
		return query(t, db.Connect(t), `SELECT "until" < clock_timestamp() FROM pupwasm.sleepers`)[0][0] == "t"
	})
	appendOne(t, s, "a")
	if n := e.heard(t, db); n != 0 {
		t.Errorf("%d notifications came for a sleeper whose time was over", n)
	}
	must(t, s.Awake(t.Context(), "another"))
	wantRows(t, db, "SELECT count(*), (SELECT last_value FROM pupwasm.sleep) FROM pupwasm.sleepers", "0 0")
}

func TestWake_schemasDoNotWakeEachOther(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := db.WithSchema(t, "select")
	first, second := open(t, db), open(t, other)
	one, two := listen(t, first), listen(t, second)
	doze(t, first, "w", time.Minute)
	appendOne(t, second, "a") // nobody sleeps there
	doze(t, second, "w", time.Minute)
	appendOne(t, second, "a")
	two.await(t, "an append to its own schema")
	if n := one.heard(t, db); n != 0 {
		t.Errorf("%d notifications came from the other schema", n)
	}
	if n := two.heard(t, other); n != 1 {
		t.Errorf("%d notifications came, must be 1", n)
	}
}

func TestListen_endsWithItsConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	execute(t, db.Connect(t), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	if err := <-e.ended; !errors.Is(err, store.ErrTransient) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Listen returns %v, must be one line and transient", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Listen(ctx, cancel) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled it returns %v", err)
	}
}

// TestWake_neverMakesAnAppendFail is about prepared transactions, which exclude notifications.
func TestWake_neverMakesAnAppendFail(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	conn := db.Connect(t)
	for i, setting := range []string{"off", "", "nonsense"} { // "" stands for not set
		doze(t, s, "w", time.Minute)
		execute(t, conn, fmt.Sprintf("SET pupwasm.notify = '%s'", setting))
		execute(t, conn, "BEGIN")
		execute(t, conn, insertEvent, "a", i+1)
		execute(t, conn, "PREPARE TRANSACTION 'wake'")
		execute(t, conn, "COMMIT PREPARED 'wake'")
	}
	name := query(t, conn, "SELECT current_database()")[0][0]
	execute(t, conn, "ALTER DATABASE "+name+" SET pupwasm.notify = ''")
	if err := open(t, db).Listen(t.Context(), func() { t.Error("it wakes") }); err == nil || !strings.Contains(err.Error(), "prepared transactions") {
		t.Errorf("where appends do not notify, Listen returns %v", err)
	}
}
