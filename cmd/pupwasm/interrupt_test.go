package main_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestInterrupt_exitsWith130 interrupts a command that waits.
func TestInterrupt_exitsWith130(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	runCommand(t, database, "migrate", "up")
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		waits := start(t, database, "wait", "fines", "--grace", "1h", "--timeout", "0")
		waits.awaitLog(t, "waiting for a host that runs the projection")
		waits.signal(signal)
		if code := waits.wait(t); code != want {
			t.Errorf("exit code %d after %s, must be %d: %s", code, signal, want, waits.output)
		}
	}
}
