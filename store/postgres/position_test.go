package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// insertAt writes an event with a position of the writer's choice.
const insertAt = `INSERT INTO pupwasm.events (global_position, bounded_context, aggregate_type, aggregate_id,
	aggregate_version, event_type, payload)
	OVERRIDING SYSTEM VALUE VALUES ($1, 'shop', 'order', 'x', 1, 'inserted', '')`

func copyAt(conn *pgx.Conn, position int64) error {
	_, err := conn.CopyFrom(context.Background(), pgx.Identifier{"pupwasm", "events"},
		[]string{
			"global_position", "bounded_context", "aggregate_type", "aggregate_id", "aggregate_version",
			"event_type", "payload",
		},
		pgx.CopyFromRows([][]any{{position, "shop", "order", "x", 1, "copied", []byte{}}}))
	return err
}

// refuses wants an error of one line that has the words.
func refuses(t testing.TB, what string, err error, words ...string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || strings.Contains(pg.Message, "\n") {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(pg.Message, word) {
			t.Errorf("%s: %q does not say %q", what, pg.Message, word)
		}
	}
}

// TestPosition_cannotBeGiven leaves gaps that readers have passed, and tries to fill them and to write beyond the end.
func TestPosition_cannotBeGiven(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{0, 1<<31 - 3, 1<<53 - 3} {
		db := pgtest.New(t)
		db.BeginAfter(t, after)
		s, conn := open(t, db), db.Connect(t)
		first := appendOne(t, s, "a")
		tx := begin(t, conn)
		insertIn(t, tx, "gap", 1)
		end(t, tx, false)
		last := appendOne(t, s, "a")
		gap := first + 1
		if last != gap+1 {
			t.Fatalf("the gap is not between %d and %d", first, last)
		}
		fresh := db.Connect(t)
		for _, session := range []struct {
			name string
			conn *pgx.Conn
		}{{"the session that drew it", conn}, {"a session that is new", fresh}} {
			for _, position := range []int64{gap, last + 1, last + 1<<40, 0, -1} {
				_, err := session.conn.Exec(t.Context(), insertAt, position)
				refuses(t, "INSERT by "+session.name, err, "cannot be given position", "leave global_position out")
				refuses(t, "COPY by "+session.name, copyAt(session.conn, position), "cannot be given position",
					"leave global_position out")
			}
			tx := begin(t, session.conn)
			_, err := tx.Exec(t.Context(), "SET LOCAL session_replication_role = replica")
			must(t, err)
			_, err = tx.Exec(t.Context(), insertAt, gap)
			refuses(t, "INSERT as a replica", err, "cannot be given position")
			end(t, tx, false)
			tx = begin(t, session.conn)
			insertIn(t, tx, "before", 1)
			_, err = tx.Exec(t.Context(), insertAt, gap)
			refuses(t, "INSERT behind one that is right", err, "cannot be given position")
			end(t, tx, false)
		}
		wantRows(t, db, "SELECT count(*) FROM pupwasm.events", "2")
		must(t, s.CheckLog(t.Context()))
	}
}

func TestPosition_cannotBeChanged(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, conn := open(t, db), db.Connect(t)
	appendOne(t, s, "a")
	for _, statement := range []string{
		"UPDATE pupwasm.events SET global_position = DEFAULT",
		`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
			event_type, payload)
			VALUES ('shop', 'order', 'a', 1, 'e', '') ON CONFLICT
			ON CONSTRAINT events_stream_version_key DO UPDATE SET global_position = DEFAULT`,
		"MERGE INTO pupwasm.events e USING (VALUES (1)) v (x) ON e.aggregate_version = v.x WHEN MATCHED THEN " +
			"UPDATE SET global_position = DEFAULT",
	} {
		_, err := conn.Exec(t.Context(), statement)
		refuses(t, statement, err, "cannot be moved")
	}
	execute(t, conn, "UPDATE pupwasm.events SET trace_id = 'x', payload = 'redacted'")
	wantRows(t, db, "SELECT global_position, trace_id FROM pupwasm.events", "1 x")
}

