package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// ear is a listener under test.
type ear struct {
	woken chan struct{} // holds one wake-up
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
	case <-time.After(testwait.Patience):
		t.Fatalf("timed out: %s", what)
	}
}

// counter counts notifications of appends on a connection of its own.
type counter struct {
	conn    *pgx.Conn
	channel string
}

func newCounter(t testing.TB, db pgtest.Database) *counter {
	t.Helper()
	c := &counter{conn: db.Connect(t), channel: db.Schema + ".wake"}
	execute(t, c.conn, "LISTEN "+pgx.Identifier{c.channel}.Sanitize())
	return c
}

// heard returns how many came since the last call. One of our own comes after all that were sent before.
func (c *counter) heard(t testing.TB) (n int) {
	t.Helper()
	execute(t, c.conn, "SELECT pg_notify($1, 'last')", c.channel)
	for {
		note, err := c.conn.WaitForNotification(context.Background())
		must(t, err)
		if note.Payload == "last" {
			return n
		}
		n++
	}
}

func drain(woken chan struct{}) {
	select {
	case <-woken:
	default:
	}
}

func arm(t testing.TB, s *postgres.Store, worker string, d time.Duration) bool {
	t.Helper()
	must(t, s.Heartbeat(context.Background(), store.Worker{Name: worker}, time.Hour))
	quiet, err := s.Arm(context.Background(), worker, d)
	must(t, err)
	return quiet
}

// wakingWays are appends of one event, of every kind.
var wakingWays = []func(ctx context.Context, w *writer, id string) error{
	func(ctx context.Context, w *writer, id string) error { // the function
		_, err := w.conn.Exec(ctx, `SELECT pupwasm.append('shop', 'order', $1, '[{"event_type": "e"}]')`, id)
		return err
	},
	func(ctx context.Context, w *writer, id string) error {
		_, err := w.conn.Exec(ctx, insertEvent, id, 1)
		return err
	},
	func(ctx context.Context, w *writer, id string) error {
		_, err := w.conn.CopyFrom(ctx, pgx.Identifier{"pupwasm", "events"}, eventColumns,
			pgx.CopyFromRows([][]any{{"shop", "order", id, 1, "x", []byte{}}}))
		return err
	},
	func(ctx context.Context, w *writer, id string) error { // with a snapshot from before
		return pgx.BeginTxFunc(ctx, w.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT 1"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insertEvent, id, 1)
			return err
		})
	},
	func(ctx context.Context, w *writer, id string) error { // the fence first and a position later
		return pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, insertNothing); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insertEvent, id, 1)
			return err
		})
	},
}

// insertNothing takes the fence's lock and no position.
const insertNothing = `INSERT INTO pupwasm.events SELECT FROM pupwasm.events WHERE false`

// TestWake_isNeverLost races appends with a listener that arms, polls and waits. What the poll did not find must
// wake it, unless Arm reported an append in flight.
func TestWake_isNeverLost(t *testing.T) {
	t.Parallel()
	const rounds = 4000
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	w := &writer{conn: db.Connect(t)}
	ctx := t.Context()
	woken, found, busy := 0, 0, 0
	start := make(chan struct{})
	appended := make(chan error)
	go func() {
		defer close(appended)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range rounds {
			<-start
			for range random.IntN(1000) { // a moment that is never the same
				runtime.Gosched()
			}
			appended <- wakingWays[i%len(wakingWays)](ctx, w, fmt.Sprint(i))
		}
	}()
	for i := range rounds {
		must(t, s.Disarm(ctx, "listener"))
		before := horizonOf(t, s)
		drain(e.woken)
		start <- struct{}{}
		quiet := arm(t, s, "listener", time.Minute)
		after := horizonOf(t, s)
		must(t, <-appended)
		switch {
		case !quiet || after.Head > after.Position:
			busy++
		case after.Position > before.Position:
			found++
		default:
			e.await(t, fmt.Sprintf("round %d: the poll found nothing and the event wakes nobody", i))
			woken++
			if h := horizonOf(t, s); h.Position == after.Position {
				t.Errorf("round %d: a wake-up came and nothing else", i)
			}
		}
	}
	t.Logf("%d events woke the listener, %d were found by the poll, %d were in flight", woken, found, busy)
	if woken < rounds/50 || busy < rounds/50 {
		t.Error("nobody raced")
	}
}

