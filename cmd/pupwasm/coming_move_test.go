package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

func TestComing_copyInOneDatabase(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	for _, c := range []struct {
		name, schema, table string
		older               bool
	}{
		{"tables of today", "core.postgres.sql", "public.events", false},
		{"a table of another name", "core.postgres.sql", `"our shop"."domain events"`, false},
		{"tables without bounded contexts", "older.postgres.sql", "public.events", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			events := theirEvents(200, c.older)
			db, conn := theirPostgres(t, c.schema, events)
			adapt := func(script string) string {
				if c.older {
					script = strings.ReplaceAll(script, "e.bounded_context", "'Shop'")
				}
				return strings.ReplaceAll(script, "public.events", c.table)
			}
			if c.table != "public.events" {
				execute(t, conn, `CREATE SCHEMA "our shop"; ALTER TABLE events SET SCHEMA "our shop";
					ALTER TABLE "our shop".events RENAME TO "domain events"`)
			}
			if found := printed(t, conn, adapt(pageBlock(t, page, lookFirst, "sql"))); found != "" {
				t.Errorf("the first look finds %s", found)
			}
			for range 2 {
				execute(t, conn, adapt(pageBlock(t, page, copyScript, "sql")), pgx.QueryExecModeSimpleProtocol)
				assertMoved(t, db.DSN, events, "Shop")
				if found := printed(t, conn, adapt(pageBlock(t, page, checkScript, "sql"))); found != "" {
					t.Errorf("the check finds %s", found)
				}
			}
			assertPrintsTheSame(t, "DO\n", adapt(pageBlock(t, page, copyScript, "sql")),
				"psql", db.DSN, "-X", "-v", "ON_ERROR_STOP=1")
			perStreamIsTheSame(t, page, conn, adapt)
		})
	}
}

// perStreamIsTheSame compares what the page's last query prints there and here.
func perStreamIsTheSame(t *testing.T, page string, conn *pgx.Conn, adapt func(string) string) {
	t.Helper()
	query := pageBlock(t, page, perStream, "sql")
	there := printed(t, conn, adapt(query))
	here := printed(t, conn, strings.ReplaceAll(query, "public.events", "pupwasm.events"))
	if there != here || there == "" {
		t.Errorf("streams there:\n%s\nand here:\n%s", there, here)
	}
}

func TestComing_theCheckFindsEachDifference(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	_, conn := theirPostgres(t, "core.postgres.sql", theirEvents(20, false))
	execute(t, conn, pageBlock(t, page, copyScript, "sql"), pgx.QueryExecModeSimpleProtocol)
	for _, change := range []string{
		"bounded_context = 'x'", "aggregate_type = 'x'", "aggregate_id = 'x'", "aggregate_version = 99", "event_type = 'x'",
		"event_version = 99", "payload = 'x'", `metadata = '{"x":1}'`, "trace_id = 'x'",
		"correlation_id = 'x'", "causation_id = 'x'", "created_at = '2000-01-01'", "event_id = gen_random_uuid()",
		"global_position = 99",
	} {
		execute(t, conn, "BEGIN")
		execute(t, conn, "UPDATE events SET "+change+" WHERE global_position = 3")
		if printed(t, conn, pageBlock(t, page, checkScript, "sql")) == "" {
			t.Errorf("%s is not found", change)
		}
		execute(t, conn, "ROLLBACK")
	}
	for _, change := range []string{
		"DELETE FROM events WHERE global_position = 20", "DELETE FROM pupwasm.events WHERE event_type = 'Event1'",
	} {
		execute(t, conn, "BEGIN")
		execute(t, conn, change)
		if printed(t, conn, pageBlock(t, page, checkScript, "sql")) == "" {
			t.Errorf("%s is not found", change)
		}
		execute(t, conn, "ROLLBACK")
	}
	execute(t, conn, "UPDATE events SET aggregate_version = 99 WHERE global_position = 3")
	if printed(t, conn, pageBlock(t, page, lookFirst, "sql")) == "" {
		t.Error("the first look does not find a version that is too high")
	}
}

// TestComing_aCopyBesideOtherEvents copies again after somebody has appended here.
func TestComing_aCopyBesideOtherEvents(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	events := theirEvents(50, false)
	db, conn := theirPostgres(t, "core.postgres.sql", events[:40])
	execute(t, conn, pageBlock(t, page, copyScript, "sql"), pgx.QueryExecModeSimpleProtocol)
	feedAppend(t, db.DSN, `{"bounded_context":"New","aggregate_type":"T","aggregate_id":"1","event_type":"E"}`)
	for _, e := range events[40:] {
		insertTheirs(t, conn, e)
	}
	execute(t, conn, pageBlock(t, page, copyScript, "sql"), pgx.QueryExecModeSimpleProtocol)
	if got := printed(t, conn, "SELECT count(*), count(DISTINCT event_id) FROM pupwasm.events"); got != "51|51\n" {
		t.Errorf("%s events are there", got)
	}
}

