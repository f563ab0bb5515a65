package main_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/web"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// questionsMax is how many queries a reading of the status may take.
const questionsMax = 6

// TestStatus_asksFewQuestionsOfMuch has 200 projections with 1,000 segments and 10,000 parked keys over a log of 50,000
// events. It counts, as the server does, the queries of 'status', of the API and of a scrape, and how often they read
// the log otherwise than by its index.
func TestStatus_asksFewQuestionsOfMuch(t *testing.T) {
	t.Parallel()
	server, err := pgtest.StartDurable("shared_preload_libraries=pg_stat_statements", "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := server.New(t)
	conn := db.Connect(t)
	for _, statement := range []string{
		"CREATE EXTENSION pg_stat_statements",
		`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload)
			SELECT 'C', 'T', 's' || g % 5000, 1 + g / 5000, 'E', '' FROM generate_series(0, 49999) g`,
		`INSERT INTO pupwasm.projections (name, version, segments, next_segment, declaration, shapes, live)
			SELECT 'p' || p, 1, 5, 5, '', '', true FROM generate_series(1, 200) p`,
		`INSERT INTO pupwasm.segments (projection, version, segment, first_hash, last_hash, position, log_id, last_position,
				last_event) SELECT 'p' || p, 1, s, s, s, e.global_position, l.id, e.global_position, e.event_id
			FROM generate_series(1, 200) p, generate_series(0, 4) s, pupwasm.log l, pupwasm.events e
			WHERE e.global_position = (SELECT min(global_position) FROM pupwasm.events) + p * s`,
		`INSERT INTO pupwasm.parked (projection, version, key, spread, first_position, events, event_id, error, attempts, tried)
			SELECT 'p' || 1 + k % 200, 1, convert_to(k::text, 'UTF8'), 0, 1, 3, gen_random_uuid(), 'no', 1, '{}'
			FROM generate_series(1, 10000) k`,
		"ANALYZE",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for name, path := range map[string]string{"status": "", "a scrape": "/metrics", "the API": "/api/v1/status"} {
		ask := func() { run(t, db.DSN, "status") }
		if path != "" {
			ask = handlerOf(t, db, path)
		}
		before := logScans(t, conn)
		began := time.Now()
		questions := questionsOf(t, conn, ask)
		t.Logf("%s: %d questions, %s", name, len(questions), time.Since(began).Round(time.Millisecond))
		if scans := logScans(t, conn) - before; len(questions) > questionsMax || scans != 0 {
			t.Errorf("%s scans the log %d times and asks %d questions: %q", name, scans, len(questions), questions)
		}
	}
}

// handlerOf is a request to a host of its own, which has no report from before.
func handlerOf(t *testing.T, db pgtest.Database, path string) func() {
	t.Helper()
	opened, err := postgres.Open(db.DSN, postgres.Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	backend := opened.Backend()
	host := web.NewHost(backend, backend, segments.Options{}, web.Build{})
	handler := host.Handler("", func() []segments.Progress { return nil })
	return func() {
		answer := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		request.RemoteAddr = "127.0.0.1:1"
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK || answer.Body.Len() < 10_000 {
			t.Errorf("%s answers %d: %.300s", path, answer.Code, answer.Body)
		}
	}
}

// questionsOf are the statements that something runs, each as often as it does.
func questionsOf(t *testing.T, conn *pgx.Conn, ask func()) (questions []string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "SELECT pg_stat_statements_reset()"); err != nil {
		t.Fatal(err)
	}
	ask()
	rows, err := conn.Query(t.Context(), `SELECT left(query, 60) FROM pg_stat_statements, generate_series(1, calls)
		WHERE toplevel AND query NOT LIKE '%pg_stat_%statements%'`)
	if err != nil {
		t.Fatal(err)
	}
	if questions, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatal(err)
	}
	return questions
}

// logScans is how often the whole log was read. What this connection has done itself is counted first.
func logScans(t *testing.T, conn *pgx.Conn) (scans int64) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "SELECT pg_stat_force_next_flush()"); err != nil {
		t.Fatal(err)
	}
	err := conn.QueryRow(t.Context(), "SELECT pg_stat_get_numscans('pupwasm.events'::regclass) FROM pg_stat_clear_snapshot()").
		Scan(&scans)
	if err != nil {
		t.Fatal(err)
	}
	return scans
}
