package main_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestPromote_killedAtEveryStatement stops a promotion at each of its statements, one after the other, and kills the
// command, or the server, there. Each time one version is live, all views show it, both versions go on, and the next
// promotion works. A reader reads all the time.
func TestPromote_killedAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"command", "server"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			k := startPromoteKiller(t)
			interrupt := k.killCommand
			if what == "server" {
				interrupt = k.crashServer
			}
			statements := 0
			for ; k.interrupted(statements, interrupt); statements++ {
			}
			if statements < 10 {
				t.Errorf("a promotion has %d statements", statements)
			}
			if !k.interrupted(afterCommit, interrupt) {
				t.Error("the promotion was not interrupted after COMMIT")
			}
			t.Logf("a promotion was interrupted at each of %d statements", statements)
			k.writers.finish()
			k.complete(k.writers)
			k.reader.finish()
			if k.reader.reads == 0 {
				t.Error("the reader has seen no rows")
			}
		})
	}
}

// promoteKiller has a host that runs two versions of tally, which are promoted in turns.
type promoteKiller struct {
	*fleet

	tables  store.Tables
	writers *writers
	reader  *tallyReader
}

func startPromoteKiller(t *testing.T) *promoteKiller {
	t.Helper()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	k := &promoteKiller{fleet: newFleet(t, postgresDatabase(server.New(t)), "tally")}
	k.flags = []string{"--watch"}
	k.add(2).awaitLog(t, "projection installed")
	k.tables = k.db.open(t).Backend()
	k.writers = startWriters(t, k.db, 1)
	testwait.Until(t, "version 1 has rows", func() (has bool) {
		query(t, k.db.Database, `SELECT EXISTS (SELECT FROM tally.streams)`, &has)
		return has
	})
	writeModule(t, k.folder, "tally_2.wasm", tallyModule(t, 2))
	k.later = []string{"tally@2"}
	tallyAt(t, k.db, k.tables, 1, 2)
	k.reader = startTallyReader(t, k.db)
	return k
}

// promotion is the command that promotes a version.
func promotion(version int) []string {
	return []string{"promote", "tally", fmt.Sprint(version), "--keep-versions", "-1", "--timeout", testwait.Patience.String()}
}

// interrupted starts a promotion that stops at a statement, and reports false when it has ended before.
func (k *promoteKiller) interrupted(at int, interrupt func(command *process, g *gate) (killed bool)) bool {
	k.t.Helper()
	live := liveTally(k.t, k.db)
	next := 3 - live
	g := newGate(k.t, k.db.Database, at)
	command := start(k.t, g.dsn, promotion(next)...)
	reached := false
	select {
	case <-g.reached:
		reached = true
		if killed := interrupt(command, g); !killed {
			break
		}
		if got := liveTally(k.t, k.db); got != live && at != afterCommit {
			k.t.Errorf("version %d is live after a promotion from %d that was interrupted at statement %d", got, live, at)
		}
		tallyAt(k.t, k.db, k.tables, 1, 2)
		runCommand(k.t, k.db.DSN, promotion(next)...)
	case <-command.exited:
		if code := command.wait(k.t); code != 0 {
			k.t.Fatalf("the promotion exits with %d: %s", code, command.output)
		}
	}
	if got := liveTally(k.t, k.db); got != next {
		k.t.Errorf("version %d is live, %d was promoted", got, next)
	}
	tallyAt(k.t, k.db, k.tables, 1, 2)
	k.checkAlive()
	return reached && !k.t.Failed()
}

// killCommand kills the command, whose connections break with it.
func (k *promoteKiller) killCommand(command *process, g *gate) (killed bool) {
	command.signal(syscall.SIGKILL)
	<-command.exited
	g.cut()
	return true
}

// crashServer crashes the server, every other time with the command. Otherwise the command tries again.
func (k *promoteKiller) crashServer(command *process, g *gate) (killed bool) {
	k.db.Server.Kill()
	if killed = g.at%2 == 0; killed {
		command.signal(syscall.SIGKILL)
		<-command.exited
	}
	g.cut()
	restart(k.t, k.db.Server)
	if killed {
		return true
	}
	if code := command.wait(k.t); code != 0 || !strings.Contains(command.output.String(), "readers of tally see version ") {
		k.t.Errorf("the promotion exits with %d after a crash of the server: %s", code, command.output)
	}
	return false
}

// tallyAt waits until versions of tally have applied all that is in the log now.
func tallyAt(t *testing.T, db database, tables store.Tables, versions ...int) {
	t.Helper()
	var head int64
	db.one(t, "SELECT coalesce(max(global_position), 0) FROM {own}events", &head)
	for _, version := range versions {
		awaitVersion(t, tables, store.ProjectionID{Name: "tally", Version: version}, head)
	}
}

// awaitVersion waits until a version is installed and has applied all events up to a position.
func awaitVersion(t *testing.T, tables store.Tables, id store.ProjectionID, position int64) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("version %d of %s is at %d", id.Version, id.Name, position), func() bool {
		all, err := tables.Status(t.Context(), id.Name)
		if err != nil && !errors.Is(err, store.ErrTransient) {
			t.Fatal(err)
		}
		for i := range all {
			if all[i].ProjectionID == id {
				behind := func(s store.SegmentStatus) bool { return s.Position < position }
				return !slices.ContainsFunc(all[i].Segments, behind)
			}
		}
		return false
	})
}
