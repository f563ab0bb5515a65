package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
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
func listen(t testing.TB, s postgres.Backend) *ear {
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

func arm(t testing.TB, s postgres.Backend, worker string, d time.Duration) bool {
	t.Helper()
	must(t, s.Heartbeat(context.Background(), store.Worker{Name: worker}, time.Hour))
	quiet, err := s.Arm(context.Background(), store.Listener{Name: worker}, d)
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
		must(t, s.Disarm(ctx, store.Listener{Name: "listener"}))
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
