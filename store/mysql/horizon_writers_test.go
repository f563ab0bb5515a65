package mysql_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// writersCount is how many there are: two of each way.
const writersCount = 24

// writer is one of many that append at the same time, each in a way of its own and slowly. Versions of its streams are
// those that were committed: after an error, which may have come after the commit, it goes on with other streams.
type writer struct {
	*race
	number   int
	random   *rand.Rand
	conn     *sql.Conn
	life     int
	versions map[string]int
	prepares int
	store    mysql.Backend
}

// round writes once, and reports that it has. After an error it begins anew on another connection.
func (w *writer) round(ctx context.Context) bool {
	err := w.connect(ctx)
	if err == nil {
		err = w.way()(ctx, w)
	}
	if err != nil && ctx.Err() == nil {
		w.endured(err)
		w.leave()
	}
	return err == nil
}

func (w *writer) connect(ctx context.Context) (err error) {
	if w.conn != nil {
		return nil
	}
	w.life++
	w.versions = map[string]int{}
	w.conn, err = w.sql.Conn(ctx)
	return err
}

// leave closes the connection, with whatever is open on it.
func (w *writer) leave() {
	if w.conn != nil {
		_ = w.conn.Raw(func(any) error { return sqldriver.ErrBadConn })
		w.conn = nil
	}
}

func (w *writer) pause() { pauseFor(time.Duration(w.random.IntN(6000)) * time.Microsecond) }

// own returns a stream of the writer and the version that its next event has.
func (w *writer) own() (id string, next int) {
	id = fmt.Sprintf("writer-%d-%d-%d", w.number, w.life, w.random.IntN(3))
	return id, w.versions[id] + 1
}

var isolations = []sql.IsolationLevel{
	sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
}

func (w *writer) isolation() sql.IsolationLevel { return isolations[w.random.IntN(len(isolations))] }

// within runs fn in a transaction, half of the time with a snapshot from before, which is rolled back now and then. fn
// returns how many events the stream has gained.
func (w *writer) within(ctx context.Context, fn func(tx inserter, id string, next int) (int, error)) error {
	tx, err := w.conn.BeginTx(ctx, &sql.TxOptions{Isolation: w.isolation()})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if w.random.IntN(2) == 0 {
		if _, err := tx.ExecContext(ctx, "SELECT COUNT(*) FROM pupwasm__log"); err != nil {
			return err
		}
		w.pause()
	}
	id, next := w.own()
	gained, err := fn(tx, id, next)
	if err != nil {
		return err
	}
	w.pause()
	if w.random.IntN(5) == 0 {
		return tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.versions[id] += gained
	return nil
}

// way is a way to append.
type way func(ctx context.Context, w *writer) error

// ways are all of them. What is open for long holds the horizon back for everybody, and would hide what others do. So they
// take turns: all ways, then those that commit at once, then these beside prepared transactions.
var (
	mixed = []way{
		appendToStreams, appendWithin, writeRows, writeSavepoints, writeMany, writeFromQuery, writeFromLargeQuery,
		writeFromSlowQuery, writeAutocommit, writePrepared, writeIgnoring, writeLong,
	}
	atOnce   = []way{writeAutocommit, appendToStreams}
	prepared = []way{writeAutocommit, writeAutocommit, writePrepared, appendToStreams}
	turns    = [][]way{mixed, atOnce, prepared}
)

// turn is how long each of the turns is.
const turn = time.Second

// way is that of the writer just now.
func (w *writer) way() way {
	ways := turns[int(clock.Since(w.began)/turn)%len(turns)]
	return ways[w.number%len(ways)]
}

// appendToStreams appends by the store, to a stream of the writer's and to one of all.
func appendToStreams(ctx context.Context, w *writer) error {
	id := fmt.Sprintf("appender-%d", w.number)
	for i := range 5 {
		appends := []store.StreamAppend{{Stream: orders(id), Events: make([]store.Event, 1+i%3)}}
		if i%2 == 0 {
			appends = append(appends, store.StreamAppend{Stream: orders("shared"), Events: make([]store.Event, 1)})
		}
		for _, a := range appends {
			for j := range a.Events {
				a.Events[j].Type = "appended"
			}
		}
		if _, err := w.store.Append(ctx, store.AppendOptions{}, appends...); err != nil {
			return err
		}
	}
	return nil
}

// appendWithin appends by the store in a transaction of the caller.
func appendWithin(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, _ int) (int, error) {
		for _, to := range []string{id, "shared"} {
			_, err := w.store.AppendTx(ctx, tx.(*sql.Tx), store.AppendOptions{}, store.StreamAppend{
				Stream: orders(to), Events: []store.Event{{Type: "appended"}, {Type: "appended"}},
			})
			if err != nil {
				return 0, err
			}
			w.pause()
		}
		return 2, nil
	})
}

func orders(id string) store.Stream {
	return store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: id}
}

