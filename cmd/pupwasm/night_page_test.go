package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// What the incidents of docs/night.md are made with.
const (
	diskFull = `CREATE FUNCTION pupwasm.disk_full() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
		CREATE TRIGGER disk_full BEFORE UPDATE OF position ON pupwasm.segments FOR EACH ROW
		WHEN (new.position > old.position) EXECUTE FUNCTION pupwasm.disk_full();`
	diskFree = "DROP TRIGGER disk_full ON pupwasm.segments; DROP FUNCTION pupwasm.disk_full;"
	holding  = `BEGIN; SELECT pupwasm.append('Test', 'Note', 'n9', '[{"event_type": "Fine"}]'); SELECT pg_sleep(3600);`
)

// TestNight_thePageIsTrue plays the incidents of docs/night.md: it runs the commands of the page, one after the other,
// each until it prints what the page has.
func TestNight_thePageIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "night.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := pageSteps(strings.ReplaceAll(string(page), "localhost:9464", freeAddress(t)))
	if len(steps) < 30 {
		t.Fatalf("the page has %d commands", len(steps))
	}
	db := pgtest.New(t)
	folder := nightFolder(t, db.Server.Tool("psql"))
	s := startShell(t, folder, "PUPWASM_DATABASE_URL="+db.DSN,
		"PATH="+filepath.Join(folder, "tools")+":"+filepath.Dir(binary(t))+":"+os.Getenv("PATH"))
	for _, step := range steps {
		if strings.HasPrefix(step.command, "pupwasm append") || strings.HasPrefix(step.command, "psql -q -f") {
			if got := s.run(step.command); !step.want.MatchString(plainOutput(got)) {
				t.Fatalf("$ %s\nprints\n%s\nthe page has\n%s", step.command, got, step.text)
			}
			continue
		}
		var got string
		testwait.Until(t, "$ "+step.command+" prints what the page has, "+step.text, func() bool {
			got = s.run(step.command)
			return step.want.MatchString(plainOutput(got))
		})
	}
}

// freeAddress is one of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nightFolder is where the incidents are played.
func nightFolder(t *testing.T, psql string) string {
	t.Helper()
	folder := storyFolder(t)
	line := func(stream, eventType string) string {
		return fmt.Sprintf(`{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":%q,"event_type":%q}`+"\n", stream, eventType)
	}
	if err := os.Mkdir(filepath.Join(folder, "tools"), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := hosttest.Guest{Describe: `{"name":"misbehave","version":1,"tables":[{"name":"rows","key":["other"],"columns":[` +
		`{"name":"other","type":"text"}]}]}`}
	for name, content := range map[string]string{
		"more.jsonl": line("n7", "Fine") + line("n8", "Fine"), "late.jsonl": line("n4", "Fine"), "bad.wasm": string(bad.Wasm()),
		"disk-full.sql": diskFull, "disk-free.sql": diskFree, "hold.sql": holding,
		"tools/psql": "#!/bin/sh\nexec " + psql + " -X \"$PUPWASM_DATABASE_URL\" \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
