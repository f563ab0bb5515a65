package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// command prepares the program (which is this test binary by another name, see TestMain) on a database.
func command(database string, args ...string) *exec.Cmd {
	cmd := exec.Command("pupwasm", args...)
	cmd.Env = append(os.Environ(), "PUPWASM_DATABASE_URL="+database, "PUPWASM_LOG_LEVEL=warn")
	return cmd
}

// run runs the program to its end and returns what it writes to stdout.
func run(t *testing.T, database string, args ...string) string {
	t.Helper()
	cmd := command(database, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("pupwasm %v: %v: %s", args, err, errs.String())
	}
	return out.String()
}

// eachDatabase runs a test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "events.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Empty(t).DSN)
	})
}

// numberedLines are events whose payloads are 0, 1, 2, …
func numberedLines(count int) []string {
	lines := make([]string, count)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"bounded_context":"C","aggregate_type":"T","aggregate_id":"%d","event_type":"E","payload":%d}`+"\n", i%97, i)
	}
	return lines
}

// storedPayloads returns the payloads of all events in order of position.
func storedPayloads(t *testing.T, database string) []int {
	t.Helper()
	var payloads []int
	lines := bufio.NewScanner(strings.NewReader(run(t, database, "events", "--json", "--limit", "0")))
	for lines.Scan() {
		var event struct{ Payload int }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, event.Payload)
	}
	return payloads
}

func TestAppend_killedAndRepeatedStoresEveryLineOnceAndInOrder(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		const count, kills = 4000, 8
		lines := numberedLines(count)
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 1))
		t.Logf("seed %d", seed)
		for range kills {
			// The process is killed while it works on what it was given, wherever it then is.
			cmd := command(database, "append", "--batch", "50", "-")
			input, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for _, line := range lines[:count/4+random.IntN(3*count/4)] {
				if _, err := io.WriteString(input, line); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		}
		file := filepath.Join(t.TempDir(), "events.jsonl")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log(run(t, database, "append", file))
		payloads := storedPayloads(t, database)
		if len(payloads) != count {
			t.Fatalf("%d events are stored, the file has %d", len(payloads), count)
		}
		for i := range payloads {
			if payloads[i] != i {
				t.Fatalf("event %d is that of line %d", i+1, payloads[i]+1)
			}
		}
	})
}

func TestAppend_ofOneFileByTwoAtOnceStoresEveryLineOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		const count = 2000
		file := filepath.Join(t.TempDir(), "events.jsonl")
		if err := os.WriteFile(file, []byte(strings.Join(numberedLines(count), "")), 0o644); err != nil {
			t.Fatal(err)
		}
		var processes [2]*exec.Cmd
		var output [len(processes)]lockedBuffer
		for i := range processes {
			processes[i] = command(database, "append", "--batch", "20", file)
			processes[i].Stdout, processes[i].Stderr = &output[i], &output[i]
			if err := processes[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range processes {
			if err := processes[i].Wait(); err != nil {
				t.Errorf("%v: %s", err, output[i].String())
			}
			t.Log(output[i].String())
		}
		stored := map[int]bool{}
		payloads := storedPayloads(t, database)
		for _, payload := range payloads {
			stored[payload] = true
		}
		if len(payloads) != count || len(stored) != count {
			t.Errorf("%d events of %d lines are stored, must be %d", len(payloads), len(stored), count)
		}
	})
}

func TestAppend_interruptedTellsWhatIsStored(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	cmd := command(database, "append", "--batch", "10", "-")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(input, strings.Join(numberedLines(25), "")); err != nil {
		t.Fatal(err)
	}
	probe := command(database, "migrate", "up")
	if err := probe.Run(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "two batches are stored", func() bool { return len(storedPayloads(t, database)) == 20 })
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, must be 130", code)
	}
	want := "pupwasm: stopped by signal: interrupt; lines 1 to 20 are stored: run the same command again, nothing is doubled\n"
	if errs.String() != want {
		t.Errorf("stderr is %q, must be %q", errs.String(), want)
	}
}

func TestAppend_waitsForADatabaseThatIsDownAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	database := server.Database(t)
	lines := numberedLines(300)

	cmd := command(database.DSN, "append", "--batch", "100", "-")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write := func(lines []string) {
		if _, err := io.WriteString(input, strings.Join(lines, "")); err != nil {
			t.Fatal(err)
		}
	}
	write(lines[:100])
	run(t, database.DSN, "migrate", "up")
	testwait.Until(t, "the first batch is stored", func() bool { return len(storedPayloads(t, database.DSN)) == 100 })
	server.Kill()
	write(lines[100:])
	input.Close()
	testwait.Until(t, "the outage is noticed",
		func() bool { return strings.Contains(errs.String(), "database not available") })
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if said := strings.Count(errs.String(), "\n"); said != 1 {
		t.Errorf("%d lines about one outage: %s", said, errs.String())
	}
	if stored := len(storedPayloads(t, database.DSN)); stored != len(lines) {
		t.Errorf("%d events stored, must be %d", stored, len(lines))
	}
}

// TestAppend_realLog runs the compiled program: with the race detector, so many events take minutes.
func TestAppend_realLog(t *testing.T) {
	t.Parallel()
	path := realLog(t)
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	t.Log(runCommand(t, database, "append", path))
	if again := runCommand(t, database, "append", path); !strings.HasPrefix(again, "0 events appended, ") {
		t.Errorf("the same log again: %s", again)
	}
	if filepath.Base(path) != "fines.jsonl.gz" {
		return // only the whole log has published counts
	}
	counts := map[string]int{}
	for _, kind := range []string{
		"CreateFine", "SendFine", "Payment", "ReceiveResultAppealFromPrefecture",
		"AppealToJudge",
	} {
		counts[kind] = strings.Count(runCommand(t, database, "events", "--json", "--limit", "0", "--event-type", kind), "\n")
	}
	want := "map[AppealToJudge:555 CreateFine:150370 Payment:77601 ReceiveResultAppealFromPrefecture:999 SendFine:103987]"
	if got := fmt.Sprint(counts); got != want {
		t.Errorf("events are %s, must be %s", got, want)
	}
}
