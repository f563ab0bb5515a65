package postgres_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// documented returns the block of docs/security.md that is marked with a name.
func documented(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs/security.md"))
	must(t, err)
	block := regexp.MustCompile("(?s)<!-- " + regexp.QuoteMeta(name) + " -->\n```[a-z]*\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatalf("docs/security.md has no block %s", name)
	}
	return string(block[1])
}

// TestBounds_theDocumentedConfigurationEndsAttacks applies what docs/security.md says to a server of its own, with
// small numbers where the documented ones would take long, and sees attacks end that no host can end.
func TestBounds_theDocumentedConfigurationEndsAttacks(t *testing.T) {
	t.Parallel()
	settings := []string{"fsync=off"}
	for line := range strings.Lines(documented(t, "postgresql.conf")) {
		line, _, _ = strings.Cut(line, "#")
		settings = append(settings, strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
	}
	server, err := pgtest.StartDurable(settings...)
	must(t, err)
	t.Cleanup(server.Stop)
	db := server.Database(t)
	admin := db.Connect(t)
	execute(t, admin, "CREATE ROLE pupwasm_host LOGIN")
	execute(t, admin, "DO $$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO "+
		"pupwasm_host'; END $$")
	role := documented(t, "role")
	execute(t, admin, role)
	asHost := strings.Replace(db.DSN, "postgres@", "pupwasm_host@", 1)
	host := connectTo(t, asHost)
	for _, set := range regexp.MustCompile(`SET (\w+) = '(\w+)'`).FindAllStringSubmatch(role, -1) {
		if got := query(t, host, "SELECT current_setting('"+set[1]+"')")[0][0]; got != set[2] {
			t.Errorf("the role has %s = %s, must have %s", set[1], got, set[2])
		}
	}
	must(t, host.Close(t.Context()))

	t.Run("temporary files", func(t *testing.T) {
		execute(t, admin, strings.Replace(role, "'1GB'", "'1MB'", 1))
		db := pgtest.Database{DSN: asHost, Schema: "pupwasm", Server: server}.WithSchema(t, "pupwasm")
		r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
		p := hostile(map[string]string{"sort": "SELECT count(*) FROM (SELECT repeat(md5(i::text), 300) AS s FROM " +
			"generate_series(1, 100000000) AS i ORDER BY 1) x"}, "i64")
		r.with(p)
		var rows store.Rows
		wantLimit(t, r.ask(p, &rows), `query "sort"`, "temp_file_limit", "(1024kB)")
		must(t, r.store.Release(t.Context(), r.claim))
		must(t, r.store.Reset(t.Context(), "sums"))
	})
	t.Run("a host that is gone", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), asHost+"&application_name=gone&statement_timeout=0")
		must(t, err)
		hijacked, err := conn.PgConn().Hijack()
		must(t, err)
		hijacked.Frontend.SendQuery(&pgproto3.Query{String: endless})
		must(t, hijacked.Frontend.Flush())
		running := func() string {
			return query(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gone' AND "+
				"state = 'active'")[0][0]
		}
		testwait.Until(t, "the statement runs", func() bool { return running() == "1" })
		must(t, hijacked.Conn.Close())
		testwait.Until(t, "the statement has ended", func() bool { return running() == "0" })
	})
	t.Run("memory of a process", func(t *testing.T) {
		if !strings.HasPrefix(documented(t, "limit"), "LimitAS=") {
			t.Error("the page does not say LimitAS")
		}
		prlimit, err := exec.LookPath("prlimit")
		if err != nil {
			t.Skip("there is no prlimit")
		}
		pid := query(t, admin, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0][0]
		if out, err := exec.Command(prlimit, "--pid", pid, "--as=700000000").CombinedOutput(); err != nil {
			t.Skipf("prlimit: %v: %s", err, out)
		}
		started := query(t, admin, "SELECT pg_postmaster_start_time()")
		db := pgtest.Database{DSN: asHost, Schema: "pupwasm", Server: server}
		r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, StatementTimeout: time.Hour, Lazy: true})
		p := hostile(map[string]string{"large": "SELECT cardinality(array_agg(repeat('x', 50000000 + " +
			"i::int)))::bigint FROM generate_series(1, 1000) AS i"}, "i64")
		r.with(p)
		var rows store.Rows
		wantLimit(t, r.ask(p, &rows), `query "large"`, "out of memory", "docs/security.md")
		must(t, r.commit(t.Context(), add("a", 1)))
		if now := query(t, admin, "SELECT pg_postmaster_start_time()"); now[0][0] != started[0][0] {
			t.Error("the server was restarted")
		}
	})
}
