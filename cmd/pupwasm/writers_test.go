package main_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// tally is what an event adds to its stream, or what all of them have added.
type tally struct{ events, paid, expense int64 }

func (a tally) plus(b tally) tally {
	return tally{a.events + b.events, a.paid + b.paid, a.expense + b.expense}
}

// writers append all the time, in several ways, and count for themselves what they appended.
type writers struct {
	t    *testing.T
	to   applicationStore
	db   database
	stop context.CancelFunc
	done sync.WaitGroup

	handle *sql.DB // of MariaDB

	writing sync.RWMutex // read-locked by each that writes, until it knows that its events are stored
	mu      sync.Mutex
	counted []appended
}

// appended is an append that is known to be stored.
type appended struct {
	stream string // its aggregate id, which no two streams share here
	events []uuid.UUID
	tally
}

// writerPace is the rest of a writer between two appends: hosts have to keep up, on a small machine.
const writerPace = 4 * time.Millisecond

func startWriters(t *testing.T, db database, seed uint64) *writers {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &writers{t: t, to: db.open(t), db: db, stop: cancel}
	ways := []func(*writers, *client){
		(*writers).appendToSome, (*writers).appendToSome, (*writers).appendToSome, (*writers).callTheFunction, (*writers).callTheFunction,
		(*writers).insertRows,
	}
	if db.kind == onMariaDB {
		ways = []func(*writers, *client){
			(*writers).appendToSome, (*writers).appendToSome, (*writers).appendWithin, (*writers).insertRowsOnMariaDB,
		}
		w.handle = db.handle(t)
	}
	for i, write := range ways {
		w.done.Go(func() {
			c := &client{number: i, random: rand.New(rand.NewPCG(seed, uint64(i)))}
			defer c.disconnect()
			tick := time.NewTicker(writerPace)
			defer tick.Stop()
			for ctx.Err() == nil && !t.Failed() {
				w.writing.RLock()
				write(w, c)
				w.writing.RUnlock()
				<-tick.C
			}
		})
	}
	t.Cleanup(w.finish)
	return w
}

// finish stops the writers; their counts are final then.
func (w *writers) finish() {
	w.stop()
	w.done.Wait()
}

// count is called once for what is known to be stored.
func (w *writers) count(stream store.Stream, added tally, events ...store.Event) {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = uuid.UUID(e.ID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted = append(w.counted, appended{stream.AggregateID, ids, added})
}

// forgetLost takes off the count what a server that is lost has taken with it: appends that the log does not
// have. It returns how many events they are.
func (w *writers) forgetLost() (lost int) {
	w.writing.Lock() // nothing is under way then
	defer w.writing.Unlock()
	stored := map[uuid.UUID]bool{}
	var id uuid.UUID
	w.db.each(w.t, "SELECT event_id FROM {own}events", func() { stored[id] = true }, &id)
	w.counted = slices.DeleteFunc(w.counted, func(a appended) bool {
		missing := 0
		for _, id := range a.events {
			if !stored[id] {
				missing++
			}
		}
		if missing != 0 && missing != len(a.events) {
			w.t.Errorf("%d of the %d events of one append are lost", missing, len(a.events))
		}
		lost += missing
		return missing > 0
	})
	return lost
}

// streams is what was appended to each, by aggregate id.
func (w *writers) streams() map[string]tally {
	sums := map[string]tally{}
	for _, a := range w.counted {
		sums[a.stream] = sums[a.stream].plus(a.tally)
	}
	return sums
}

// client is one writer's own.
type client struct {
	number int
	random *rand.Rand
	conn   *pgx.Conn
}

// shared returns a stream that all writers use.
func (c *client) shared() store.Stream {
	if n := c.random.IntN(40); n < 10 {
		return store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: fmt.Sprint("U", n)}
	}
	return store.Stream{BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: fmt.Sprint("F", c.random.IntN(60))}
}

// Of so many events of a writer one is poison for modules that fail at it, and one has a row that the database may
// refuse, see order_check.
const oddEvery = 200