// TestPosition_drawnInEveryWayIsTaken has a trigger append within an append, before the row that it is of is there.
func TestPosition_drawnInEveryWayIsTaken(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, conn := open(t, db), db.Connect(t)
	execute(t, conn, `CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.event_type <> 'audited' THEN
			INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
			event_type, payload)
				VALUES ('shop', 'audit', NEW.aggregate_id || NEW.aggregate_version, 1, 'audited', '');
		END IF;
		RETURN NEW;
	END $$`)
	for _, name := range []string{"a_first", "zz_last"} {
		execute(t, conn, "CREATE TRIGGER "+name+" BEFORE INSERT ON pupwasm.events FOR EACH ROW EXECUTE FUNCTION audit()")
		tx := begin(t, conn)
		for i := range 3 {
			insertIn(t, tx, name, i+1)
		}
		end(t, tx, true)
		tx = begin(t, conn)
		savepoint, err := tx.Begin(t.Context())
		must(t, err)
		insertIn(t, savepoint, name, 4)
		end(t, savepoint, false)
		insertIn(t, tx, name, 4)
		end(t, tx, true)
		execute(t, conn, "DROP TRIGGER "+name+" ON pupwasm.events")
	}
	wantRows(t, db, "SELECT event_type, count(*) FROM pupwasm.events GROUP BY 1 ORDER BY 1", "audited 8;inserted 8")
	if h := horizonOf(t, s); h.Position != h.Head {
		t.Errorf("the horizon is %+v", h)
	}
}

// TestPosition_ofACachedSequence: the second append of a connection would get a position that readers have passed.
func TestPosition_ofACachedSequence(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, conn := open(t, db), db.Connect(t)
	execute(t, conn, "ALTER SEQUENCE pupwasm.events_global_position_seq CACHE 10")
	execute(t, conn, strings.NewReplacer("$1", "'x'", "$2", "1").Replace(insertEvent))
	_, err := conn.Exec(t.Context(), insertEvent, "x", 2)
	refuses(t, "a position from the cache", err, "CACHE 10",
		`ALTER SEQUENCE "pupwasm".events_global_position_seq CACHE 1`)
	execute(t, conn, "ALTER SEQUENCE pupwasm.events_global_position_seq CACHE 1")
	must(t, s.CheckLog(t.Context()))
	last := appendOne(t, s, "a")
	if h := horizonOf(t, s); h.Position != last {
		t.Errorf("the horizon is %+v after position %d", h, last)
	}
}

// TestPosition_ofAnotherLogIsNotReplicated lets logical replication bring an event of another log.
func TestPosition_ofAnotherLogIsNotReplicated(t *testing.T) {
	t.Parallel()
	server, err := pgtest.StartDurable("wal_level=logical", "fsync=off")
	must(t, err)
	t.Cleanup(server.Stop)
	from, to := server.New(t), server.New(t)
	execute(t, from.Connect(t), "CREATE PUBLICATION away FOR TABLE pupwasm.events")
	execute(t, from.Connect(t), "SELECT pg_create_logical_replication_slot('away', 'pgoutput')")
	target := to.Connect(t)
	execute(t, target, "CREATE SUBSCRIPTION back CONNECTION '"+from.DSN+
		"' PUBLICATION away WITH (create_slot = false, slot_name = 'away', copy_data = false, disable_on_error = true)")
	t.Cleanup(func() { // a database with a subscription cannot be dropped
		for _, statement := range []string{
			"ALTER SUBSCRIPTION back DISABLE", "ALTER SUBSCRIPTION back SET (slot_name = NONE)",
			"DROP SUBSCRIPTION back",
		} {
			execute(t, target, statement)
		}
	})
	s := open(t, to)
	appendOne(t, s, "a")
	appendOne(t, open(t, from), "b")
	testwait.Until(t, "the replication stops", func() bool {
		return query(t, target, "SELECT NOT subenabled FROM pg_subscription")[0][0] == "t"
	})
	wantRows(t, to, "SELECT aggregate_id FROM pupwasm.events", "a")
	wantFault(t, s, "subscription back replicates into", "ALTER SUBSCRIPTION back REFRESH PUBLICATION")
}

// wantFault wants exactly one fault, with the words.
func wantFault(t testing.TB, s postgres.Backend, words ...string) store.LogFault {
	t.Helper()
	var unsafe *store.UnsafeLogError
	if err := s.CheckLog(context.Background()); !errors.As(err, &unsafe) || len(unsafe.Faults) != 1 ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("the check says %v", err)
		return store.LogFault{}
	}
	for _, word := range words {
		if !strings.Contains(unsafe.Faults[0].String(), word) {
			t.Errorf("%q does not say %q", unsafe.Faults[0], word)
		}
	}
	return unsafe.Faults[0]
}
