package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

var users = pupwasm.Consumer{
	Name:         "users",
	Partition:    pupwasm.ByStream(), // a row belongs to one stream
	Subscription: store.Subscription{BoundedContexts: []string{"Identity"}, AggregateTypes: []string{"User"}},
	Handle: postgres.Handler(func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error {
		for _, e := range events {
			if _, err := tx.Exec(ctx, countUser, e.AggregateID); err != nil {
				return err
			}
		}
		return nil
	}),
}

const countUser = `INSERT INTO user_events (user_id, events) VALUES ($1, 1)
	ON CONFLICT (user_id) DO UPDATE SET events = user_events.events + 1`

// TestComing_rowsAreThoseOfTheSource goes through the switch of the page: a copy under way, the constraint that keeps
// writers out, the last copy. Then the consumer and the module of the page have the rows that a query finds there.
func TestComing_rowsAreThoseOfTheSource(t *testing.T) {
	t.Parallel()
	page := comingPage(t)
	source, err := os.ReadFile("coming_consumer_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"It keeps your SQL and your table:\n", "with, in both:\n"} {
		if code := pageBlock(t, page, after, "go"); !strings.Contains(string(source), code) {
			t.Errorf("this file has not the code of the page:\n%s", code)
		}
	}

	events := theirEvents(300, false)
	db, conn := theirPostgres(t, "core.postgres.sql", events[:200])
	execute(t, conn, pageBlock(t, page, copyScript, "sql"), pgx.QueryExecModeSimpleProtocol)
	for _, e := range events[200:] {
		insertTheirs(t, conn, e)
	}
	execute(t, conn, strings.TrimSpace(pageBlock(t, indentedCode.Replace(page), "3. Let nobody append there", "sql")))
	_, err = conn.Exec(t.Context(), `INSERT INTO events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
		event_id, event_type, payload) VALUES ('a', 'b', 'c', 1, gen_random_uuid(), 'd', '')`)
	if err == nil || !strings.Contains(err.Error(), `"moved"`) {
		t.Errorf("an append after the switch gives %v", err)
	}
	execute(t, conn, pageBlock(t, page, copyScript, "sql"), pgx.QueryExecModeSimpleProtocol)
	assertMoved(t, db.DSN, events, "")
	execute(t, conn, "INSERT INTO consumer_segments VALUES ('mail', 0, 2, NULL, 300), ('mail', 1, 2, NULL, 299)")
	if got := printed(t, conn, pageBlock(t, page, "once\nthe writers have stopped:\n", "sql")); got != "mail|299|300\n" {
		t.Errorf("consumers there are at %q", got)
	}

	modules := t.TempDir()
	writeModule(t, modules, "user_events.wasm", guestbuild.Module(t, guestbuild.Go, pageModule(t, page)))
	runCommand(t, db.DSN, "run", "--once", modules)
	execute(t, conn, "CREATE TABLE user_events (user_id text PRIMARY KEY, events bigint NOT NULL)")
	host, err := pupwasm.NewHost(openPostgres(t, db), pupwasm.Options{Consumers: []pupwasm.Consumer{users}})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := printed(t, conn, `SELECT aggregate_id, count(*) FROM events
		WHERE bounded_context = 'Identity' AND aggregate_type = 'User' GROUP BY 1 ORDER BY 1`)
	for _, table := range []string{"user_events.users", "public.user_events"} {
		if got := printed(t, conn, "SELECT user_id, events FROM "+table+" ORDER BY 1"); got != want || want == "" {
			t.Errorf("%s has\n%s\nwant\n%s", table, got, want)
		}
	}
}

// indentedCode takes the blanks from a block of code in a list.
var indentedCode = strings.NewReplacer("\n   ", "\n")

// pageModule is a folder with the module of the page.
func pageModule(t *testing.T, page string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"main.go": pageBlock(t, page, "so that a thousand events of a user are one row:\n", "go"),
		"go.mod": "module user_events\n\ngo 1.26\n\nrequire github.com/pupwasm/pupwasm/guest-sdk v0.0.0\n\n" +
			"replace github.com/pupwasm/pupwasm/guest-sdk => " + filepath.Join(guestbuild.Root(t), "guest-sdk") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
