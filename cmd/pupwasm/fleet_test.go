package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// fleet is a number of hosts, as processes, that run the same projections on one database.
type fleet struct {
	t           *testing.T
	db          database
	log         []string // the flag that names the log, where it is in another database
	flags       []string // of hosts, besides hostFlags
	projections []string
	later       []string // further versions of them, as commands name them
	folder      string
	began       time.Time
	hosts       []*host // that are to be at work
	gone        []*host
}

// host is a process of 'pupwasm run'.
type host struct {
	*process

	name string
	thaw time.Time // it is stopped until then
}

// allProjections are three with a subscription each of its own.
var allProjections = []string{"order_check", "fine_balance", "user_counter"}

// testProjections are modules that only tests have.
var testProjections = append([]string{"order_check"}, byCustomer...)

// versioned are modules of tests of which there are several versions.
var versioned = []string{"tally"}

// newFleet has no hosts yet.
func newFleet(t *testing.T, db database, projections ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, db: db, projections: projections, folder: t.TempDir(), began: time.Now()}
	for _, name := range projections {
		source := name
		if slices.Contains(testProjections, name) {
			source = filepath.Join("testdata", name)
		}
		if slices.Contains(versioned, name) {
			source = filepath.Join("testdata", name+"_1")
		}
		writeModule(t, f.folder, name+".wasm", guestbuild.Example(t, guestbuild.Go, source))
	}
	t.Cleanup(f.keepLogs)
	return f
}

// installs is how many modules a host installs.
func (f *fleet) installs() int { return len(f.projections) + len(f.later) }

func (f *fleet) note(action, what string) {
	f.t.Helper()
	f.t.Logf("%7.3fs %s: %s", time.Since(f.began).Seconds(), action, what)
}

// hostLease is short, so that much happens in little time.
const hostLease = time.Second

// hostFlags make a host quick to notice and to act.
var hostFlags = []string{
	"--lease", hostLease.String(), "--heartbeat", "200ms", "--rebalance", "100ms", "--poll", "5ms", "--poll-max", "100ms", "--batch", "50",
	"--connections", "4", "--retry-min", "20ms", "--retry-max", "300ms", "--log-level", "debug",
}

// add starts a host, with --segments unless it is 0.
func (f *fleet) add(segments int) *host {
	f.t.Helper()
	return f.addNamed(fmt.Sprint("host-", len(f.hosts)+len(f.gone)+1), segments)
}

func (f *fleet) addNamed(name string, segments int) *host {
	f.t.Helper()
	h := &host{name: name, process: start(f.t, f.db.DSN,
		append([]string{"run", f.folder, "--worker-name", name, "--segments", fmt.Sprint(segments)}, slices.Concat(f.log, f.flags, hostFlags)...)...)}
	f.hosts = append(f.hosts, h)
	return h
}

// running tells that the host has begun to work and is not stopped.
func (h *host) running() bool {
	return time.Now().After(h.thaw) && strings.Contains(h.output.String(), "projection installed")
}

// forget takes a host off the list of those at work.
func (f *fleet) forget(h *host) {
	f.hosts = slices.DeleteFunc(f.hosts, func(other *host) bool { return other == h })
	f.gone = append(f.gone, h)
}

// terminate stops a host as a deployment does: it must have given everything back when it has ended.
func (f *fleet) terminate(h *host) string {
	f.t.Helper()
	h.signal(syscall.SIGTERM)
	took := f.awaitEnd(h)
	if owned, known := f.left(h); owned > 0 || known > 0 {
		f.t.Errorf("%s has ended by SIGTERM and still owns %d segments, %d lease", h.name, owned, known)
	}
	return fmt.Sprintf("%s, which took %s", h.name, took.Round(time.Millisecond))
}

// awaitEnd waits for the end of a host that was sent SIGTERM.
func (f *fleet) awaitEnd(h *host) time.Duration {
	f.t.Helper()
	began := time.Now()
	if code := h.wait(f.t); code != 0 {
		f.t.Errorf("%s exits with %d after SIGTERM", h.name, code)
	}
	f.forget(h)
	return time.Since(began)
}

// left is what the database has of a host.
func (f *fleet) left(h *host) (owned, known int) {
	f.t.Helper()
	f.db.one(f.t, fmt.Sprintf(`SELECT (SELECT count(*) FROM {own}segments WHERE owner = '%[1]s'),
		(SELECT count(*) FROM {own}workers WHERE worker = '%[1]s')`, h.name), &owned, &known)
	return owned, known
}

// thaw resumes all hosts.
func (f *fleet) thaw() {
	for _, h := range f.hosts {
		h.signal(syscall.SIGCONT)
		h.thaw = time.Time{}
	}
}

