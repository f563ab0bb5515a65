package main_test

import (
	"bufio"
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestEvents_followShowsNewEventsUntilInterrupted(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		run(t, database, "migrate", "up")
		appendLines(t, database, "one")

		cmd := command(database, "events", "--follow", "--after", "0", "--poll", "5ms", "--json")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, id := range []string{"one", "two", "three"} {
			if id != "one" {
				appendLines(t, database, id)
			}
			if !lines.Scan() || !strings.Contains(lines.Text(), `"aggregate_id":"`+id+`"`) {
				t.Fatalf("the next event is %q, must be %s", lines.Text(), id)
			}
		}
		_ = cmd.Process.Signal(syscall.SIGINT)
		if lines.Scan() {
			t.Errorf("another line: %s", lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func appendLines(t *testing.T, database string, ids ...string) {
	t.Helper()
	cmd := command(database, "append", "-")
	text := ""
	for _, id := range ids {
		text += `{"bounded_context":"C","aggregate_type":"T","aggregate_id":"` + id + `","event_type":"E"}` + "\n"
	}
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestEvents_stopsAtTheHorizonAndStatusNamesWhoHoldsIt(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	run(t, db.DSN, "migrate", "up")
	appendLines(t, db.DSN, "before")

	ctx := context.Background()
	conn := db.Connect(t)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const insert = `SELECT pupwasm.append('C', 'T', 'open', '[{"event_type":"E","payload":{}}]'::json)`
	if _, err := tx.Exec(ctx, insert); err != nil {
		t.Fatal(err)
	}
	appendLines(t, db.DSN, "after")
	if events := run(t, db.DSN, "events"); !strings.Contains(events, "C/T/before") ||
		strings.Contains(events, "C/T/after") {
		t.Errorf("events beside an open append are shown: %s", events)
	}
	var pid int
	if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	status := run(t, db.DSN, "status")
	if !strings.HasPrefix(status, "head 3, horizon 1; ") ||
		!strings.Contains(status, "\nhorizon: process "+strconv.Itoa(pid)+" of the database holds it back") {
		t.Errorf("status is %s", status)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if events := run(t, db.DSN, "events"); strings.Count(events, "C/T/") != 3 {
		t.Errorf("events after the commit: %s", events)
	}
	if status := run(t, db.DSN, "status"); !strings.HasPrefix(status, "head 3; ") {
		t.Errorf("status is %s", status)
	}
}

// ageRule finds the age in a line of status, which depends on how long the test takes.
var ageRule = regexp.MustCompile(` [0-9]+s ((?:0 )?(?:running|waiting|failed))`)

func TestStatus_showsEverySegmentAndResetForgetsThem(t *testing.T) {
	t.Parallel()
	reason := "event 2: no" + strings.Repeat(", and no again", 12) // it has its own line, below the table
	path := filepath.Join(t.TempDir(), "events.db")
	database := "sqlite:" + path
	run(t, database, "migrate", "up")
	appendLines(t, database, "one", "two")

	ctx := context.Background()
	opened, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	to := opened.Backend()
	projection := &store.Projection{Name: "names", Version: 3, Tables: []store.Table{{
		Name: "names", Key: []string{"name"}, Columns: []store.Column{{Name: "name", Type: store.Type{Kind: store.KindText}}},
	}}}
	if err := projection.Validate(); err != nil {
		t.Fatal(err)
	}
	catalogue, err := to.Install(ctx, projection, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Heartbeat(ctx, store.Worker{Name: "worker-1"}, 1e15); err != nil {
		t.Fatal(err)
	}
	claims, err := to.Claim(ctx, store.ClaimRequest{Projection: projection.ID(), Worker: "worker-1", Limit: 2})
	if err != nil || len(claims) != 2 {
		t.Fatal(claims, err)
	}
	if err := catalogue.Begin(claims[0]).Commit(ctx, store.Commit{Through: 2, Log: claims[0].Applied.Log}); err != nil {
		t.Fatal(err)
	}
	if err := to.Fail(ctx, claims[1], reason); err != nil {
		t.Fatal(err)
	}

	want := []string{
		"head 2; 1 projection: 1 not working; 1 host", "",
		"PROJECTION VER SEGMENTS BEHIND AGE PARKED STATE",
		"names 3 3 2 0s 0 failed", "",
		"SEGMENT POSITION BEHIND AGE STATE OWNER",
		"0 2 0 0s running worker-1",
		"1 0 2 0s failed -",
		"2 0 2 0s waiting -",
		"", "names, segment 1 failed: " + reason,
	}
	lines := strings.Split(strings.TrimSpace(run(t, database, "status", "names")), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
		lines[i] = ageRule.ReplaceAllString(lines[i], " 0s $1")
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("status is\n%s\nmust be\n%s", got, strings.Join(want, "\n"))
	}
	if report := run(t, database, "status", "--json", "names"); !strings.Contains(report, `"state": "running"`) {
		t.Errorf("JSON is %s", report)
	}

	if out, err := command(database, "reset", "names", "--yes").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "is run by worker worker-1") {
		t.Errorf("reset of a projection that runs: %v: %s", err, out)
	}
	if err := to.Leave(ctx, store.Worker{Name: "worker-1"}); err != nil {
		t.Fatal(err)
	}
	if out := run(t, database, "reset", "names", "--yes"); out != "names is reset\n" {
		t.Errorf("reset says %q", out)
	}
	if status := run(t, database, "status"); !strings.Contains(status, "no projection is known") {
		t.Errorf("status after the reset is %s", status)
	}
}
