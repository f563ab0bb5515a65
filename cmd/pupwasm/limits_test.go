package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
)

// writeEndless makes a folder with a module whose write does not end, on either database.
func writeEndless(t *testing.T) string {
	t.Helper()
	guest := &hosttest.Guest{
		Describe: fmt.Sprintf(`{"name":"evil","version":1,"ordering":"global","tables":[{"name":"t","columns":[{"name":"id","type":"i64"}],"key":["id"]}],
			"writes":[{"name":"w","sql":%q,"unordered":true}]}`,
			"INSERT INTO {t} (id) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM c) SELECT count(*) FROM c"),
		Reply: append(abi.AppendReply(nil, 1, abi.MutationHeaderSize), abi.AppendMutation(nil, 0, 0, 0)...),
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "evil.wasm"), guest.Wasm(), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestLimits_aHostStopsAndSaysWhichLimit runs a module whose statement does not end: the host says so and ends,
// or ends when it is told to.
func TestLimits_aHostStopsAndSaysWhichLimit(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		folder := writeEndless(t)
		run(t, database, "migrate", "up")
		appendLines(t, database, "one")
		once := start(t, database, "run", "--once", "--statement-timeout", "200ms", "--retry-min", "1ms", "--retry-max",
			"1ms", folder)
		const want = `write "w" ran for longer than 200ms: --statement-timeout raises the limit`
		if code := once.wait(t); code != 1 || !strings.Contains(once.output.String(), "3 times in a row, event 1: "+want) {
			t.Errorf("run --once exits with %d: %s", code, once.output)
		}
		if status := run(t, database, "status", "evil"); !strings.Contains(status, want) {
			t.Errorf("status is %s", status)
		}
		follows := start(t, database, "run", "--statement-timeout", "100h", folder)
		follows.awaitLog(t, "projection installed")
		follows.signal(syscall.SIGTERM)
		if code := follows.wait(t); code != 0 {
			t.Errorf("a host that is told to stop exits with %d: %s", code, follows.output)
		}
		for _, flag := range []string{"--statement-timeout=-1s", "--transaction-timeout=1us", "--temp-file-limit=0"} {
			refused := start(t, database, "run", flag, folder)
			name, _, _ := strings.Cut(flag, "=")
			if code := refused.wait(t); code != 2 || !strings.Contains(refused.output.String(), name+" must be ") {
				t.Errorf("%s exits with %d: %s", flag, code, refused.output)
			}
		}
	})
}
