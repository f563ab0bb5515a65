package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// rolling has hosts with folders of their own on one database.
type rolling struct {
	*fleet

	tables  store.Tables
	folders map[string]string // by the name of a host
	writers *writers
	reader  *tallyReader
}

// TestRollingDeploy_hostsWithOtherFoldersSideBySide has hosts a, b and c with versions 1, 1 and 2, and 2 of tally. They
// are killed now and then while events come and a reader reads, and readers see version 1, 2, 1, 3, 1 and 3. In the end
// version 3, which they see, is run by no host.
func TestRollingDeploy_hostsWithOtherFoldersSideBySide(t *testing.T) {
	t.Parallel()
	r := &rolling{fleet: newFleet(t, postgresDatabase(pgtest.New(t))), folders: map[string]string{}}
	r.flags = []string{"--watch"}
	r.tables = r.db.open(t).Backend()
	r.has("a", 1)
	a := r.run("a")
	r.writers = startWriters(t, r.db, 3)
	testwait.Until(t, "version 1 has rows", func() (has bool) {
		query(t, r.db.Database, `SELECT to_regclass('tally.streams') IS NOT NULL`, &has)
		if has {
			query(t, r.db.Database, `SELECT EXISTS (SELECT FROM tally.streams)`, &has)
		}
		return has
	})
	r.reader = startTallyReader(t, r.db)
	r.has("b", 1, 2)
	b := r.run("b")
	r.promotedOnce(2)
	tallyAt(t, r.db, r.tables, 1, 2) // a goes on with 1
	a, b = r.killed(a), r.killed(b)
	r.has("c", 2)
	c := r.run("c")
	tallyAt(t, r.db, r.tables, 1, 2)
	r.rolledBack(1)

	r.replaced("b", 3, b)
	r.promotedOnce(3)
	tallyAt(t, r.db, r.tables, 1, 2, 3)
	r.rolledBack(1)
	b = r.killed(b)
	r.promotedOnce(3)
	c = r.killed(c)
	tallyAt(t, r.db, r.tables, 1, 2, 3)

	r.lost(a, b, c)
	r.writers.finish()
	r.projections, r.later = []string{"tally"}, []string{"tally@2", "tally@3"}
	r.checkPositions()
	r.checkCoverage()
	for _, h := range slices.Clone(r.hosts) {
		r.note("remove", r.terminate(h))
	}
	r.checkLogs()
	compareTally(t, r.db, readLog(t, r.db), 1, 2, 3)
	r.reader.finish()
	if r.reader.reads == 0 {
		t.Error("the reader has seen no rows")
	}
}

// has gives a host, which need not run, a folder with versions of tally.
func (r *rolling) has(host string, versions ...int) {
	r.t.Helper()
	r.folders[host] = r.t.TempDir()
	for _, version := range versions {
		r.put(host, version)
	}
}

// put gives a host a version in a file of its own.
func (r *rolling) put(host string, version int) {
	r.t.Helper()
	writeModule(r.t, r.folders[host], fmt.Sprintf("tally_%d.wasm", version), tallyModule(r.t, version))
}

// run starts a host.
func (r *rolling) run(host string) *host {
	r.t.Helper()
	r.folder = r.folders[host]
	h := r.addNamed(host, 4)
	h.awaitLog(r.t, "projection installed")
	return h
}

// killed kills a host and starts it again.
func (r *rolling) killed(h *host) *host {
	r.t.Helper()
	h.signal(syscall.SIGKILL)
	<-h.exited
	r.forget(h)
	r.note("kill -9", h.name)
	return r.run(h.name)
}

// promotedOnce promotes a version by two commands at once: one does it, and the other finds it done. Readers see it.
func (r *rolling) promotedOnce(version int) {
	r.t.Helper()
	args := []string{"promote", "tally", fmt.Sprint(version), "--when-caught-up", "--keep-versions", "-1"}
	commands := []*process{start(r.t, r.db.DSN, args...), start(r.t, r.db.DSN, args...)}
	now, already := 0, 0
	for _, command := range commands {
		if code := command.wait(r.t); code != 0 {
			r.t.Fatalf("the promotion of version %d exits with %d: %s", version, code, command.output)
		}
		now += strings.Count(command.output.String(), fmt.Sprintf("readers of tally see version %d now", version))
		already += strings.Count(command.output.String(), fmt.Sprintf("readers of tally see version %d already", version))
	}
	if now != 1 || already != 1 {
		r.t.Errorf("%d commands have promoted version %d, and %d have found it done", now, version, already)
	}
	r.live(version)
}

// rolledBack goes back to the version before.
func (r *rolling) rolledBack(version int) {
	r.t.Helper()
	runCommand(r.t, r.db.DSN, "rollback", "tally")
	r.live(version)
}

func (r *rolling) live(version int) {
	r.t.Helper()
	r.note("readers", fmt.Sprint("see version ", version))
	if got := liveTally(r.t, r.db); got != version {
		r.t.Errorf("version %d is live, want %d", got, version)
	}
	r.checkAlive()
}

// replaced has the file of version 2 of a host become another version.
func (r *rolling) replaced(host string, version int, h *host) {
	r.t.Helper()
	writeModule(r.t, r.folders[host], "tally_2.wasm", tallyModule(r.t, version))
	h.awaitLog(r.t, fmt.Sprintf(`"projection":"tally","version":2,"now":"version %d of projection tally"`, version))
	h.awaitLog(r.t, `"message":"the file is another version now, this host no longer runs the one before"`)
}

// What hosts say while no host runs the version that readers see, and when one does again.
const (
	unrunLine = `"message":"no host runs the version that readers see, and its rows stay as they are: `
	runLine   = `"message":"a host runs the version that readers see again"`
)

// says does something, and waits until each of the hosts has said a line once more.
func (r *rolling) says(line string, do func(), hosts ...*host) {
	r.t.Helper()
	said := make([]int, len(hosts))
	for i, h := range hosts {
		said[i] = strings.Count(h.output.String(), line)
	}
	do()
	for i, h := range hosts {
		h.awaitCount(r.t, line, said[i]+1)
	}
}

// lost takes version 3, which readers see, away from the last host that has it, which is b: by its file, and then with
// the host. All others say so, and what looks at them.
func (r *rolling) lost(a, b, c *host) {
	r.t.Helper()
	for _, h := range []*host{a, b, c} { // one that was killed may have been away for long
		testwait.Until(r.t, "the host sees that all is well", func() bool {
			text := h.output.String()
			return strings.Count(text, unrunLine) == strings.Count(text, runLine)
		})
	}
	r.says(unrunLine, func() {
		if err := os.Remove(filepath.Join(r.folders["b"], "tally_2.wasm")); err != nil {
			r.t.Fatal(err)
		}
	}, a, b, c)
	r.says(runLine, func() { r.put("b", 3) }, a, c)
	r.says(unrunLine, func() { r.note("remove", r.terminate(b)) }, a, c)
	testwait.Until(r.t, "the segments of version 3 wait, and no others", func() bool {
		for _, p := range readStatus(r.t, r.db).Projections {
			for _, s := range p.Segments {
				if (s.State == "waiting") != (p.Version == 3) {
					return false
				}
			}
		}
		return true
	})
	doctor := start(r.t, r.db.DSN, "doctor")
	doctor.wait(r.t)
	if text := "of tally version 3, which readers see, 4 without a host"; !strings.Contains(doctor.output.String(), text) {
		r.t.Errorf("doctor does not say %q: %s", text, doctor.output)
	}
	r.live(3)
	r.says(runLine, func() { r.run("b") }, a, c)
}
