package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestStatus_saysThatTheLogIsAnother has the last event up to the checkpoint go from the log: status must not
// say that all is applied, and wait must not wait.
func TestStatus_saysThatTheLogIsAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	database := "sqlite:" + path
	run(t, database, "migrate", "up")
	appendLines(t, database, "one", "two")
	opened, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	to := opened.Backend()
	ctx := t.Context()
	projection := &store.Projection{Name: "names", Version: 1, Tables: []store.Table{{
		Name: "names", Key: []string{"name"}, Columns: []store.Column{{Name: "name", Type: store.Type{Kind: store.KindText}}},
	}}}
	catalogue, err := to.Install(ctx, projection, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Heartbeat(ctx, store.Worker{Name: "w"}, 1e15); err != nil {
		t.Fatal(err)
	}
	claims, err := to.Claim(ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: "names", Version: 1}, Worker: "w",
		Limit: 1,
	})
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	state, err := to.Locate(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	err = catalogue.Begin(claims[0]).Commit(ctx,
		store.Commit{Through: 2, Log: state.Log, LastPosition: 2, LastEvent: state.Events[0]})
	if err != nil {
		t.Fatal(err)
	}
	if out := run(t, database, "wait", "names"); !strings.Contains(out, "has applied everything") {
		t.Errorf("wait says %q", out)
	}
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "DELETE FROM pupwasm__events"); err != nil {
		t.Fatal(err)
	}

	said := "event " + state.Events[0].String() +
		", the last one up to the checkpoint, is no longer in the log at position 2: restore the log"
	fails := func(args ...string) string {
		t.Helper()
		out, err := command(database, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out),
			"pupwasm: the log is not the one that the rows of projection names were built from") {
			t.Errorf("%s ends with %v", args, err)
		}
		return string(out)
	}
	status := strings.Join(strings.Fields(fails("status")), " ")
	if !strings.Contains(status, "names 1 1 - - 0 other log") || !strings.Contains(status, "names, segment 0: "+said) {
		t.Errorf("status is %s", status)
	}
	report := fails("status", "--json")
	if !strings.Contains(report, `"behind": null`) || !strings.Contains(report, `"state": "other log"`) ||
		!strings.Contains(report, said) {
		t.Errorf("JSON is %s", report)
	}
	out, err := command(database, "wait", "names", "--position", "1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), said) || strings.Count(string(out), "\n") != 1 {
		t.Errorf("wait: %v: %s", err, out)
	}
}
