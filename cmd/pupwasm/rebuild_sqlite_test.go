package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestRebuild_killedOnSQLite has rows damaged by hand and built again, while a reader reads. The host is killed when the
// build has begun, and again in the middle of it.
func TestRebuild_killedOnSQLite(t *testing.T) {
	t.Parallel()
	const streams, rounds = 20, 200
	folder := t.TempDir()
	path := filepath.Join(folder, "events.db")
	database := "sqlite:" + path
	writeModule(t, folder, "tally.wasm", tallyModule(t, 1))
	var events strings.Builder
	for n := range streams * rounds {
		fmt.Fprintf(&events, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":"n%d","event_type":"Noted","payload":{}}`+"\n",
			n%streams)
	}
	write(t, filepath.Join(folder, "events.jsonl"), []byte(events.String()))
	runCommand(t, database, "append", filepath.Join(folder, "events.jsonl"))
	host := func() *process {
		return start(t, database, "run", folder, "--worker-name", "w", "--batch", "20", "--commit-events", "20", "--rebalance", "50ms",
			"--log-level", "debug")
	}
	kill := func(h *process) {
		h.signal(syscall.SIGKILL)
		<-h.exited
	}
	h := host()
	runCommand(t, database, "wait", "tally", "--grace", testwait.Patience.String())
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	changeByHand(t, db, `UPDATE tally__v1__streams SET events = -1`)
	changeByHand(t, db, `DELETE FROM tally__v1__twin WHERE stream <> 'n1'`)
	finish := readRows(t, db, streams)

	opened, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	// at returns the checkpoint of the build that is furthest ahead, or -1.
	at := func() (position int64) {
		all, err := opened.Backend().Status(t.Context(), "tally")
		if err != nil {
			t.Fatal(err)
		}
		position = -1
		for i := range all {
			for _, s := range all[i].Segments {
				if all[i].ProjectionID == (store.ProjectionID{Name: "tally", Version: 1, Build: 2}) {
					position = max(position, s.Position)
				}
			}
		}
		return position
	}
	runCommand(t, database, "pause", "tally")
	runCommand(t, database, "rebuild", "tally", "--no-wait")
	testwait.Until(t, "the build has begun", func() bool { return at() == 0 })
	kill(h)
	runCommand(t, database, "resume", "tally")
	h = host()
	testwait.Until(t, "the build has rows", func() bool { return at() > 0 })
	kill(h)
	t.Logf("killed at position %d", at())
	h = host()
	h.awaitLog(t, `"version":"1b2","module":"tally.wasm"`)
	output := runCommand(t, database, "rebuild", "tally")
	if !strings.Contains(output, "readers of tally see version 1b2 now, before it was version 1\n") ||
		!strings.Contains(output, "version 1 of tally is retired\n") {
		t.Errorf("the command says %s", output)
	}
	finish()
	for _, table := range []string{"streams", "twin"} {
		var rows, wrong int
		if err := db.QueryRow(`SELECT count(*), count(*) FILTER (WHERE events <> ?) FROM tally__`+table, rounds).Scan(&rows, &wrong); err != nil {
			t.Fatal(err)
		}
		if rows != streams || wrong > 0 {
			t.Errorf("of %d rows of %s %d are wrong", rows, table, wrong)
		}
	}
	h.signal(syscall.SIGTERM)
	if code := h.wait(t); code != 0 || strings.Contains(h.output.String(), `"level":"error"`) {
		t.Errorf("the host ends with %d: %s", code, h.output)
	}
}

func changeByHand(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// readRows reads the view of streams all the time until what it returns is called. It must always have so many rows.
func readRows(t *testing.T, db *sql.DB, rows int) (finish func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	reads := 0
	reading.Go(func() {
		tick := time.NewTicker(readerPace)
		defer tick.Stop()
		for ctx.Err() == nil {
			var n int
			if err := db.QueryRowContext(ctx, "SELECT count(*) FROM tally__streams").Scan(&n); ctx.Err() == nil && (err != nil || n != rows) {
				t.Errorf("a reader sees %d rows: %v", n, err)
				return
			}
			reads++
			<-tick.C
		}
	})
	return func() {
		t.Helper()
		stop()
		reading.Wait()
		if reads == 0 {
			t.Error("the reader has seen no rows")
		}
	}
}