// event makes an event and tells what it adds to its stream.
func (c *client) event() (store.Event, tally) {
	customer := c.random.IntN(20)
	e := store.Event{ID: store.UUID(uuid.New()), Type: "Note", Payload: fmt.Appendf(nil, `{"customer":"C%d"}`, customer)}
	added := tally{events: 1}
	cents := int64(c.random.IntN(10_000))
	switch c.random.IntN(oddEvery) {
	case 0:
		e.Type = "Poison"
		return e, added
	case 1:
		e.Type = "Odd"
		return e, added
	}
	switch c.random.IntN(3) {
	case 0:
		e.Type, e.Payload, added.paid = "Payment", fmt.Appendf(nil, `{"paymentAmount":%d.%02d,"customer":"C%d"}`, cents/100,
			cents%100, customer), cents
	case 1:
		e.Type, e.Payload, added.expense = "SendFine", fmt.Appendf(nil, `{"customer":"C%[3]d","expense":%[1]d.%02[2]d}`,
			cents/100, cents%100, customer), cents
	}
	return e, added
}

// appendToSome goes through the store, to one stream or two at once.
func (w *writers) appendToSome(c *client) {
	appends := []store.StreamAppend{{Stream: c.shared()}}
	if c.random.IntN(4) == 0 {
		appends = append(appends, store.StreamAppend{Stream: c.shared()})
	}
	added := make([]tally, len(appends))
	for i := range appends {
		for range 1 + c.random.IntN(4) {
			e, one := c.event()
			appends[i].Events = append(appends[i].Events, e)
			added[i] = added[i].plus(one)
		}
	}
	w.settle(appends, added)
}

// settle appends until it is known to be done. A lost connection does not tell whether the events are in: their ids do.
func (w *writers) settle(appends []store.StreamAppend, added []tally) {
	tick := time.NewTicker(writerPace)
	defer tick.Stop()
	for {
		_, err := w.to.Append(context.Background(), store.AppendOptions{SkipDuplicates: true}, appends...)
		switch {
		case err == nil:
			for i := range appends {
				w.count(appends[i].Stream, added[i], appends[i].Events...)
			}
			return
		case !errors.Is(err, store.ErrTransient):
			w.t.Errorf("append: %v", err)
			return
		case w.t.Failed(): // whatever was to bring the server back will not
			return
		}
		<-tick.C
	}
}

// callTheFunction appends by SQL, in a transaction that stays open for a while, and sometimes rolls it back.
func (w *writers) callTheFunction(c *client) {
	stream := c.shared()
	e, added := c.event()
	back := c.random.IntN(4) == 0
	json := fmt.Sprintf(`[{"event_id":%q,"event_type":%q,"payload":%s}]`, uuid.UUID(e.ID), e.Type, e.Payload)
	err := c.within(w.db.Database, back, `SELECT pupwasm.append($1, $2, $3, $4::json)`, stream.BoundedContext, stream.AggregateType,
		stream.AggregateID, json)
	switch {
	case back:
	case err == nil:
		w.count(stream, added, e)
	default:
		w.settle([]store.StreamAppend{{Stream: stream, Events: []store.Event{e}}}, []tally{added})
	}
}

const insertRow = `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id, event_type, payload)
	SELECT $1, $2, $3, 1 + coalesce(max(aggregate_version), 0), $4, $5, $6 FROM pupwasm.events
		WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
	ON CONFLICT DO NOTHING`

// insertRows inserts into the table, to streams of its own. What is not known is inserted again: the same id
// waits for an earlier one that has not ended.
func (w *writers) insertRows(c *client) {
	stream := store.Stream{
		BoundedContext: "Traffic", AggregateType: "Fine",
		AggregateID: fmt.Sprintf("D%d-%d", c.number, c.random.IntN(5)),
	}
	e, added := c.event()
	back := c.random.IntN(4) == 0
	row := []any{stream.BoundedContext, stream.AggregateType, stream.AggregateID, uuid.UUID(e.ID), e.Type, e.Payload}
	err := c.within(w.db.Database, back, insertRow, row...)
	if back {
		return
	}
	tick := time.NewTicker(writerPace)
	defer tick.Stop()
	for err != nil {
		if w.t.Failed() {
			return
		}
		<-tick.C
		err = c.within(w.db.Database, false, insertRow, row...)
	}
	w.count(stream, added, e)
}

// within runs a statement in a transaction that stays open for some milliseconds.
func (c *client) within(db pgtest.Database, back bool, sql string, args ...any) error {
	ctx := context.Background()
	if c.conn == nil || c.conn.IsClosed() {
		var err error
		if c.conn, err = pgx.Connect(ctx, db.DSN); err != nil {
			return err
		}
	}
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		return err
	}
	<-time.After(time.Duration(c.random.IntN(15)) * time.Millisecond) // a slow program
	if back {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

func (c *client) disconnect() {
	if c.conn != nil {
		_ = c.conn.Close(context.Background())
	}
}