// complete demands that all that was appended is applied once and in order, and that the hosts end as they
// should. The writers have finished.
func (f *fleet) complete(appended *writers) {
	f.t.Helper()
	f.thaw()
	f.checkAlive()
	for _, projection := range slices.Concat(f.projections, f.later) {
		f.note("wait", strings.TrimSpace(runCommand(f.t, f.db.DSN, append([]string{
			"wait", projection, "--timeout", testwait.Patience.String(), "--grace", testwait.Patience.String(),
		}, f.log...)...)))
	}
	f.checkPositions()
	f.awaitUnparked()
	f.checkCoverage()
	for len(f.hosts) > 0 {
		f.hosts[0].awaitCount(f.t, "projection installed", f.installs())
		f.note("remove", f.terminate(f.hosts[0]))
	}
	f.checkLogs()
	appended.compare(f.t, f.db, f.projections)
}

// checkPositions waits until everything is at the end of the log.
func (f *fleet) checkPositions() {
	f.t.Helper()
	testwait.Until(f.t, "every segment stands at the horizon, which is the head", func() bool {
		status := readStatus(f.t, f.db, f.log...)
		behind := status.Horizon != status.Head
		for _, p := range status.Projections {
			for _, s := range p.Segments {
				behind = behind || s.Position != status.Head
			}
		}
		return !behind && len(status.Projections) == f.installs()
	})
}

// awaitUnparked has the hosts, whose modules are fixed, try all parked keys again until there are none.
func (f *fleet) awaitUnparked() {
	f.t.Helper()
	tables := f.db.open(f.t).Backend()
	testwait.Until(f.t, "nothing is parked", func() bool {
		parked, err := tables.Parked(f.t.Context(), store.ParkedRequest{Range: store.FullRange()})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, k := range parked {
			if k.Due {
				continue
			}
			var gone *store.InputError // it was unparked meanwhile
			err := tables.Order(f.t.Context(), k.ParkedID, store.ActionRetry)
			if err != nil && !errors.As(err, &gone) {
				f.t.Fatal(err)
			}
		}
		return len(parked) == 0
	})
}

// checkCoverage demands that every stream belongs to one segment of each projection.
func (f *fleet) checkCoverage() {
	f.t.Helper()
	var layouts []struct {
		Name     string
		Segments []struct{ First, Last uint32 }
	}
	output := runCommand(f.t, f.db.DSN, "segments", "list", "--json")
	if err := json.Unmarshal([]byte(output), &layouts); err != nil || len(layouts) != f.installs() {
		f.t.Fatalf("segments list: %v: %s", err, output)
	}
	for _, layout := range layouts {
		next := uint64(0)
		for _, s := range layout.Segments {
			if uint64(s.First) != next || s.Last < s.First {
				f.t.Errorf("%s: a segment begins at %08x, must at %08x: %s", layout.Name, s.First, next, output)
			}
			next = uint64(s.Last) + 1
		}
		if next != math.MaxUint32+1 {
			f.t.Errorf("%s: the segments end before %08x: %s", layout.Name, next, output)
		}
	}
}

// checkAlive demands that no host has ended but those that were asked to.
func (f *fleet) checkAlive() {
	for _, h := range f.hosts {
		select {
		case <-h.exited:
			f.t.Errorf("%s has ended by itself: %v", h.name, h.err)
		default:
		}
	}
}

// checkLogs requires that no host has panicked or logged an unexpected error.
func (f *fleet) checkLogs() {
	for _, h := range append(slices.Clone(f.gone), f.hosts...) {
		for line := range strings.Lines(h.output.String()) {
			signs := []string{"panic", "DATA RACE", "fatal error"}
			if strings.HasPrefix(line, "{") { // what is logged may tell of a guest's panic
				signs = []string{`"level":"error"`, `"level":"fatal"`}
			}
			for _, bad := range signs {
				if strings.Contains(line, bad) {
					f.t.Errorf("%s: %s", h.name, strings.TrimSpace(line))
				}
			}
		}
	}
}

// keepLogs writes the logs of a run that failed to files, which 'go test -artifacts' keeps.
func (f *fleet) keepLogs() {
	if !f.t.Failed() {
		return
	}
	for _, h := range append(slices.Clone(f.gone), f.hosts...) {
		path := filepath.Join(f.t.ArtifactDir(), h.name+".log")
		if err := os.WriteFile(path, []byte(h.output.String()), 0o644); err != nil {
			f.t.Log(err)
		}
	}
}

// statusReport is what these tests read of 'status --json'.
type statusReport struct {
	Head, Horizon int64
	Projections   []struct {
		Name     string
		Version  int
		Segments []struct {
			Segment      int
			Position     int64
			State, Owner string
		}
	}
}

func readStatus(t *testing.T, db database, flags ...string) statusReport {
	t.Helper()
	var report statusReport
	output := runCommand(t, db.DSN, append([]string{"status", "--json"}, flags...)...)
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		t.Fatalf("status: %v: %s", err, output)
	}
	return report
}
