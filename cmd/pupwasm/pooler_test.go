package main_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

const notificationsLost = "notifications are not available, polling"

// TestPooler_everythingGoesThroughTransactionMode runs hosts and writers behind a pooler that gives every
// transaction another connection: nothing may depend on a session.
func TestPooler_everythingGoesThroughTransactionMode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		flag string
		told int
	}{{"without notifications", "--notify=false", 0}, {"with notifications that never arrive", "--notify=true", 1}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			pooled := db
			pooled.DSN = db.Pooler(t)
			folder := modulesFolder(t, "fine_balance")
			host := start(t, pooled.DSN, "run", test.flag, "--segments", "2", folder) // migrates, too
			host.awaitLog(t, "projection installed")
			if test.told > 0 {
				host.awaitLog(t, notificationsLost)
			}

			appending := startWriter(t, openPostgres(t, pooled))
			testwait.Until(t, "some hundred events are applied", func() bool { events, _ := totals(t, postgresDatabase(db)); return events > 300 })
			appending.finish()
			appendLine(t, pooled.DSN, appending)
			testwait.Until(t, "all events are applied",
				func() bool { events, _ := totals(t, postgresDatabase(db)); return events == appending.events })
			appending.compare(t, db)

			host.signal(syscall.SIGTERM)
			if code := host.wait(t); code != 0 {
				t.Errorf("exit code %d after SIGTERM: %s", code, host.output)
			}
			output := host.output.String()
			if n := strings.Count(output, notificationsLost); n != test.told {
				t.Errorf("that notifications are lost is told %d times, must be %d: %s", n, test.told, output)
			}
			if test.told > 0 && !strings.Contains(output, "a pooler that works by transaction") {
				t.Errorf("the log does not say why: %s", output)
			}
			for _, word := range []string{`"level":"error"`, "database not available"} {
				if strings.Contains(output, word) {
					t.Errorf("the log has %s: %s", word, output)
				}
			}
		})
	}
}

// appendLine appends one payment by the command.
func appendLine(t *testing.T, database string, w *writer) {
	t.Helper()
	event := t.TempDir() + "/event.jsonl"
	write(t, event, []byte(`{"bounded_context":"Traffic","aggregate_type":"Fine","aggregate_id":"F1","event_type":"Payment","payload":{"paymentAmount":2.50}}`+"\n"))
	runCommand(t, database, "append", event)
	w.events++
	w.cents += 250
}