// insertRows is an INSERT of several events with versions from next on.
func insertRows(id string, next, count int) string {
	rows := make([]string, count)
	for i := range rows {
		rows[i] = fmt.Sprintf("('shop', 'order', '%s', %d, 'inserted', '')", id, next+i)
	}
	text, _, _ := strings.Cut(insertEvent, "VALUES")
	return text + "VALUES " + strings.Join(rows, ", ")
}

// writeRows inserts single rows.
func writeRows(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		for i := range 3 {
			if _, err := tx.ExecContext(ctx, insertEvent, id, next+i); err != nil {
				return 0, err
			}
			w.pause()
		}
		return 3, nil
	})
}

// writeSavepoints inserts within savepoints of which some are rolled back.
func writeSavepoints(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (gained int, err error) {
		for range 3 {
			end := []string{"ROLLBACK TO", "RELEASE"}[w.random.IntN(2)]
			for _, text := range []string{"SAVEPOINT s", insertRows(id, next+gained, 2), end + " SAVEPOINT s"} {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return 0, err
				}
				w.pause()
			}
			if end == "RELEASE" {
				gained += 2
			}
		}
		return gained, nil
	})
}

func writeMany(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		_, err := tx.ExecContext(ctx, insertRows(id, next, 10))
		return 10, err
	})
}

// fromQuery is an INSERT from a query.
func fromQuery(id string, next, count int) string {
	text, _, _ := strings.Cut(insertEvent, "VALUES")
	return text + fmt.Sprintf("SELECT 'shop', 'order', '%s', n + %d, 'inserted', '' FROM numbers WHERE n < %d", id, next, count)
}

func writeFromQuery(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		_, err := tx.ExecContext(ctx, fromQuery(id, next, 5))
		return 5, err
	})
}

func writeFromLargeQuery(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		_, err := tx.ExecContext(ctx, fromQuery(id, next, 500))
		return 500, err
	})
}

// writeFromSlowQuery sleeps between the rows.
func writeFromSlowQuery(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		text, _, _ := strings.Cut(insertEvent, "VALUES")
		_, err := tx.ExecContext(ctx, text+fmt.Sprintf("SELECT 'shop', 'order', '%s', n + %d, IF(SLEEP(0.004), '', 'inserted'), '' "+
			"FROM numbers WHERE n < 5", id, next))
		return 5, err
	})
}

// writeAutocommit commits each statement by itself.
func writeAutocommit(ctx context.Context, w *writer) error {
	for range 10 {
		id, next := w.own()
		count := 1 + w.random.IntN(3)
		if _, err := w.conn.ExecContext(ctx, insertRows(id, next, count)); err != nil {
			return err
		}
		w.versions[id] += count
	}
	return nil
}

// writePrepared commits in two phases, with a pause between them.
func writePrepared(ctx context.Context, w *writer) error {
	id, next := w.own()
	w.prepares++
	name := fmt.Sprintf("'%s-%d-%d-%d'", w.at.Name, w.number, w.life, w.prepares)
	run := func(texts ...string) error {
		for _, text := range texts {
			if _, err := w.conn.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	level := []string{"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}[w.random.IntN(4)]
	if err := run("SET TRANSACTION ISOLATION LEVEL "+level, "XA START "+name, insertRows(id, next, 2)); err != nil {
		return err
	}
	w.pause()
	if err := run("XA END "+name, "XA PREPARE "+name); err != nil {
		return err
	}
	pauseFor(time.Duration(w.random.IntN(200)) * time.Millisecond)
	if w.random.IntN(5) == 0 {
		return run("XA ROLLBACK " + name)
	}
	if err := run("XA COMMIT " + name); err != nil {
		return err
	}
	w.versions[id] += 2
	return nil
}

// writeIgnoring meets rows that are there, in each of the ways to go on.
func writeIgnoring(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (gained int, err error) {
		if next == 1 {
			_, err := tx.ExecContext(ctx, insertRows(id, 1, 1))
			return 1, err
		}
		both := insertRows(id, next-1, 2) // one is there
		switch w.random.IntN(3) {
		case 0:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE"+strings.TrimPrefix(both, "INSERT"))
		case 1:
			_, err = tx.ExecContext(ctx, both+" ON DUPLICATE KEY UPDATE trace_id = 'x'")
		default:
			_, err = tx.ExecContext(ctx, fmt.Sprintf("%s, ('shop', 'order', '%s', 1, 'inserted', '')", insertRows(id, next, 1), id))
			var failure *driver.MySQLError
			if errors.As(err, &failure) && failure.Number == 1062 {
				err = nil
			}
			if err == nil {
				w.pause()
				_, err = tx.ExecContext(ctx, insertRows(id, next, 1))
			}
		}
		return 1, err
	})
}

// writeLong has its transaction open for up to 400 ms.
func writeLong(ctx context.Context, w *writer) error {
	return w.within(ctx, func(tx inserter, id string, next int) (int, error) {
		if _, err := tx.ExecContext(ctx, insertRows(id, next, 1)); err != nil {
			return 0, err
		}
		pauseFor(time.Duration(w.random.IntN(400)) * time.Millisecond)
		_, err := tx.ExecContext(ctx, insertRows(id, next+1, 1))
		return 2, err
	})
}
