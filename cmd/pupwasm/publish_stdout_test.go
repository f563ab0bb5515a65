package main_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestRun_nobodyReadsItsMessages has the reader of standard output end: the host goes on, and the messages wait.
func TestRun_nobodyReadsItsMessages(t *testing.T) {
	t.Parallel()
	database, folder := "sqlite:"+filepath.Join(t.TempDir(), "events.db"), t.TempDir()
	writeModule(t, folder, "shop.wasm", guestbuild.Example(t, guestbuild.Auto, "testdata/shop_messages"))
	runCommand(t, database, "migrate", "up")
	appendOrders(t, database, 2)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	host := startBetween(t, database, nil, writer, "run", folder, "--messages-from", "beginning", "--publish", "stdout")
	host.awaitLog(t, "stdout: write /dev/stdout: broken pipe")
	appendOrders(t, database, 5)
	runCommand(t, database, "wait", "shop", "--grace", "1m")
	host.signal(syscall.SIGTERM)
	if code := host.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, host.output)
	}
}
