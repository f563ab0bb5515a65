package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// alerts is a server that is told of parked keys.
type alerts struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func serveAlerts(t *testing.T) *alerts {
	a := &alerts{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got = append(a.got, string(body))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *alerts) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.got...)
}

// TestParked_onePoisonedStreamOfTwenty has one of 800 events fail: those of the other streams are applied, somebody is
// told once although the host is killed, and a fixed module applies the rest by itself.
func TestParked_onePoisonedStreamOfTwenty(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{onSQLite, onPostgres, onMariaDB} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			testPoison(t, kind)
		})
	}
}

func testPoison(t *testing.T, kind string) {
	db := newDatabase(t, kind)
	database := db.DSN
	run(t, database, "migrate", "up")
	const events, streams, poisoned = 800, 20, 67
	var lines strings.Builder
	for i := range events {
		eventType := "Fine"
		if i == poisoned {
			eventType = "Error"
		}
		fmt.Fprintf(&lines, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":"n%d","event_type":"%s","payload":{"i":%d}}`+"\n",
			i%streams, eventType, i/streams)
	}
	file := filepath.Join(t.TempDir(), "poison.jsonl")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, database, "append", file)
	folder, somebody := t.TempDir(), serveAlerts(t)
	place := func(module string) {
		path := guestbuild.Root(t) + "/modules/examples/testdata/" + module
		writeModule(t, folder, "misbehave.wasm", guestbuild.Module(t, guestbuild.Auto, path))
	}
	place("misbehave")
	arguments := []string{"run", "--watch", folder, "--on-park", strings.Replace(somebody.URL, "//", "//me:secret@", 1)}
	host := start(t, database, arguments...)
	run(t, database, "wait", "misbehave", "--timeout", "0", "--grace", testwait.Patience.String())
	rows := func() (n int) {
		t.Helper()
		db.one(t, "SELECT count(*) FROM "+db.table("misbehave", "rows"), &n)
		return n
	}
	parked := func() (all []struct {
		Key      string `json:"key"`
		Position int64  `json:"position"`
		Events   int    `json:"events"`
	},
	) {
		t.Helper()
		if err := json.Unmarshal([]byte(run(t, database, "parked", "list", "--json")), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if n := rows(); n != 763 {
		t.Errorf("there are %d rows, must be 763", n)
	}
	if all := parked(); len(all) != 1 || all[0].Key != "n7" || all[0].Events != 37 {
		t.Errorf("parked is %+v, must be n7 with 37 events", all)
	}
	testwait.Until(t, "somebody is told", func() bool { return len(somebody.all()) > 0 })
	host.awaitLog(t, "told of a parked key")
	host.signal(syscall.SIGKILL)
	host.wait(t)

	host = start(t, database, arguments...)
	place("fixed")
	testwait.Until(t, "nothing is parked", func() bool { return len(parked()) == 0 })
	if n := rows(); n != events {
		t.Errorf("there are %d rows, must be %d", n, events)
	}
	if got := somebody.all(); len(got) != 1 || !strings.Contains(got[0], `"key":"n7"`) {
		t.Errorf("somebody was told %q, must be once", got)
	}
	if strings.Contains(host.output.String(), "secret") {
		t.Error("the log has the password of the URL")
	}
}
