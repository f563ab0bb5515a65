package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// insertEvent writes past the store, as any program can: position, hash, id, time and metadata are the database's.
const insertEvent = `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
	aggregate_version, event_type, payload)
	VALUES ('shop', 'order', $1, $2, 'inserted', '')`

// fenceLocks counts the locks of the fence in the database.
const fenceLocks = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'pupwasm.events'::regclass
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

func horizonOf(t testing.TB, s postgres.Backend) store.Horizon {
	t.Helper()
	h, err := s.Horizon(context.Background())
	must(t, err)
	h.Log = store.LogID{} // the conformance suite looks at it
	return h
}

func appendOne(t testing.TB, s postgres.Backend, id string) int64 {
	t.Helper()
	appended, err := s.Append(context.Background(), store.AppendOptions{},
		store.StreamAppend{Stream: stream(id), Events: events(1)})
	must(t, err)
	return appended[0].Position
}

func insertIn(t testing.TB, tx pgx.Tx, id string, version int) {
	t.Helper()
	_, err := tx.Exec(context.Background(), insertEvent, id, version)
	must(t, err)
}

func end(t testing.TB, tx pgx.Tx, commit bool) {
	t.Helper()
	if commit {
		must(t, tx.Commit(context.Background()))
	} else {
		must(t, tx.Rollback(context.Background()))
	}
}

func TestHorizon_namesTheProcessThatHoldsItBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	first := appendOne(t, s, "a")
	conn, later := db.Connect(t), db.Connect(t)
	tx, second := begin(t, conn), begin(t, later)
	insertIn(t, tx, "b", 1)
	appendOne(t, s, "a")
	insertIn(t, second, "c", 1)
	head := appendOne(t, s, "a")
	if h, want := horizonOf(t, s), (store.Horizon{
		Position: first, Head: head,
		Holder: int(conn.PgConn().PID()),
	}); h != want {
		t.Errorf("with two appends open the horizon is %+v, want %+v", h, want)
	}
	end(t, tx, true)
	if h, want := horizonOf(t, s), (store.Horizon{
		Position: head - 2, Head: head,
		Holder: int(later.PgConn().PID()),
	}); h != want {
		t.Errorf("with the second open the horizon is %+v, want %+v", h, want)
	}
	end(t, second, false)
	if h, want := horizonOf(t, s), (store.Horizon{Position: head, Head: head}); h != want {
		t.Errorf("with none open the horizon is %+v, want %+v", h, want)
	}
}

func TestHorizon_isHeldByEveryWayToInsert(t *testing.T) {
	t.Parallel()
	ways := map[string]func(tx pgx.Tx) error{
		"multi-row": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO pupwasm.events (bounded_context,
				aggregate_type, aggregate_id, aggregate_version, event_type, payload)
				VALUES ('c', 't', 'x', 1, 'e', ''), ('c', 't', 'x', 2, 'e', '')`)
			return err
		},
		"insert from a query": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO pupwasm.events (bounded_context,
				aggregate_type, aggregate_id, aggregate_version, event_type, payload)
				SELECT 'c', 't', 'x', g, 'e', '' FROM generate_series(1, 5) g`)
			return err
		},
		"copy": func(tx pgx.Tx) error {
			_, err := tx.CopyFrom(context.Background(), pgx.Identifier{"pupwasm", "events"},
				[]string{
					"bounded_context", "aggregate_type", "aggregate_id", "aggregate_version", "event_type",
					"payload",
				},
				pgx.CopyFromRows([][]any{{"c", "t", "x", 1, "e", []byte{}}, {"c", "t", "x", 2, "e", []byte{}}}))
			return err
		},
		"within WITH": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `WITH i AS (INSERT INTO pupwasm.events (bounded_context,
				aggregate_type, aggregate_id, aggregate_version, event_type, payload)
				VALUES ('c', 't', 'x', 1, 'e', '') RETURNING 1) SELECT * FROM i`)
			return err
		},
		"within a function": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `DO $$ BEGIN
				BEGIN INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
				aggregate_version, event_type, payload) VALUES ('c', 't', 'x', 1, 'e', '');
				RAISE EXCEPTION 'no'; EXCEPTION WHEN others THEN NULL; END;
				INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
				event_type, payload) VALUES ('c', 't', 'x', 1, 'e', '');
			END $$`)
			return err
		},
		"as a replica": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `SET LOCAL session_replication_role = replica; INSERT INTO pupwasm.events
				(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload) VALUES ('c', 't', 'x', 1, 'e', '')`)
			return err
		},
		"the function append": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `SELECT pupwasm.append('c', 't', 'x', '[{"event_type": "e"}]')`)
			return err
		},
	}
	db := pgtest.New(t)
	s := open(t, db)
	for _, isolation := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		for name, insert := range ways {
			before := appendOne(t, s, "a")
			conn := db.Connect(t)
			tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation})
			must(t, err)
			_, err = tx.Exec(t.Context(), "SELECT 1") // takes the snapshot, where there is one
			must(t, err)
			appendOne(t, s, "a")
			must(t, insert(tx))
			head := appendOne(t, s, "a")
			h := horizonOf(t, s)
			if h.Position < before || h.Position >= head-1 || h.Holder != int(conn.PgConn().PID()) {
				t.Errorf("%s, %s: with the append open the horizon is %+v", name, isolation, h)
			}
			end(t, tx, false)
			if h := horizonOf(t, s); h.Position != h.Head || h.Holder != 0 {
				t.Errorf("%s, %s: after the rollback the horizon is %+v", name, isolation, h)
			}
			must(t, conn.Close(t.Context()))
		}
	}
}

