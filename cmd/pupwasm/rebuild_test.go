package main_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestRebuild_killed has rows damaged by hand and built again, while events come and a reader reads. A host is killed when
// the build has begun, and so is the command. Another host comes, and the command is given again.
func TestRebuild_killed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, postgresDatabase(pgtest.New(t)), "tally")
	f.flags = []string{"--watch"}
	f.add(2).awaitLog(t, "projection installed")
	f.add(2).awaitLog(t, "projection installed")
	w := startWriters(t, f.db, 1)
	testwait.Until(t, "there are rows", func() (has bool) {
		query(t, f.db.Database, `SELECT count(*) > 20 FROM tally.streams`, &has)
		return has
	})
	damage(t, f.db.Database)
	reader := startTallyReader(t, f.db)
	tables := f.db.open(t).Backend()
	builds := func() []store.ProjectionID {
		all, err := tables.Status(t.Context(), "tally")
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]store.ProjectionID, len(all))
		for i := range all {
			ids[i] = all[i].ProjectionID
		}
		return ids
	}
	runCommand(t, f.db.DSN, "pause", "tally") // so that the build begins, and waits
	runCommand(t, f.db.DSN, "rebuild", "tally", "--no-wait")
	begun := store.ProjectionID{Name: "tally", Version: 1, Build: 2}
	testwait.Until(t, "the build has begun", func() bool { return slices.Contains(builds(), begun) })
	killed := f.hosts[0]
	killed.signal(syscall.SIGKILL)
	<-killed.exited
	f.forget(killed)
	runCommand(t, f.db.DSN, "resume", "tally")
	command := start(t, f.db.DSN, "rebuild", "tally")
	command.awaitLog(t, "waiting until hosts have built it")
	command.signal(syscall.SIGKILL)
	<-command.exited
	third := f.add(2)
	output := runCommand(t, f.db.DSN, "rebuild", "tally")
	if !strings.Contains(output, "is retired") || strings.Contains(output, "version 1 is kept") {
		t.Errorf("the command says %s", output)
	}
	if ids := builds(); len(ids) != 1 || ids[0].Build == 0 {
		t.Errorf("there are %+v", ids)
	}
	w.finish()
	reader.finish()
	if reader.reads == 0 {
		t.Error("the reader has seen no rows")
	}
	third.awaitLog(t, "projection installed") // it may have come when the others had built everything
	for len(f.hosts) > 1 {                    // one goes on alone
		f.note("remove", f.terminate(f.hosts[0]))
	}
	runCommand(t, f.db.DSN, "wait", "tally", "--timeout", testwait.Patience.String())
	last := builds()[0]
	compareTallyRows(t, f.db, readLog(t, f.db), "tally", store.PlaceOf(store.DefaultSchema, last).Tables)
	f.note("remove", f.terminate(f.hosts[0]))
	f.checkLogs()
}

// damage makes all rows of version 1 wrong, as somebody does by hand.
func damage(t *testing.T, db pgtest.Database) {
	t.Helper()
	var changed int
	query(t, db, `WITH a AS (UPDATE tally__v1.streams SET events = -1000 RETURNING 1),
		b AS (UPDATE tally__v1.twin SET events = -1000 RETURNING 1)
		SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)`, &changed)
	if changed == 0 {
		t.Fatal("there are no rows")
	}
}
