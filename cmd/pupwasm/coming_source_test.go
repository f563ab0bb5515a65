package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// comingPage is docs/coming-from-pupsourcing.md.
func comingPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "coming-from-pupsourcing.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// pageBlock is the block of code of a language that follows a text of the page, which is there once.
func pageBlock(t *testing.T, page, after, language string) string {
	t.Helper()
	if strings.Count(page, after) != 1 {
		t.Fatalf("the page has %q %d times", after, strings.Count(page, after))
	}
	_, page, _ = strings.Cut(page, after)
	block := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$").FindStringSubmatch(page)
	if block == nil {
		t.Fatalf("no %s follows %q", language, after)
	}
	return block[1]
}

// The texts before the scripts of the page.
const (
	lookFirst    = "### Look first\n"
	copyScript   = "`copy.sql`:\n"
	exportScript = "`export.sql` for PostgreSQL:\n"
	exportSQLite = "`export-sqlite.sql`:\n"
	checkScript  = "### Check it\n"
	perStream    = "and `diff` what they print:\n"
)

// theirPostgres makes tables of pupsourcing with events in a database, and ours beside them.
func theirPostgres(t *testing.T, schema string, events []theirEvent) (pgtest.Database, *pgx.Conn) {
	t.Helper()
	db := pgtest.New(t)
	conn := db.Connect(t)
	tables, err := os.ReadFile(filepath.Join("testdata", "pupsourcing", schema))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, conn, string(tables))
	for _, e := range events {
		insertTheirs(t, conn, e)
	}
	return db, conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
}

func insertTheirs(t *testing.T, conn *pgx.Conn, e theirEvent) {
	t.Helper()
	columns, values := "aggregate_type, aggregate_id, aggregate_version, event_id, event_type, event_version, payload, "+
		"trace_id, correlation_id, causation_id, metadata, created_at",
		"$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::jsonb, $12"
	args := []any{
		e.kind, e.id, e.version, e.eventID, e.name, e.schema, e.payload, e.trace, e.correlation, e.causation, e.metadata,
		e.created,
	}
	if e.context != "" {
		columns, values, args = columns+", bounded_context", values+", $13", append(args, e.context)
	}
	execute(t, conn, "INSERT INTO events ("+columns+") VALUES ("+values+")", args...)
}

// theirSQLite makes a file of getpup/pupsourcing with events, as its adapter writes them.
func theirSQLite(t *testing.T, events []theirEvent) *sql.DB {
	t.Helper()
	db, err := driver.Open("file:"+filepath.Join(t.TempDir(), "old.db"), func(c *sqlite3.Conn) error {
		// As the program sqlite3 has it.
		return c.CreateFunction("base64", 1, sqlite3.DETERMINISTIC, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
			encoded, lines := base64.StdEncoding.EncodeToString(arg[0].RawBlob()), ""
			for ; len(encoded) > 72; encoded = encoded[72:] {
				lines += encoded[:72] + "\n"
			}
			ctx.ResultText(lines + encoded + "\n")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tables, err := os.ReadFile(filepath.Join("testdata", "pupsourcing", "sqlite.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(tables)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		var metadata []byte // which is stored as a blob
		if e.metadata != nil {
			metadata = []byte(*e.metadata)
		}
		if _, err := db.Exec(`INSERT INTO events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id,
			event_type, event_version, payload, trace_id, correlation_id, causation_id, metadata, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.context, e.kind, e.id, e.version, e.eventID.String(), e.name, e.schema,
			append([]byte{}, e.payload...), e.trace, e.correlation, e.causation, metadata,
			e.created.Format("2006-01-02 15:04:05.999999")); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// assertMoved compares every event of a database with those that were there, field by field and in order.
func assertMoved(t *testing.T, database string, events []theirEvent, context string) {
	t.Helper()
	got := strings.SplitAfter(run(t, database, "events", "--json", "--limit", "0"), "\n")
	got = got[:len(got)-1]
	if len(got) != len(events) {
		t.Fatalf("%d events are there, want %d", len(got), len(events))
	}
	for i, line := range got {
		var event ourEvent
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		whole := decodeJSON(line).(map[string]any)
		event.Metadata = map[string]any{}
		if metadata, is := whole["metadata"]; is {
			event.Metadata = metadata
		}
		event.Base64 = append([]byte{}, append(event.Base64, event.Payload...)...)
		event.Payload, event.Created = nil, event.Created.UTC()
		want := events[i].moved(context)
		want.Base64 = append([]byte{}, want.Base64...)
		if !reflect.DeepEqual(event, want) {
			t.Fatalf("event %d is\n%+v\nwant\n%+v", i+1, event, want)
		}
	}
}

// printed is what psql -At prints of a query.
func printed(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	rows, err := conn.Query(context.Background(), query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	var lines strings.Builder
	for rows.Next() {
		fields := make([]string, 0, 6)
		for _, field := range rows.RawValues() {
			fields = append(fields, string(field))
		}
		lines.WriteString(strings.Join(fields, "|") + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return lines.String()
}

// printedBySQLite is what sqlite3 prints of a query of one column.
func printedBySQLite(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

// feedAppend gives lines to 'pupwasm append'.
func feedAppend(t *testing.T, database, lines string, args ...string) {
	t.Helper()
	cmd := command(database, append([]string{"append"}, args...)...)
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pupwasm append: %v: %s", err, out)
	}
}

// assertPrintsTheSame runs a program of the page on a script, where this machine has it.
func assertPrintsTheSame(t *testing.T, want, script, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Logf("%s is not here", program)
		return
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, errs.String())
	}
	if out.String() != want {
		t.Errorf("%s prints other lines: %.2000s", program, out.String())
	}
}
