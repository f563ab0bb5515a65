package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestMessages_anOutboxThatIsFull holds a projection up, which says so everywhere, until a change of the file of settings
// lets more messages in.
func TestMessages_anOutboxThatIsFull(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		folder, file := t.TempDir(), filepath.Join(t.TempDir(), "pupwasm.yaml")
		writeModule(t, folder, "shop.wasm", guestbuild.Example(t, guestbuild.Auto, "testdata/shop_messages"))
		replace(t, file, "run:\n  outbox-max: 3\n  messages-from: beginning\n")
		run(t, database, "migrate", "up")
		appendOrders(t, database, 12)
		// Hosts count once a second: commits come slowly.
		host := start(t, database, "run", "--watch", folder, "--config", file, "--batch", "1", "--batch-pause", "500ms",
			"--segments", "1")
		full := regexp.MustCompile(`(?m)^shop, segment 0 makes no progress: waits, since 3 messages may be in its outbox: nobody sends them: ` +
			`run a host with --publish$`)
		testwait.Until(t, "status says that the outbox is full", func() bool {
			return full.MatchString(run(t, database, "status"))
		})
		host.awaitLog(t, "run a host with --publish")
		if listed := strings.Count(run(t, database, "messages", "list", "--limit", "0"), "\nshop.v1."); listed < 3 || listed >= 12 {
			t.Errorf("%d messages are in the outbox", listed)
		}
		replace(t, file, "run:\n  outbox-max: 100\n  messages-from: now\n")
		host.awaitLog(t, `"needs_restart":["messages-from"]`)
		run(t, database, "wait", "shop", "--grace", "1m")
		if listed := strings.Count(run(t, database, "messages", "list"), "\nshop.v1."); listed != 12 {
			t.Errorf("%d messages are in the outbox, must be 12", listed)
		}
	})
}

// appendOrders appends events of which each causes a message.
func appendOrders(t *testing.T, database string, count int) {
	t.Helper()
	var lines strings.Builder
	for i := range count {
		fmt.Fprintf(&lines, `{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":"o%d","event_type":"OrderPaid",`+
			`"payload":{"cents":%d}}`+"\n", i%3, i)
	}
	file := filepath.Join(t.TempDir(), "orders.jsonl")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, database, "append", file)
}
