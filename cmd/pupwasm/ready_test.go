package main_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestListen_readyIsMeasuredAgainstTheDatabase has an append that does not end, a poll that gets no answer and a
// listener that is cut off. Each makes a host not ready, which says why, and each within the time that the documentation
// promises; when it is over the host is ready again.
func TestListen_readyIsMeasuredAgainstTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	folder := modulesFolder(t, "user_counter")
	appendLines(t, db.DSN, "one")
	conn := db.Connect(t)
	execute := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	l := listen(t, db.DSN, folder)
	l.ready()
	wantReason := func(reason string, meanwhile func()) {
		t.Helper()
		testwait.Until(t, "the host is not ready: "+reason, func() bool {
			meanwhile()
			code, body := l.do(http.MethodGet, "/readyz", "")
			return code == http.StatusServiceUnavailable && strings.Contains(body, reason)
		})
	}
	testwait.Until(t, "notifications arrive", func() bool { return value(l.metrics(), "pupwasm_notifications_available") == 1 })

	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pupwasm.append('C', 'T', 'open', '[{"event_type":"E"}]')`); err != nil {
		t.Fatal(err)
	}
	appendLines(t, db.DSN, "after")
	began := time.Now()
	wantReason("the horizon has been held back at position ", func() {})
	t.Logf("a held horizon was told after %s", time.Since(began).Round(time.Second))
	if held := value(l.metrics(), "pupwasm_horizon_held_seconds"); held < 10 {
		t.Errorf("the horizon has been held for %.1f seconds", held)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.ready()

	// Nobody may connect: a connection that is cut stays so, and the others go on. A poll that also read was last seen
	// reading, so one look does not find the connections of all polls.
	name := conn.Config().Database
	admin, err := pgx.Connect(t.Context(), pgtest.Shared(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	for query, reason := range map[string]string{
		"LISTEN %": "notifications of appends have not arrived for ", "%.horizon() %": "the host has not polled the log for ",
	} {
		if _, err := admin.Exec(t.Context(), `ALTER DATABASE "`+name+`" ALLOW_CONNECTIONS false`); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		wantReason(reason, func() {
			execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '" + query + "'")
		})
		t.Logf("%s: told after %s", reason, time.Since(began).Round(time.Second))
		if _, err := admin.Exec(t.Context(), `ALTER DATABASE "`+name+`" ALLOW_CONNECTIONS true`); err != nil {
			t.Fatal(err)
		}
		l.ready()
	}
}

// TestDoctor_namesWhatHoldsTheHorizonBack: a process with what it does, and a prepared transaction.
func TestDoctor_namesWhatHoldsTheHorizonBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	appendLines(t, db.DSN, "one")
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pupwasm.append('C', 'T', 'open', '[{"event_type":"E"}]')`); err != nil {
		t.Fatal(err)
	}
	out := run(t, db.DSN, "doctor")
	pattern := regexp.MustCompile(fmt.Sprintf(`(?m)^warning  horizon: process %[1]d keeps 1 position from being read, its transaction open for `+
		`[0-9]+s: role postgres from [^ ]+, idle in transaction, .*pupwasm.append.*\n +→ .*pg_terminate_backend\(%[1]d\)`, conn.PgConn().PID()))
	if !pattern.MatchString(out) {
		t.Errorf("doctor says\n%s", out)
	}
	// A role that may not see what others do still learns that somebody holds it back.
	other := db.Connect(t)
	for _, statement := range []string{
		"DROP ROLE IF EXISTS doctor_host", "CREATE ROLE doctor_host LOGIN", "GRANT USAGE ON SCHEMA pupwasm TO doctor_host",
		"GRANT SELECT ON ALL TABLES IN SCHEMA pupwasm TO doctor_host",
	} {
		if _, err := other.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	out = run(t, strings.Replace(db.DSN, "postgres@", "doctor_host@", 1), "doctor")
	hidden := fmt.Sprintf("horizon: process %d keeps 1 position from being read: role postgres from hidden", conn.PgConn().PID())
	if !strings.Contains(out, hidden) || !strings.Contains(out, "none that this role may see has been open") {
		t.Errorf("to a role with few rights doctor says\n%s", out)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := run(t, db.DSN, "doctor", "--json"); !strings.Contains(out, `"worst": "warning"`) || strings.Contains(out, "keeps") {
		t.Errorf("without an open append doctor says\n%s", out)
	}
}
