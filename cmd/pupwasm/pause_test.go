package main_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestPause_twoHosts has one of two hosts be killed and started again while their projection is paused.
func TestPause_twoHosts(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		folder := modulesFolder(t, "user_counter")
		users := []string{"u1", "u2", "u3", "u4", "u5", "u6"}
		run(t, database, "migrate", "up")
		appendUsers(t, database, "UserRegistered", users...)
		arguments := []string{"run", folder, "--lease", "1s", "--rebalance", "50ms", "--worker-name"}
		first, second := start(t, database, append(arguments, "a")...), start(t, database, append(arguments, "b")...)
		wait := func() {
			run(t, database, "wait", "user_counter", "--timeout", "0", "--grace", testwait.Patience.String())
		}
		wait()
		if said := run(t, database, "pause", "user_counter"); !strings.HasPrefix(said, "user_counter is paused, and no host has") {
			t.Errorf("pause says %s", said)
		}
		rows := run(t, database, "rows", "user_counter", "--json")
		appendUsers(t, database, "UserLoggedIn", users...)
		first.awaitLog(t, "projection paused")
		second.awaitLog(t, "projection paused")
		first.signal(syscall.SIGKILL)
		first.wait(t)
		first = start(t, database, append(arguments, "a")...)
		first.awaitLog(t, "projection paused")
		if status := run(t, database, "segments", "list"); strings.Count(status, " paused ") != 4 {
			t.Errorf("status is %s", status)
		}
		if now := run(t, database, "rows", "user_counter", "--json"); now != rows {
			t.Errorf("during the pause the rows go from %s to %s", rows, now)
		}
		if said := run(t, database, "resume", "user_counter"); said != "user_counter goes on\n" {
			t.Errorf("resume says %s", said)
		}
		wait()
		if now := run(t, database, "rows", "user_counter", "--json"); now != strings.ReplaceAll(rows, `"events":1`, `"events":2`) {
			t.Errorf("after the pause the rows are %s", now)
		}
	})
}

// TestPause_namesWhoStillHasASegment has a host that does not answer, and whose lease is long.
func TestPause_namesWhoStillHasASegment(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		run(t, database, "migrate", "up")
		host := start(t, database, "run", modulesFolder(t, "user_counter"), "--lease", "1h", "--worker-name", "slow", "--segments", "1")
		run(t, database, "wait", "user_counter", "--grace", testwait.Patience.String(), "--timeout", "0")
		testwait.Until(t, "it has the segment", func() bool { return strings.Contains(run(t, database, "segments", "list"), "running  slow") })
		var out []byte
		var err error
		testwait.Until(t, "it is stopped while it does not write, which would keep others from SQLite's file", func() bool {
			host.signal(syscall.SIGSTOP)
			out, err = command(database, "pause", "user_counter", "--timeout", "300ms").CombinedOutput()
			locked := strings.Contains(string(out), "not available")
			if locked {
				host.signal(syscall.SIGCONT)
			}
			return !locked
		})
		if err == nil || string(out) != "pupwasm: projection user_counter is paused, and worker slow still has segment 0: it gives it up "+
			"when its batch ends, or when its lease does (waited 300ms for that): 'pupwasm status user_counter' shows it\n" {
			t.Errorf("pause: %v: %s", err, out)
		}
		if status := run(t, database, "segments", "list"); !strings.Contains(status, "running  slow") {
			t.Errorf("status is %s", status)
		}
		host.signal(syscall.SIGCONT)
		if said := run(t, database, "pause", "user_counter", "--timeout", "0"); !strings.HasPrefix(said, "user_counter was paused already") {
			t.Errorf("pause says %s", said)
		}
	})
}

// appendUsers appends an event of each user of the shop.
func appendUsers(t *testing.T, database, eventType string, ids ...string) {
	t.Helper()
	cmd := command(database, "append", "-")
	text := ""
	for _, id := range ids {
		text += `{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"` + id + `","event_type":"` + eventType +
			`","created_at":"2024-01-01T00:00:00Z"}` + "\n"
	}
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
