// Package examples_test runs every example as a person does, and compares what it prints with its page and the rows in
// the database with what they must be.
package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// programs is the folder of what TestMain has built: pupwasm and the examples in Go, without the race detector.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "pupwasm-examples-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err := buildAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = pgtest.Main(m)
		mariadbtest.Stop()
	}
	os.RemoveAll(programs)
	os.Exit(code)
}

// buildAll builds the programs, and the modules of the scripts, which then find them in the cache of 'pupwasm build'.
func buildAll() error {
	args := []string{"build", "-o", programs + string(filepath.Separator), "../cmd/pupwasm"}
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		return err
	}
	for _, main := range mains {
		args = append(args, "./"+filepath.Dir(main))
	}
	goBuild := exec.Command("go", args...)
	goBuild.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := goBuild.CombinedOutput(); err != nil {
		return fmt.Errorf("building the examples: %w\n%s", err, out)
	}
	modules := exec.Command(filepath.Join(programs, "pupwasm"), "build", "--out", filepath.Join(programs, "modules"),
		"../modules/examples/user_counter", "../modules/examples/activity_log", "../modules/examples/revenue",
		"../modules/examples/customer_totals", "poison_event/projections")
	modules.Env = environment()
	if out, err := modules.CombinedOutput(); err != nil {
		return fmt.Errorf("building the modules of the examples: %w\n%s", err, out)
	}
	return nil
}

// environment is that of a person, with the programs that are built, and more patience.
func environment() []string {
	return append(os.Environ(), "EXAMPLES_BIN="+programs, "PUPWASM_TIMEOUT=0", "PUPWASM_GRACE="+testwait.Patience.String())
}

// TestExamples runs each example on each of its databases.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, example := range examples {
		for _, database := range example.databases {
			t.Run(name+"/"+database, func(t *testing.T) {
				t.Parallel()
				if example.tinygo {
					needsTinyGo(t)
				}
				url := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
				switch database {
				case postgreSQL:
					url = pgtest.Empty(t).DSN
				case mariaDB:
					url = mariadbtest.Empty(t).URL
				}
				printed := run(t, name, url)
				page := readPage(t, name)
				if !page.output.MatchString(plain(printed)) {
					t.Errorf("it prints\n%s\nthe page has\n%s", printed, page.printed)
				}
				for _, table := range example.tables {
					compareRows(t, url, table)
				}
			})
		}
	}
}

// TestExamples_withoutArguments runs on a database of its own, and leaves nothing behind.
func TestExamples_withoutArguments(t *testing.T) {
	for _, name := range []string{"single_worker", "append_and_read"} {
		temporary := t.TempDir()
		t.Setenv("TMPDIR", temporary)
		if printed := run(t, name, ""); !readPage(t, name).output.MatchString(plain(printed)) {
			t.Errorf("%s prints\n%s", name, printed)
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %v, %v", name, left, err)
		}
	}
}

// TestExamples_refuseADatabaseWithEvents: nobody's events become part of an example.
func TestExamples_refuseADatabaseWithEvents(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	run(t, "append_and_read", url)
	for _, name := range []string{"append_and_read", "single_worker"} {
		out, err := command(t, name, url).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "the database has events already: give an empty one") {
			t.Errorf("%s on a database with events: %v\n%s", name, err, out)
		}
	}
}

// run runs an example and returns what it prints.
func run(t *testing.T, name, url string) string {
	t.Helper()
	cmd := command(t, name, url)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, &stdout, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("%s complains:\n%s", name, &stderr)
	}
	return stdout.String()
}

// command is the one that the page of an example names.
func command(t *testing.T, name, url string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	t.Cleanup(cancel)
	var cmd *exec.Cmd
	switch script := filepath.Join(name, "run.sh"); {
	case name == theTest:
		cmd = exec.CommandContext(ctx, "go", "test", "-v", "-count=1", "./"+name)
	case exists(script) && url != "":
		cmd = exec.CommandContext(ctx, script, url)
	case exists(script):
		cmd = exec.CommandContext(ctx, script)
	default:
		cmd = exec.CommandContext(ctx, filepath.Join(programs, name), "--database", url)
	}
	cmd.Env = append(environment(), "CGO_ENABLED=0") // without the race detector
	if tinygo, err := build.FindTinyGo(); err == nil {
		cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")+string(filepath.ListSeparator)+filepath.Dir(tinygo))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with its hosts
	cmd.WaitDelay = time.Second
	return cmd
}

func compareRows(t *testing.T, url string, table rows) {
	t.Helper()
	name := table.name
	switch projection, of, found := strings.Cut(name, "."); {
	case !found:
	case projection == "pupwasm" && !strings.HasPrefix(url, "postgres"):
		name = projection + "__" + of
	case projection != "pupwasm":
		name = shop.Table(url, projection, of)
	}
	db, err := shop.OpenSQL(url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.QueryContext(t.Context(), "SELECT "+table.columns+" FROM "+name+" ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	var got []string
	for result.Next() {
		row, err := scan(result)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(table.want, got); diff != "" {
		t.Errorf("rows of %s (-want +got):\n%s", table.name, diff)
	}
}

func needsTinyGo(t *testing.T) {
	t.Helper()
	if _, err := build.FindTinyGo(); err != nil && os.Getenv("PUPWASM_REQUIRE_TINYGO") == "" {
		t.Skip("TinyGo is not installed: 'make tinygo' installs it")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