// TestComing_aCopyThatIsKilledGoesOn kills the copy while it waits for a row in the middle of the log.
func TestComing_aCopyThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	events := theirEvents(300, false)
	db, conn := theirPostgres(t, "core.postgres.sql", events)
	script := strings.ReplaceAll(pageBlock(t, page, copyScript, "sql"), "LIMIT 10000", "LIMIT 20")
	inTheWay := db.Connect(t)
	execute(t, inTheWay, "BEGIN")
	execute(t, inTheWay, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
		event_id, event_type, payload) VALUES ('x', 'x', 'x', 1, $1, 'x', '')`, events[150].eventID)
	copying := db.Connect(t)
	var ended sync.WaitGroup
	ended.Go(func() {
		if _, err := copying.Exec(context.Background(), script, pgx.QueryExecModeSimpleProtocol); err == nil {
			t.Error("the copy was not killed")
		}
	})
	testwait.Until(t, "the copy waits in the middle", func() bool {
		return waitsForALock(t, conn, copying)
	})
	execute(t, conn, `SELECT pg_terminate_backend($1)`, copying.PgConn().PID())
	ended.Wait()
	execute(t, inTheWay, "ROLLBACK")
	if copied := printed(t, conn, "SELECT count(*) FROM pupwasm.events"); copied != "140\n" {
		t.Fatalf("it has copied %s before it was killed", copied)
	}
	execute(t, conn, script, pgx.QueryExecModeSimpleProtocol)
	assertMoved(t, db.DSN, events, "")
}

// waitsForALock reports whether another connection does.
func waitsForALock(t *testing.T, conn, other *pgx.Conn) bool {
	t.Helper()
	query := fmt.Sprintf("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %d", other.PgConn().PID())
	return printed(t, conn, query) == "Lock\n"
}

// TestComing_writersMayAppendWhileEventsAreCopied has an append that drew its position first and commits last.
func TestComing_writersMayAppendWhileEventsAreCopied(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	events := theirEvents(60, false)
	db, conn := theirPostgres(t, "core.postgres.sql", events[:40])
	script := pageBlock(t, page, copyScript, "sql")
	execute(t, conn, script, pgx.QueryExecModeSimpleProtocol)
	late, copying := db.Connect(t), db.Connect(t)
	execute(t, late, "BEGIN")
	insertTheirs(t, late, events[40])
	for _, e := range events[41:50] {
		if e.context != events[40].context || e.kind != events[40].kind || e.id != events[40].id {
			insertTheirs(t, conn, e)
		}
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if _, err := copying.Exec(context.Background(), script, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Error(err)
		}
	})
	testwait.Until(t, "the copy waits for the append", func() bool {
		return waitsForALock(t, conn, copying)
	})
	execute(t, late, "COMMIT")
	ended.Wait()
	if found := printed(t, conn, pageBlock(t, page, checkScript, "sql")); found != "" {
		t.Errorf("the check finds %s", found)
	}
}

func TestComing_linesBetweenDatabases(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	t.Run("from PostgreSQL", func(t *testing.T) {
		t.Parallel()
		for _, older := range []bool{false, true} {
			events := theirEvents(120, older)
			schema, script := "core.postgres.sql", pageBlock(t, page, exportScript, "sql")
			if older {
				schema, script = "older.postgres.sql", strings.ReplaceAll(script, "e.bounded_context", "'Shop'")
			}
			old, conn := theirPostgres(t, schema, events)
			lines := printed(t, conn, script)
			assertPrintsTheSame(t, lines, script, "psql", old.DSN, "-XAt", "-v", "FETCH_COUNT=10000")
			eachDatabase(t, func(t *testing.T, database string) { moveLines(t, database, lines, events) })
		}
	})
	t.Run("from SQLite", func(t *testing.T) {
		t.Parallel()
		events := theirEvents(120, false)
		old := theirSQLite(t, events)
		script := pageBlock(t, page, exportSQLite, "sql")
		lines := printedBySQLite(t, old, script)
		var file string
		if err := old.QueryRow(`SELECT file FROM pragma_database_list`).Scan(&file); err != nil {
			t.Fatal(err)
		}
		// Versions of the program before 3.41 have no base64.
		script = strings.ReplaceAll(script, "base64(", "hex(")
		assertPrintsTheSame(t, printedBySQLite(t, old, script), script, "sqlite3", "-list", "-noheader", file)
		eachDatabase(t, func(t *testing.T, database string) { moveLines(t, database, lines, events) })
	})
}

// moveLines appends the lines of events, first half of them in a program that is killed, then twice all.
func moveLines(t *testing.T, database, lines string, events []theirEvent) {
	t.Helper()
	feedAppend(t, database, lines, "--check")
	cmd := command(database, "append", "--batch", "20")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	half := slices.Collect(strings.Lines(lines))[:60]
	if _, err := in.Write([]byte(strings.Join(half, ""))); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "some events are stored", func() bool {
		out, err := command(database, "events", "--json", "--limit", "1").Output()
		return err == nil && len(out) > 0
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for range 2 {
		feedAppend(t, database, lines)
		assertMoved(t, database, events, "Shop")
	}
}
