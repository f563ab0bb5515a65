package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// writeMisfit makes a folder with a module that loads, and that no database accepts.
func writeMisfit(t *testing.T) string {
	t.Helper()
	guest := &hosttest.Guest{Describe: `{"name":"misfit","version":1,"tables":[{"name":"t","columns":[{"name":"a","type":"i64"}],"key":["a"]}],
		"writes":[{"name":"w","sql":"INSERT INTO {t} (b) VALUES (1)","unordered":true}]}`}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "misfit.wasm"), guest.Wasm(), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// awaitOutput waits until a process has written what matches.
func awaitOutput(t *testing.T, p *process, pattern string) {
	t.Helper()
	rule := regexp.MustCompile(pattern)
	deadline := time.After(testwait.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !rule.MatchString(p.output.String()) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nothing matches %s: %s", pattern, p.output)
		}
	}
}

// TestRun_whatIsRefusedIsSaid has a host be refused its only module: it ends, or with --watch it waits, and
// others can tell why.
func TestRun_whatIsRefusedIsSaid(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		folder := writeMisfit(t)
		ends := start(t, database, "run", folder)
		code := ends.wait(t)
		if said := ends.output.String(); code != 1 || strings.Count(said, `misfit.wasm: write \"w\": `) != 1 ||
			strings.Contains(said, `misfit.wasm: write "w": `) ||
			!strings.Contains(said, "\npupwasm: refused 1 module: the log says why\n") {
			t.Errorf("run exits with %d: %s", code, said)
		}
		waits := start(t, database, "run", "--watch", folder, "--worker-name", "host-1")
		awaitOutput(t, waits, "no module can run, waiting")
		var status string
		for !strings.Contains(status, "is refused by") { // its row follows the line of its log
			status = run(t, database, "status")
		}
		status = run(t, database, "status", "misfit")
		for _, pattern := range []string{
			`(?m)^misfit +1 +- .* refused$`,
			`(?m)^misfit, version 1 is refused by worker host-1: module misfit.wasm: write "w": `,
		} {
			if !regexp.MustCompile(pattern).MatchString(status) {
				t.Errorf("status does not match %s: %s", pattern, status)
			}
		}
		if report := run(t, database, "status", "--json"); !strings.Contains(report, `"installed": false`) ||
			!strings.Contains(report, `"worker": "host-1"`) {
			t.Errorf("JSON is %s", report)
		}
		out, err := command(database, "wait", "misfit", "--position", "1", "--grace", "10ms").CombinedOutput()
		if err == nil || !strings.Contains(string(out),
			`pupwasm: no worker runs projection misfit: worker host-1 cannot run version 1 of it: module misfit.wasm: write "w"`) {
			t.Errorf("wait: %v: %s", err, out)
		}
		waits.signal(syscall.SIGTERM)
		waits.wait(t)
		if status := run(t, database, "status"); !strings.Contains(status, "no projection is known") {
			t.Errorf("when the host is gone, status is %s", status)
		}
	})
}

// TestRun_aDatabaseThatIsReadOnlyBySetting is no outage that passes.
func TestRun_aDatabaseThatIsReadOnlyBySetting(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	dsn := db.DSN + "&default_transaction_read_only=on"
	for _, args := range [][]string{{"run", "--once", writeMisfit(t)}, {"run", writeMisfit(t)}, {"migrate", "up"}} {
		p := start(t, dsn, args...)
		if code := p.wait(t); code != 1 || !strings.Contains(p.output.String(),
			"the database is read-only: default_transaction_read_only is on") {
			t.Errorf("%v exits with %d: %s", args, code, p.output)
		}
	}
}

func TestWait_interrupted(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	run(t, database, "migrate", "up")
	appendLines(t, database, "one")
	p := start(t, database, "wait", "fines", "--grace", "1h")
	awaitOutput(t, p, "waiting for a host")
	p.signal(syscall.SIGINT)
	if code := p.wait(t); code != 130 || !strings.HasSuffix(p.output.String(),
		"\npupwasm: stopped by signal: interrupt\n") {
		t.Errorf("it exits with %d: %s", code, p.output)
	}
}
