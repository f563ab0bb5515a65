package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestDoors_whatComesInComesOutAndGoesInAgain writes unusual events by every door of PostgreSQL, in a session
// in another time zone. What events --json prints must go in again, into both kinds of database, and come out
// as the same text.
func TestDoors_whatComesInComesOutAndGoesInAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	run(t, db.DSN, "migrate", "up")
	conn := db.Connect(t)
	const columns = "(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload, metadata, created_at, event_version, trace_id)"
	for _, statement := range []string{
		"SET TIME ZONE 'Asia/Tokyo'",
		`INSERT INTO pupwasm.events ` + columns + ` VALUES
			(' ', repeat(E'\u0001', 800), repeat('🦀', 200), 1, E'"\\\n\u2028', convert_to('"\u0000\ud800"', 'UTF8'), '{"q": 1e309, "s": "\u0007é", "d": 1, "d": 2}',
				'9999-12-31 23:59:59.999999+00', 2147483647, repeat('ü', 400)),
			('C', 'T', 'i', 1, 'E', convert_to(E' {"a":\n1}', 'UTF8') || '\xff00', ('{"a":[1' || repeat(',1', 349520) || ']}')::jsonb, '0001-01-01 00:00:00.000001+00', 1, ''),
			('C', 'T', 'i', 2, 'E', '', ('{"a":' || repeat('[', 9000) || repeat(']', 9000) || '}')::jsonb, '1883-11-18 12:00:00.5+00', 1, NULL),
			('C', 'T', 'i', 3, 'E', convert_to(repeat('[', 20000) || repeat(']', 20000), 'UTF8'), '{}', '2016-12-31 23:59:60+00', 1, NULL)`,
		`SELECT pupwasm.append('C', 'T', 'j', '[{"event_type": "E", "payload": 12345678901234567890.10e400, "created_at": "1990-12-31t15:59:60.5-08:00"},
			{"event_type": "\u0041\n", "payload": "\u0001\ud83d\ude00", "metadata": {"n": null}}, {"event_type": "E", "payload_base64": "AA=="}]')`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err := conn.PgConn().CopyFrom(t.Context(),
		strings.NewReader("C\tT\tk\t1\tE\t\\\\x7b7d\t{\"a\": 1}\t2024-05-06 07:08:09.123456+09\t7\t\\N\n"),
		"COPY pupwasm.events "+columns+" FROM STDIN")
	if err != nil {
		t.Fatal(err)
	}
	exported := run(t, db.DSN, "events", "--json", "--limit", "0")
	if strings.Count(exported, "\n") != 8 {
		t.Fatalf("%d lines come out", strings.Count(exported, "\n"))
	}
	for _, database := range []string{pgtest.Empty(t).DSN, "sqlite:" + filepath.Join(t.TempDir(), "copy.db")} {
		given := exported
		if strings.HasPrefix(database, "sqlite:") {
			// SQLite's functions read JSON that is nested 1,000 deep.
			lines := strings.SplitAfter(exported, "\n")
			given = strings.Join(append(lines[:2:2], lines[3:]...), "")
		}
		cmd := command(database, "append", "-")
		cmd.Stdin = strings.NewReader(given)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %.500s", err, out)
		}
		again := run(t, database, "events", "--json", "--limit", "0")
		if strings.HasPrefix(database, "sqlite:") {
			given, again = withoutPlaces(given), withoutPlaces(again)
		}
		if again != given {
			t.Errorf("%s: what comes out differs from what went in", database)
		}
	}
}

// withoutPlaces leaves out positions and versions, which a log gives itself.
func withoutPlaces(lines string) string {
	var kept strings.Builder
	for line := range strings.Lines(lines) {
		_, line, _ = strings.Cut(line, `"bounded_context"`)
		before, after, _ := strings.Cut(line, `,"aggregate_version":`)
		_, after, _ = strings.Cut(after, ",")
		kept.WriteString(before + after)
	}
	return kept.String()
}
