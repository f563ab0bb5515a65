package segments_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// spy hears the notifications of appends on a connection of its own.
type spy struct {
	conn    *pgx.Conn
	channel string
}

func newSpy(t *testing.T, db pgtest.Database) *spy {
	t.Helper()
	s := &spy{conn: db.Connect(t), channel: db.Schema + ".wake"}
	if _, err := s.conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		t.Fatal(err)
	}
	return s
}

// heard returns how many came since the last call. One of our own comes after all that were sent before.
func (s *spy) heard(t *testing.T) (n int) {
	t.Helper()
	if _, err := s.conn.Exec(t.Context(), "SELECT pg_notify($1, 'last')", s.channel); err != nil {
		t.Fatal(err)
	}
	for {
		note, err := s.conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if note.Payload == "last" {
			return n
		}
		n++
	}
}

// announcement identifies the one that is there: a new announcement has another.
func (i *idler) announcement(t *testing.T) int64 {
	t.Helper()
	return i.count(t, "SELECT coalesce(max(xmin::text::bigint), 0) FROM pupwasm.listeners")
}

// awaitEverywhere waits until all segments have passed a position.
func (i *idler) awaitEverywhere(t *testing.T, position int64) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("all segments pass %d", position), func() bool {
		return i.count(t, "SELECT coalesce(min(position), 0) FROM pupwasm.segments") >= position
	})
}

// TestNotify_oneAnnouncementServesManyWakeUps has events come so seldom that each is notified. The worker never
// polls by itself.
func TestNotify_oneAnnouncementServesManyWakeUps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	i.append(t)
	i.awaitEverywhere(t, 1)
	spy := newSpy(t, db)
	i.awaitSleep(t)
	before := i.announcement(t)
	const events = 50
	began := time.Now()
	for range events {
		i.append(t)
	}
	if n := spy.heard(t); n < events*9/10 {
		t.Errorf("%d of %d appends notified", n, events)
	}
	// It is made again when half of its time is over, and when the machine was so busy that appends met.
	if after := i.announcement(t); after != before && time.Since(began) < 10*time.Second {
		t.Errorf("the announcement was made again: %d, before %d", after, before)
	}
}

// crowdOf lets many append without a pause until stop is called.
func crowdOf(t *testing.T, s store.Store) (appended *atomic.Int64, stop func()) {
	t.Helper()
	appended = &atomic.Int64{}
	var over atomic.Bool
	var group sync.WaitGroup
	for writer := range 8 {
		group.Go(func() {
			for !over.Load() {
				if _, err := s.Append(context.Background(), store.AppendOptions{},
					payments(fmt.Sprint("A", writer), 100)); err != nil {
					t.Error(err)
					return
				}
				appended.Add(1)
			}
		})
	}
	stop = func() { over.Store(true); group.Wait() }
	t.Cleanup(stop)
	return appended, stop
}

// TestNotify_sparesManyWhoAppend counts notifications while a crowd appends, and then leaves the worker alone:
// it arms again, and is woken again.
func TestNotify_sparesManyWhoAppend(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	for range 2 {
		i.awaitSleep(t)
		appended, stop := crowdOf(t, i.store)
		testwait.Until(t, "the announcement is gone", func() bool {
			return i.count(t, "SELECT count(*) FROM pupwasm.listeners") == 0
		})
		spy := newSpy(t, db)
		from := appended.Load()
		testwait.Until(t, "many more appends", func() bool { return appended.Load() >= from+1000 })
		n, during := int64(spy.heard(t)), appended.Load()-from
		if n > during/5 {
			t.Errorf("%d of %d appends of a crowd notified", n, during)
		}
		stop()
		head := i.count(t, "SELECT max(global_position) FROM pupwasm.events")
		i.awaitEverywhere(t, head)
		i.awaitSleep(t)
		i.appended = head - pgtest.At(0)
		i.append(t)
	}
}

// TestNotify_missesNoneAtAnyPace appends with gaps of any length, alone and in crowds, in transactions that
// last, meet, and are rolled back. The worker, once it is armed, polls again in an hour: an event whose wake-up is
// lost is never applied.
func TestNotify_missesNoneAtAnyPace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	i.append(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	conns := []*pgx.Conn{db.Connect(t), db.Connect(t), db.Connect(t)}
	for round := range 150 {
		var group sync.WaitGroup
		for n, conn := range conns[:1+random.IntN(len(conns))] {
			own := rand.New(rand.NewPCG(seed, uint64(1+round*len(conns)+n)))
			group.Go(func() {
				for range 1 + own.IntN(4) {
					<-time.After(time.Duration(own.Float64() * own.Float64() * float64(25*time.Millisecond)))
					if err := appendAnyhow(conn, own); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		head := i.count(t, "SELECT max(global_position) FROM pupwasm.events")
		i.awaitEverywhere(t, head)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// appendAnyhow appends in a transaction that waits before, between or after its events, or is rolled back.
func appendAnyhow(conn *pgx.Conn, random *rand.Rand) error {
	ctx := context.Background()
	rest := func() {
		if random.IntN(3) == 0 {
			<-time.After(time.Duration(random.Int64N(int64(8 * time.Millisecond))))
		}
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	rest()
	if random.IntN(4) == 0 { // the lock first, and a position later
		if _, err := tx.Exec(ctx, "INSERT INTO pupwasm.events SELECT FROM pupwasm.events WHERE false"); err != nil {
			return err
		}
		rest()
	}
	for range random.IntN(3) {
		_, err := tx.Exec(ctx, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload)
			VALUES ('Traffic', 'Fine', gen_random_uuid()::text, 1, 'Payment', '{"paymentAmount":1.00}')`)
		if err != nil {
			return err
		}
		rest()
	}
	if random.IntN(6) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// TestNotify_doesNotRelyOnAnAppendThatBeganBefore has one that took its lock before the announcement, and so
// does not notify. It has no position by which the horizon would tell.
func TestNotify_doesNotRelyOnAnAppendThatBeganBefore(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	counted := &polls{server: openPostgres(t, db), made: make(chan struct{}, 1)}
	tx, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO pupwasm.events SELECT FROM pupwasm.events WHERE false"); err != nil {
		t.Fatal(err)
	}
	i := newIdler(t, db, counted)
	i.awaitSleep(t) // it announces, and is told that not all is quiet
	for range 30 {
		select {
		case <-counted.made:
		case <-time.After(testwait.Patience):
			t.Fatal("the worker does not poll any more, although an append is in flight that will not notify")
		}
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload)
			VALUES ('Traffic', 'Fine', 'A1', 1, 'Payment', '{"paymentAmount":1.00}')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.awaitEverywhere(t, 1)
}

// TestNotify_survivesItsConnectionBetweenWakeUps ends the listener while events come, again and again.
func TestNotify_survivesItsConnectionBetweenWakeUps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	for n := range 60 {
		if n%15 == 5 {
			i.awaitSleep(t)
			testwait.Until(t, "a listener is there and is ended", func() bool {
				return i.count(t, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`) > 0
			})
		}
		i.append(t)
	}
}

// TestNotify_twoHostsArmAndDisarm has one host disarm, and reset what appends read, while the other is armed.
func TestNotify_twoHostsArmAndDisarm(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	for range 3 {
		i.awaitSleep(t)
		t.Run("beside another", func(t *testing.T) {
			other := newIdler(t, db, openPostgres(t, db))
			testwait.Until(t, "both sleep", func() bool { return other.count(t, "SELECT count(*) FROM pupwasm.listeners") == 2 })
		})
		i.append(t)
	}
}
