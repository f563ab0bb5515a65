package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

// replace puts a file in place at once.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".part", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		t.Fatal(err)
	}
}

// awaitSegments waits until a projection has so many segments.
func awaitSegments(t *testing.T, database, projection string, count int) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^` + projection + ` `)
	testwait.Until(t, projection+" has its segments", func() bool {
		return len(line.FindAllString(run(t, database, "segments", "list"), -1)) == count
	})
}

// TestRun_followsTheSettingsOfModules changes what is beside a module while a host runs: settings that hold, settings
// that are refused, and none.
func TestRun_followsTheSettingsOfModules(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	folder := modulesFolder(t, "user_counter")
	beside := filepath.Join(folder, "user_counter.yaml")
	replace(t, beside, "segmnts: 2\n")
	appendLines(t, database, "one", "two")
	host := start(t, database, "run", "--watch", folder, "--worker-name", "host-1")
	host.awaitLog(t, `user_counter.yaml:1:1: there is no setting segmnts of a module: did you mean segments?`)
	host.awaitLog(t, "settings refused, the module does not run")
	refused := regexp.MustCompile(`(?m)^user_counter, version 1 is refused by worker host-1: module user_counter.wasm: ` +
		`\S+user_counter.yaml:1:1: there is no setting segmnts`)
	testwait.Until(t, "status says why", func() bool { return refused.MatchString(run(t, database, "status")) })

	module := filepath.Join(folder, "user_counter.wasm")
	for _, move := range [][2]string{{module, module + ".away"}, {module + ".away", module}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
		there := move[1] == module
		testwait.Until(t, "status says it of modules that are there", func() bool {
			return refused.MatchString(run(t, database, "status")) == there
		})
	}

	replace(t, beside, "segments: 2\n")
	run(t, database, "wait", "user_counter", "--grace", "1m")
	awaitSegments(t, database, "user_counter", 2)
	if status := run(t, database, "status"); strings.Contains(status, "is refused") {
		t.Errorf("status is %s", status)
	}
	replace(t, beside, "segments: 6\nbatch: 1\n")
	awaitSegments(t, database, "user_counter", 6)
	replace(t, beside, "segments: 3\nbatch: 0\n")
	host.awaitLog(t, "user_counter.yaml:2:8: batch must be a whole number from 1 to 100000, it is 0")
	host.awaitLog(t, "settings refused, those before stay")
	appendLines(t, database, "three")
	run(t, database, "wait", "user_counter")
	awaitSegments(t, database, "user_counter", 6)
	installed := strings.Count(host.output.String(), "projection installed")
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	host.awaitCount(t, "projection installed", installed+1)
	appendLines(t, database, "four")
	run(t, database, "wait", "user_counter")
	host.signal(syscall.SIGTERM)
	if code := host.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, host.output)
	}
}

// TestRun_followsItsFileOfFlags changes pupwasm.yaml while a host runs.
func TestRun_followsItsFileOfFlags(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	folder := modulesFolder(t, "user_counter", "activity_log")
	replace(t, filepath.Join(folder, "activity_log.yaml"), "segments: 2\n")
	file := filepath.Join(t.TempDir(), "flags.yaml")
	replace(t, file, "run:\n  segments: 3\n  batch: 10\n")
	appendLines(t, database, "one", "two")
	host := start(t, database, "run", "--watch", folder, "--config", file, "--commit-events", "100")
	awaitSegments(t, database, "user_counter", 3)
	awaitSegments(t, database, "activity_log", 2)

	replace(t, file, "log-level: debug\nrun:\n  segments: 5\n  connections: 9\n  commit-events: 7\n")
	host.awaitLog(t, `"needs_restart":["connections"],"file":"`+file+`","applied":["batch","log-level","segments"]`)
	awaitSegments(t, database, "user_counter", 5)
	awaitSegments(t, database, "activity_log", 2)
	host.awaitLog(t, `"level":"debug"`)

	replace(t, file, "run:\n  segments: 5\n  batch: 0\n")
	host.awaitLog(t, file+":3:10: --batch must be more than 0")
	replace(t, file, "run: [\n")
	host.awaitLog(t, file+":2:1: is not YAML: ")
	replace(t, file, "run:\n  segments: 4\n  connections: 9\n")
	host.awaitLog(t, `"file":"`+file+`","applied":["log-level","segments"]`)
	awaitSegments(t, database, "user_counter", 4)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	host.awaitLog(t, `"needs_restart":["segments"]`)
	appendLines(t, database, "three")
	run(t, database, "wait", "user_counter")
	host.signal(syscall.SIGTERM)
	if code := host.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, host.output)
	}
}