func TestHorizon_isNotHeldByWhatDoesNotAppend(t *testing.T) {
	t.Parallel()
	db, other := pgtest.New(t), pgtest.New(t)
	s := open(t, db)
	execute(t, db.Connect(t), "CREATE TABLE unrelated (x int); CREATE SCHEMA second; CREATE TABLE second.events (x int)")
	idle := []struct {
		db  pgtest.Database
		sql string
	}{
		{db, "INSERT INTO unrelated VALUES (1)"},
		{db, "SELECT count(*) FROM pupwasm.events; SELECT pg_current_xact_id()"},
		{db, "UPDATE pupwasm.events SET trace_id = 'x'"},
		{db, "SELECT pg_advisory_xact_lock_shared(1), pg_advisory_lock(0, 0), pg_advisory_xact_lock(12345, 0)"},
		{other, "CREATE TABLE unrelated (x int)"},
		{other, "SELECT pupwasm.append('c', 't', 'i', '[{\"event_type\": \"e\"}]')"},
		// As if the other database's table had the same oid.
		{other, "SELECT pg_advisory_xact_lock_shared(" + ask(t, db,
			"SELECT 'pupwasm.events'::regclass::oid")[0][0] + ", 0)"},
	}
	for _, i := range idle {
		_, err := begin(t, i.db.Connect(t)).Exec(t.Context(), i.sql)
		must(t, err)
	}
	for range 3 {
		last := appendOne(t, s, "a")
		if h := horizonOf(t, s); h.Position < last || h.Holder != 0 {
			t.Errorf("after position %d the horizon is %+v", last, h)
		}
	}
}

// TestHorizon_twoLocksForManyInserts: the first statement of a transaction does not remember that it has the lock,
// the second does.
func TestHorizon_twoLocksForManyInserts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	before := appendOne(t, s, "a")
	conn := db.Connect(t)
	tx := begin(t, conn)
	const inserts = 20_000
	batch := &pgx.Batch{}
	for i := range inserts {
		batch.Queue(insertEvent, "many", i+1)
	}
	must(t, tx.SendBatch(t.Context(), batch).Close())
	wantRows(t, db, fenceLocks, "2")
	if h := horizonOf(t, s); h.Position != before || h.Head != before+inserts {
		t.Errorf("the horizon is %+v, want position %d and head %d", h, before, before+inserts)
	}
	end(t, tx, true)
	wantRows(t, db, fenceLocks, "0")
	if h := horizonOf(t, s); h.Position != before+inserts {
		t.Errorf("the horizon is %+v", h)
	}
}

func TestHorizon_savepoints(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	a := appendOne(t, s, "a")
	tx := begin(t, db.Connect(t))
	inner := func() pgx.Tx {
		savepoint, err := tx.Begin(ctx)
		must(t, err)
		return savepoint
	}
	held := func(step string, want bool, at int64) {
		t.Helper()
		h := horizonOf(t, s)
		if (h.Holder != 0) != want || h.Position != at {
			t.Errorf("%s: the horizon is %+v, want held %v at %d", step, h, want, at)
		}
	}
	savepoint := inner()
	insertIn(t, savepoint, "b", 1)
	held("an insert within a savepoint", true, a)
	must(t, savepoint.Rollback(ctx))
	held("the savepoint is rolled back", false, a+1) // its position is lost, and nothing can appear there

	b := appendOne(t, s, "a")
	savepoint = inner()
	insertIn(t, savepoint, "b", 1)
	must(t, savepoint.Commit(ctx))
	appendOne(t, s, "a")
	held("a savepoint that was kept", true, b)

	savepoint = inner()
	insertIn(t, savepoint, "b", 2)
	must(t, savepoint.Rollback(ctx))
	appendOne(t, s, "a")
	held("a later savepoint is rolled back", true, b)
	insertIn(t, tx, "b", 2)
	held("an insert after it", true, b)
	wantRows(t, db, fenceLocks, "1")
	end(t, tx, true)
	h := horizonOf(t, s)
	held("the commit", false, h.Head)
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events WHERE aggregate_id = 'b'", "2")
}

