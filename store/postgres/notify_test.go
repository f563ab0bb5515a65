package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

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
		must(t, s.Disarm(t.Context(), store.Listener{Name: "w"}))
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
	must(t, s.Disarm(t.Context(), store.Listener{Name: "one"}))
	if n := c.heard(t); n != 0 {
		t.Errorf("%d notifications came while nobody was armed", n)
	}
	appendOne(t, s, "a") // the other one is armed
	must(t, s.Disarm(t.Context(), store.Listener{Name: "two"}))
	must(t, s.Disarm(t.Context(), store.Listener{Name: "two"}))
	must(t, s.Disarm(t.Context(), store.Listener{Name: "nobody"}))
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
		return ask(t, db, `SELECT "until" < clock_timestamp() FROM pupwasm.listeners`)[0][0] == "t"
	})
	appendOne(t, s, "a")
	if n := c.heard(t); n != 0 {
		t.Errorf("%d notifications came for a listener whose time was over", n)
	}
	must(t, s.Disarm(t.Context(), store.Listener{Name: "another"}))
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
	for i, setting := range []string{"off", "", "nonsense"} { // "": not set
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
	if quiet, err := s.Arm(t.Context(), store.Listener{Name: two.Name}, time.Hour); quiet || err != nil {
		t.Errorf("Arm returns %v, %v", quiet, err)
	}
	wantRows(t, db, "SELECT (SELECT count(*) FROM pupwasm.listeners) + last_value FROM pupwasm.armed_until", "0")
}
