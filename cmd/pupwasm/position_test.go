package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// beginAfter makes the log of a SQLite file, which is empty, begin after a position.
func beginAfter(t *testing.T, path string, position int64) {
	t.Helper()
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO sqlite_sequence VALUES ('pupwasm__events', ?)",
		position); err != nil {
		t.Fatal(err)
	}
}

// TestPositions_areExactBeyond32And53Bits takes positions through every command that reads or prints them.
func TestPositions_areExactBeyond32And53Bits(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{1<<31 - 3, 1<<53 - 3} {
		for _, kind := range []string{onSQLite, onPostgres, onMariaDB} {
			t.Run(fmt.Sprint(kind, " ", after), func(t *testing.T) {
				t.Parallel()
				db := newDatabase(t, kind)
				run(t, db.DSN, "migrate", "up")
				db.beginAfter(t, after)
				checkPositions(t, db.DSN, after)
			})
		}
	}
}

func checkPositions(t *testing.T, database string, after int64) {
	t.Helper()
	appendLines(t, database, "a", "b", "c", "d", "e", "f")
	last := strconv.FormatInt(after+6, 10)
	listed := func(args ...string) (positions []string) {
		for line := range strings.Lines(run(t, database, append([]string{"events", "--json"}, args...)...)) {
			var event struct {
				Position json.Number `json:"global_position"`
			}
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatal(err)
			}
			positions = append(positions, event.Position.String())
		}
		return positions
	}
	var want []string
	for i := range int64(6) {
		want = append(want, strconv.FormatInt(after+1+i, 10))
	}
	if got := listed(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("events are at %v, want %v", got, want)
	}
	if got := listed("--after", want[1], "--through", want[4]); strings.Join(got, " ") != strings.Join(want[2:5], " ") {
		t.Errorf("events after %s through %s are at %v", want[1], want[4], got)
	}
	modules := modulesFolder(t, "fine_balance")
	run(t, database, "run", "--once", modules)
	for _, args := range [][]string{{"wait", "fine_balance"}, {"wait", "fine_balance", "--position", last}} {
		if out := run(t, database, args...); out != "fine_balance has applied everything up to position "+last+"\n" {
			t.Errorf("%v says %q", args, out)
		}
	}
	if out := run(t, database, "status"); !strings.HasPrefix(out, "head "+last+"; 1 projection: ") {
		t.Errorf("status is %s", out)
	}
	var status struct {
		Head        json.Number
		Projections []struct{ Position json.Number }
	}
	if err := json.Unmarshal([]byte(run(t, database, "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if status.Head.String() != last || len(status.Projections) != 1 || status.Projections[0].Position.String() != last {
		t.Errorf("status in JSON is %+v, want %s", status, last)
	}
	// What is listed can be appended elsewhere, where they get positions of that log.
	copied := command("sqlite:"+filepath.Join(t.TempDir(), "copy.db"), "append")
	copied.Stdin = strings.NewReader(run(t, database, "events", "--json"))
	if out, err := copied.CombinedOutput(); err != nil || !strings.Contains(string(out), "6 events appended") {
		t.Errorf("append of what events lists: %v: %s", err, out)
	}
}

// TestStatus_namesThePreparedTransactionThatHoldsTheHorizon: it has no process that could be named.
func TestStatus_namesThePreparedTransactionThatHoldsTheHorizon(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	run(t, db.DSN, "migrate", "up")
	appendLines(t, db.DSN, "before")
	ctx := context.Background()
	conn := db.Connect(t)
	if _, err := conn.Exec(ctx,
		"SET pupwasm.notify = off; BEGIN; SELECT pupwasm.append('C', 'T', 'open', '[{\"event_type\":\"E\"}]'); PREPARE TRANSACTION 'forgotten'"); err != nil {
		t.Fatal(err)
	}
	appendLines(t, db.DSN, "after")
	const named = "prepared transaction 'forgotten' of postgres, prepared at 2"
	const advice = "end it with COMMIT PREPARED 'forgotten' or ROLLBACK PREPARED 'forgotten'"
	if out := run(t, db.DSN, "status"); !strings.HasPrefix(out, "head 3, horizon 1; ") || !strings.Contains(out, "\nhorizon: held back by "+named) ||
		!strings.Contains(out, advice+"\n") {
		t.Errorf("status is %s", out)
	}
	if out := run(t, db.DSN, "status", "--json"); !strings.Contains(out, `"horizon_prepared": "`+named) {
		t.Errorf("status in JSON is %s", out)
	}
	if _, err := conn.Exec(ctx, "ROLLBACK PREPARED 'forgotten'"); err != nil {
		t.Fatal(err)
	}
	if out := run(t, db.DSN, "status"); !strings.HasPrefix(out, "head 3; ") {
		t.Errorf("status is %s", out)
	}
}

// TestRun_refusesALogThatMayLoseEvents says what is wrong and what fixes it, and runs when it is fixed.
func TestRun_refusesALogThatMayLoseEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	modules := modulesFolder(t, "fine_balance")
	execute := func(statement string) {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	execute("ALTER SEQUENCE pupwasm.events_global_position_seq CACHE 20")
	const remedy = `ALTER SEQUENCE "pupwasm".events_global_position_seq CACHE 1`
	for _, args := range [][]string{{"run", modules}, {"run", "--once", modules}, {"migrate", "up"}} {
		out, err := command(db.DSN, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "pupwasm: ") ||
			!strings.Contains(string(out), "the log may lose events: ") || !strings.Contains(string(out), "CACHE 20") ||
			!strings.Contains(string(out), remedy) {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	out, err := command(db.DSN, "status").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "log is not safe: ") || !strings.Contains(string(out), remedy) {
		t.Errorf("status: %v: %s", err, out)
	}
	execute(remedy)
	run(t, db.DSN, "run", "--once", modules)
	if out := run(t, db.DSN, "status"); strings.Contains(out, "not safe") {
		t.Errorf("status is %s", out)
	}
}