// TestArm_reportsAnAppendWithoutAPosition is the case that the horizon does not show.
func TestArm_reportsAnAppendWithoutAPosition(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	appendOne(t, s, "a")
	tx := begin(t, db.Connect(t))
	_, err := tx.Exec(t.Context(), insertNothing)
	must(t, err)
	if arm(t, s, "w", time.Minute) {
		t.Error("all is said to be quiet while an append is under way")
	}
	if h := horizonOf(t, s); h.Head != h.Position {
		t.Errorf("the horizon is %+v: it tells, after all", h)
	}
	end(t, tx, true)
	if !arm(t, s, "w", time.Minute) {
		t.Error("no append is under way, and it is said not to be quiet")
	}
}

// TestWake_appendsCheckForListenersAfterTheLock stops an append before it gets its lock, and arms a listener.
func TestWake_appendsCheckForListenersAfterTheLock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	blocker := begin(t, db.Connect(t))
	_, err := blocker.Exec(t.Context(), "SELECT pg_advisory_xact_lock('pupwasm.events'::regclass::oid::int, 0)")
	must(t, err)
	appended := make(chan struct{})
	go func() { appendOne(t, s, "a"); close(appended) }()
	awaitBlocked(t, db)
	arm(t, s, "w", time.Minute)
	end(t, blocker, true)
	<-appended
	e.await(t, "an append that got its lock after the listener was armed")
}

// TestArm_checksForAppendsAfterTheListenerIsVisible stops Arm before it writes, and lets an append begin.
func TestArm_checksForAppendsAfterTheListenerIsVisible(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	blocker := begin(t, db.Connect(t))
	_, err := blocker.Exec(t.Context(), "LOCK TABLE pupwasm.listeners")
	must(t, err)
	quiet := make(chan bool)
	go func() { quiet <- arm(t, s, "w", time.Minute) }()
	awaitBlocked(t, db)
	tx := begin(t, db.Connect(t))
	insertIn(t, tx, "a", 1)
	end(t, blocker, true)
	if <-quiet {
		t.Error("all is said to be quiet, and an append is under way that will not notify")
	}
	end(t, tx, true)
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
		if !arm(t, s, "w", time.Minute) {
			t.Error("a transaction that has not appended disturbs")
		}
		insertIn(t, tx, string(level), 1)
		end(t, tx, true)
		e.await(t, "an append at "+string(level))
		must(t, s.Disarm(t.Context(), "w"))
	}
}

func TestWake_nobodyNotifiesUnderLoad(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	c := newCounter(t, db)
	for range 100 { // nobody was armed yet
		appendOne(t, s, "a")
	}
	arm(t, s, "one", time.Minute)
	arm(t, s, "two", time.Minute)
	must(t, s.Disarm(t.Context(), "one"))
	if n := c.heard(t); n != 0 {
		t.Errorf("%d notifications came while nobody was armed", n)
	}
	appendOne(t, s, "a") // the other one is armed
	must(t, s.Disarm(t.Context(), "two"))
	must(t, s.Disarm(t.Context(), "two"))
	must(t, s.Disarm(t.Context(), "nobody"))
	for range 100 {
		appendOne(t, s, "a")
	}
	if n := c.heard(t); n != 1 {
		t.Errorf("%d notifications came, must be the one while somebody was armed", n)
	}
	wantRows(t, db, "SELECT count(*), (SELECT last_value FROM pupwasm.armed_until) FROM pupwasm.listeners", "0 0")
}