func TestHorizon_settingOfASessionDoesNotStandForTheLock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	conn := db.Connect(t)
	name := "pupwasm.fence_" + query(t, conn, "SELECT 'pupwasm.events'::regclass::oid")[0][0]
	values := []string{"", "1", "true", query(t, conn, "SELECT pg_current_xact_id()")[0][0]}
	for _, value := range values {
		execute(t, conn, fmt.Sprintf("SET %q = '%s'", name, value))
		before := horizonOf(t, s).Head
		tx := begin(t, conn)
		insertIn(t, tx, "x"+value, 1)
		appendOne(t, s, "a")
		if h := horizonOf(t, s); h.Position != before || h.Holder != int(conn.PgConn().PID()) {
			t.Errorf("with the setting %q the horizon is %+v, want %d", value, h, before)
		}
		end(t, tx, true)
	}
}

func TestHorizon_preparedTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for _, outcome := range []string{"COMMIT", "ROLLBACK"} {
		before := appendOne(t, s, "a")
		conn := db.Connect(t)
		id := "prepared_" + conn.Config().Database
		tx := begin(t, conn)
		insertIn(t, tx, outcome, 1)
		execute(t, conn, "PREPARE TRANSACTION '"+id+"'")
		must(t, conn.Close(t.Context())) // nobody is there any more
		head := appendOne(t, s, "a")
		h := horizonOf(t, s)
		named := strings.HasPrefix(h.Prepared, "prepared transaction '"+id+"' of postgres, prepared at 2") &&
			strings.HasSuffix(h.Prepared, "Z: end it with COMMIT PREPARED '"+id+"' or ROLLBACK PREPARED '"+id+"'")
		h.Prepared = ""
		if want := (store.Horizon{Position: before, Head: head}); h != want || !named {
			t.Errorf("with a prepared transaction the horizon is %+v, want %+v and its name", horizonOf(t, s), want)
		}
		var page store.Page
		peeked, err := s.Peek(t.Context(), store.ReadRequest{After: before, Limit: 10, Range: store.FullRange()}, &page)
		must(t, err)
		peeked.Log = store.LogID{}
		if peeked != horizonOf(t, s) {
			t.Errorf("a poll that reads finds %+v", peeked)
		}
		execute(t, db.Connect(t), outcome+" PREPARED '"+id+"'")
		if h := horizonOf(t, s); h.Position != head || h.Prepared != "" {
			t.Errorf("after %s PREPARED the horizon is %+v", outcome, h)
		}
	}
}

// TestHorizon_keysWrapAround moves the sequence to where the lock's key, a position modulo 2^31, starts again.
func TestHorizon_keysWrapAround(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	conn := db.Connect(t)
	for _, start := range []int64{1<<31 - 4, 1<<31 + 100, 1<<32 - 3, 3<<31 - 2, 1<<40 - 3, math.MaxInt64 - 1<<33} {
		execute(t, conn, "ALTER SEQUENCE pupwasm.events_global_position_seq RESTART WITH "+strconv.FormatInt(start, 10))
		first := appendOne(t, s, "a")
		tx := begin(t, db.Connect(t))
		insertIn(t, tx, fmt.Sprint(start), 1)
		for i := range 6 {
			last := appendOne(t, s, "a")
			if h := horizonOf(t, s); h.Position != first || h.Head != last {
				t.Errorf("%d appends after %d: the horizon is %+v, want %d", i+1, start, h, first)
			}
		}
		end(t, tx, true)
		if h := horizonOf(t, s); h.Position != h.Head || h.Head != first+7 {
			t.Errorf("from %d on: the horizon is %+v", start, h)
		}
	}
}

// TestHorizon_lockTakenAfterTheHeadWasRead has a writer lock at a position that the reader has not heard of: it
// must not be taken for one that is far behind.
func TestHorizon_lockTakenAfterTheHeadWasRead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	last := appendOne(t, s, "a")
	for _, ahead := range []int64{1, 1000, 1 << 23} {
		tx := begin(t, db.Connect(t))
		_, err := tx.Exec(t.Context(), fmt.Sprintf("SELECT pg_advisory_xact_lock_shared('pupwasm.events'::regclass::int, %d)",
			last+ahead))
		must(t, err)
		if h := horizonOf(t, s); h.Position != last || h.Holder != 0 {
			t.Errorf("with a lock %d ahead the horizon is %+v, want %d", ahead, h, last)
		}
		end(t, tx, false)
	}
}

// TestHorizon_standbyDoesNotTell: the locks of appends are not on a standby, which would let a reader pass them.
func TestHorizon_standbyDoesNotTell(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	s := open(t, pgtest.Database{DSN: server.New(t).DSN, Schema: "pupwasm", Server: server})
	appendOne(t, s, "a")
	server.Kill()
	must(t, server.Demote())
	must(t, server.Run())
	testwait.Until(t, "the standby answers", func() bool { return s.Ping(t.Context()) == nil })
	if h, err := s.Horizon(t.Context()); !errors.Is(err, store.ErrTransient) {
		t.Errorf("the horizon is %+v, %v", h, err)
	}
	if _, err := s.ReadStream(t.Context(), stream("a"), 1, 0); err != nil {
		t.Error(err)
	}
}