func TestWake_oneNotificationATransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	c := newCounter(t, db)
	arm(t, s, "w", time.Minute)
	tx := begin(t, db.Connect(t))
	for i := range 5 {
		insertIn(t, tx, "a", i+1)
	}
	end(t, tx, true)
	tx = begin(t, db.Connect(t))
	insertIn(t, tx, "b", 1)
	end(t, tx, false)
	if n := c.heard(t); n != 1 {
		t.Errorf("%d notifications came of one transaction, and of one that was rolled back", n)
	}
	// The savepoint takes lock, memory and notification along, and the next insert makes them again.
	tx = begin(t, db.Connect(t))
	savepoint, err := tx.Begin(t.Context())
	must(t, err)
	insertIn(t, savepoint, "b", 1)
	end(t, savepoint, false)
	insertIn(t, tx, "b", 1)
	end(t, tx, true)
	if n := c.heard(t); n != 1 {
		t.Errorf("%d notifications came, must be 1", n)
	}
}

func TestWake_armingRunsOut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	c := newCounter(t, db)
	arm(t, s, "gone", time.Millisecond)
	testwait.Until(t, "the listener's time runs out", func() bool {
		return query(t, db.Connect(t), `SELECT "until" < clock_timestamp() FROM pupwasm.listeners`)[0][0] == "t"
	})
	appendOne(t, s, "a")
	if n := c.heard(t); n != 0 {
		t.Errorf("%d notifications came for a listener whose time was over", n)
	}
	must(t, s.Disarm(t.Context(), "another"))
	wantRows(t, db, "SELECT count(*), (SELECT last_value FROM pupwasm.armed_until) FROM pupwasm.listeners", "0 0")
}

func TestWake_schemasDoNotWakeEachOther(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := db.WithSchema(t, "select")
	first, second := open(t, db), open(t, other)
	one, two := newCounter(t, db), newCounter(t, other)
	e := listen(t, second)
	arm(t, first, "w", time.Minute)
	appendOne(t, second, "a") // nobody is armed there
	arm(t, second, "w", time.Minute)
	appendOne(t, second, "a")
	e.await(t, "an append to its own schema")
	if n, m := one.heard(t), two.heard(t); n != 0 || m != 1 {
		t.Errorf("%d and %d notifications came, must be 0 and 1", n, m)
	}
}

func TestListen_endsWithItsConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	e := listen(t, s)
	execute(t, db.Connect(t), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
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
		arm(t, s, "w", time.Minute)
		execute(t, conn, fmt.Sprintf("SET pupwasm.notify = '%s'", setting))
		execute(t, conn, "BEGIN")
		execute(t, conn, insertEvent, "a", i+1)
		execute(t, conn, "PREPARE TRANSACTION 'wake'")
		execute(t, conn, "COMMIT PREPARED 'wake'")
	}
	name := query(t, conn, "SELECT current_database()")[0][0]
	execute(t, conn, "ALTER DATABASE "+name+" SET pupwasm.notify = ''")
	if err := open(t, db).Listen(t.Context(), func() { t.Error("it wakes") }); err == nil ||
		!strings.Contains(err.Error(), "prepared transactions") {
		t.Errorf("where appends do not notify, Listen returns %v", err)
	}
}

// TestArm_doesNothingForAWorkerThatHasLeft: a call that was given up may reach the server after the worker has left.
func TestArm_doesNothingForAWorkerThatHasLeft(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	one, two := store.Worker{Name: "one"}, store.Worker{Name: "two"}
	arm(t, s, one.Name, time.Hour)
	arm(t, s, two.Name, time.Hour)
	must(t, s.Leave(t.Context(), one))
	wantRows(t, db, "SELECT worker FROM pupwasm.listeners", "two")
	must(t, s.Leave(t.Context(), two))
	if quiet, err := s.Arm(t.Context(), two.Name, time.Hour); quiet || err != nil {
		t.Errorf("Arm returns %v, %v", quiet, err)
	}
	wantRows(t, db, "SELECT (SELECT count(*) FROM pupwasm.listeners) + last_value FROM pupwasm.armed_until", "0")
}
