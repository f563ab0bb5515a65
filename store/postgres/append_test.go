package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

func TestAppendTx_isDecidedByTheCallersTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	execute(t, db.Connect(t), "CREATE TABLE state (n int)")
	for _, commit := range []bool{false, true} {
		tx := begin(t, db.Connect(t))
		_, err := tx.Exec(ctx, "INSERT INTO state VALUES (1)")
		must(t, err)
		for range 2 {
			_, err = s.AppendTx(ctx, tx, store.AppendOptions{},
				store.StreamAppend{Stream: stream("a"), Events: events(2)})
			must(t, err)
		}
		end(t, tx, commit)
	}
	wantRows(t, db, "SELECT (SELECT count(*) FROM state), count(*), max(aggregate_version) FROM pupwasm.events",
		"1 4 4")
}

func TestAppendTx_aSavepointOutlivesAConflict(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	appendOne(t, s, "a")
	tx := begin(t, db.Connect(t))
	savepoint, err := tx.Begin(ctx)
	must(t, err)
	_, err = s.AppendTx(ctx, savepoint, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Expected: store.NoStream(), Events: events(1)})
	var conflict *store.VersionConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 1 {
		t.Errorf("got %v", err)
	}
	must(t, savepoint.Rollback(ctx))
	_, err = s.AppendTx(ctx, tx, store.AppendOptions{}, store.StreamAppend{
		Stream:   stream("a"),
		Expected: store.Exact(1), Events: events(1),
	})
	must(t, err)
	end(t, tx, true)
	wantRows(t, db, "SELECT max(aggregate_version) FROM pupwasm.events", "2")
}

// TestAppend_olderSnapshot appends in transactions that do not see what others have appended since they began.
func TestAppend_olderSnapshot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	for _, isolation := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		id := string(isolation)
		appendOne(t, s, id)
		for _, expected := range []store.Expected{store.Any(), store.Exact(1)} {
			tx, err := db.Connect(t).BeginTx(ctx, pgx.TxOptions{IsoLevel: isolation})
			must(t, err)
			_, err = tx.Exec(ctx, "SELECT count(*) FROM pupwasm.events")
			must(t, err)
			appendOne(t, s, id)
			_, err = s.AppendTx(ctx, tx, store.AppendOptions{},
				store.StreamAppend{Stream: stream("other" + id), Events: events(1)},
				store.StreamAppend{Stream: stream(id), Expected: expected, Events: events(1)})
			var conflict *store.VersionConflictError
			switch {
			case expected == store.Any() && !errors.Is(err, store.ErrTransient):
				t.Errorf("%s, any version: %v, want it to pass when repeated", isolation, err)
			case expected != store.Any() && !(errors.As(err, &conflict) && conflict.Stream == stream(id)) &&
				!errors.Is(err, store.ErrTransient):
				t.Errorf("%s, version 1: %v", isolation, err)
			}
			end(t, tx, false)
		}
	}
}

// TestAppend_overtakenByAWriterPastTheStore has somebody insert the next version directly while an append runs.
func TestAppend_overtakenByAWriterPastTheStore(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	for _, expected := range []store.Expected{store.Any(), store.Exact(1)} {
		id := "a, b) and " + expected.String()
		appendOne(t, s, id)
		tx := begin(t, db.Connect(t))
		insertIn(t, tx, id, 2)
		result := make(chan error)
		go func() {
			_, err := s.Append(ctx, store.AppendOptions{},
				store.StreamAppend{Stream: stream("first"), Events: events(1)}, store.StreamAppend{
					Stream:   stream(id),
					Expected: expected, Events: events(1),
				})
			result <- err
		}()
		awaitBlocked(t, db)
		end(t, tx, true)
		err := <-result
		var conflict *store.VersionConflictError
		switch {
		case expected == store.Any() && !errors.Is(err, store.ErrTransient):
			t.Errorf("any version: %v", err)
		case expected != store.Any() && (!errors.As(err, &conflict) || conflict.Stream != stream(id) ||
			conflict.Actual != -1):
			t.Errorf("%s: %v", expected, err)
		}
	}
}

func TestAppend_otherUniqueViolationsAreNotConflicts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	execute(t, db.Connect(t), "CREATE UNIQUE INDEX one_trace ON pupwasm.events (trace_id)")
	one := store.StreamAppend{Stream: stream("a"), Events: []store.Event{{Type: "x", TraceID: "t"}}}
	_, err := s.Append(t.Context(), store.AppendOptions{}, one)
	must(t, err)
	_, err = s.Append(t.Context(), store.AppendOptions{}, one)
	var conflict *store.VersionConflictError
	var duplicate *store.DuplicateEventError
	var pg *pgconn.PgError
	if errors.As(err, &conflict) || errors.As(err, &duplicate) || errors.Is(err, store.ErrTransient) ||
		!errors.As(err, &pg) {
		t.Errorf("got %v", err)
	}
}

// psql runs SQL with the client program and returns its output, fields parted by a bar.
func psql(t *testing.T, db pgtest.Database, sql string) (string, error) {
	t.Helper()
	program := db.Server.Tool("psql")
	if program == "" {
		t.Skip("psql is not installed")
	}
	cmd := exec.CommandContext(t.Context(), program, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", db.DSN)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestSQL_append(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	steps := []struct{ name, sql, want string }{
		{"defaults", `SELECT global_position, aggregate_version, event_id IS NOT NULL
			FROM pupwasm.append('shop', 'order', '1', '[{"event_type": "placed", "payload": {"n": 1.50}}, {"event_type": "paid"}]')`, "1|1|t\n2|2|t"},
		{"everything", `SELECT aggregate_version FROM pupwasm.append('shop', 'order', '1',
			'[{"event_type": "sent", "event_id": "00000000-0000-0000-0000-000000000009",
			"event_version": 3, "payload_base64": "AP8=", "metadata": {"a": 1}, "trace_id": "t", "correlation_id": "c", "causation_id": "b", "created_at": "2020-01-02T03:04:05Z"}]', 2)`, "3"},
		{"no stream", `SELECT aggregate_version FROM pupwasm.append('shop', 'order', '2',
			'[{"event_type": "placed"}]', 0)`, "1"},
		{"nothing", `SELECT aggregate_version FROM pupwasm.append('shop', 'order', '3', '[]')`, ""},
		{
			"arrays", `SELECT ordinal, event_id, global_position, aggregate_version
				FROM pupwasm.append_events(ARRAY['shop', 'shop'], ARRAY['order', 'order'], ARRAY['1', '4'],
			ARRAY[pupwasm.fnv1a32('1'), pupwasm.fnv1a32('4')], ARRAY[2, 1, 2], ARRAY[0, 3, -1],
			ARRAY['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b',
			'00000000-0000-0000-0000-00000000000c']::uuid[],
			ARRAY['x', 'y', 'z'], ARRAY[1, 1, 1], ARRAY['', '', '']::bytea[], ARRAY[NULL, '{}', '{}']::jsonb[],
			ARRAY[NULL, NULL, NULL], ARRAY[NULL, NULL, NULL], ARRAY[NULL, NULL, NULL], ARRAY[NULL, NULL,
			NULL]::timestamptz[])`,
			"1|00000000-0000-0000-0000-00000000000a|5|1\n2|00000000-0000-0000-0000-00000000000b|6|4\n3|00000000-0000-0000-0000-00000000000c|7|2",
		},
	}
	for _, step := range steps {
		if got, err := psql(t, db, step.sql); err != nil || got != step.want {
			t.Errorf("%s: %q, %v, want %q", step.name, got, err, step.want)
		}
	}
	failures := []struct{ name, sql, words string }{
		{
			"conflict", `SELECT pupwasm.append('shop', 'order', '1', '[{"event_type": "placed"}]', 0)`,
			"event 1: the stream is at version 4",
		},
		{"duplicate", `SELECT pupwasm.append('shop', 'order', '9',
			'[{"event_type": "x", "event_id": "00000000-0000-0000-0000-000000000009"}]')`, "events_event_id_key"},
		{"no type", `SELECT pupwasm.append('shop', 'order', '9', '[{}]')`, "event_type"},
	}
	for _, f := range failures {
		if got, err := psql(t, db, f.sql); err == nil || !strings.Contains(got, f.words) {
			t.Errorf("%s: %q, %v, want %q", f.name, got, err, f.words)
		}
	}
	first, err := s.ReadStream(t.Context(), stream("1"), 1, 3)
	must(t, err)
	got := fmt.Sprintf("%s %s | %s %q %s | %v %s %d %x %s %s %s %s %s", first[0].Payload, first[0].Metadata,
		first[1].Type, first[1].Payload, first[1].Metadata,
		first[2].ID, first[2].Type, first[2].Version, first[2].Payload, first[2].Metadata, first[2].TraceID,
		first[2].CorrelationID, first[2].CausationID, first[2].CreatedAt)
	want := `{"n": 1.50} {} | paid "" {} | 00000000-0000-0000-0000-000000000009 sent 3 00ff {"a": 1} t c b 2020-01-02 03:04:05 +0000 UTC`
	if got != want {
		t.Errorf("stored\n%s, want\n%s", got, want)
	}
	if first[0].PartitionHash != store.PartitionHash("1") {
		t.Errorf("the hash is %d, want %d", first[0].PartitionHash, store.PartitionHash("1"))
	}
}

func TestSQL_insertWithTheLeast(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	if out, err := psql(t, db, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
		aggregate_version, event_type, payload)
		VALUES ('shop', 'order', 'ü🦀', 1, 'placed', 'plain')`); err != nil {
		t.Fatal(out, err)
	}
	got, err := s.ReadStream(t.Context(), stream("ü🦀"), 1, 0)
	must(t, err)
	e := got[0]
	if e.PartitionHash != store.PartitionHash("ü🦀") || e.Version != 1 || string(e.Metadata) != "{}" ||
		e.ID == (store.UUID{}) || e.CreatedAt.IsZero() || e.Position != 1 {
		t.Errorf("stored %+v", e)
	}
	appended, err := s.Append(t.Context(), store.AppendOptions{},
		store.StreamAppend{Stream: stream("ü🦀"), Expected: store.Exact(1), Events: events(1)})
	must(t, err)
	if appended[0].AggregateVersion != 2 {
		t.Errorf("after a direct insert comes version %d", appended[0].AggregateVersion)
	}
	for _, wrong := range []string{
		`INSERT INTO pupwasm.events (global_position, bounded_context, aggregate_type, aggregate_id,
			aggregate_version, event_type, payload) VALUES (1000, 'c', 't', 'i', 1, 'e', '')`,
		`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
			event_type, payload) VALUES ('c', 't', 'i', 0, 'e', '')`,
		`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
			event_type, payload, partition_hash) VALUES ('c', 't', 'i', 1, 'e', '', -1)`,
		`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
			event_type, payload, partition_hash) VALUES ('c', 't', 'i', 1, 'e', '', 4294967296)`,
	} {
		if out, err := psql(t, db, wrong); err == nil {
			t.Errorf("accepted: %s: %s", wrong, out)
		}
	}
}

// TestSQL_writerWithFewRights inserts as a role that may do nothing else.
func TestSQL_writerWithFewRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	appendOne(t, s, "a")
	conn := db.Connect(t)
	role := "writer_" + conn.Config().Database
	execute(t, conn, fmt.Sprintf("CREATE ROLE %[1]s; GRANT USAGE ON SCHEMA pupwasm TO %[1]s; GRANT INSERT ON "+
		"pupwasm.events TO %[1]s", role))
	t.Cleanup(func() { execute(t, conn, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	writer := db.Connect(t)
	execute(t, writer, "SET ROLE "+role)
	tx := begin(t, writer)
	insertIn(t, tx, "b", 1)
	head := appendOne(t, s, "a")
	if h, want := horizonOf(t, s), (store.Horizon{
		Position: 1, Head: head,
		Holder: int(writer.PgConn().PID()),
	}); h != want {
		t.Errorf("the horizon is %+v, want %+v", h, want)
	}
	end(t, tx, true)
}

func TestPartitionHash_isTheSameInTheDatabase(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.StringN(0, 40, 800).Filter(func(s string) bool {
			return !strings.ContainsRune(s,
				0)
		}), 1, 50).Draw(t, "ids")
		rows, err := conn.Query(context.Background(), "SELECT pupwasm.fnv1a32(id) FROM unnest($1::text[]) WITH "+
			"ORDINALITY AS g (id, o) ORDER BY o", ids)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if hashes[i] != int64(store.PartitionHash(id)) {
				t.Fatalf("%q: %d in the database, %d here", id, hashes[i], store.PartitionHash(id))
			}
		}
	})
}

// badValues are what PostgreSQL's columns cannot hold.
var badValues = map[string]store.Event{
	"half a character":  {Type: "x", Metadata: []byte(`{"a": "\ud800"}`)},
	"an endless number": {Type: "x", Metadata: []byte(`{"a": 1e400000}`)},
	"a time too far":    {Type: "x", CreatedAt: time.Date(294300, 1, 1, 0, 0, 0, 0, time.UTC)},
	"a time too early":  {Type: "x", CreatedAt: time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)},
}

func TestAppend_valuesThatNoColumnHolds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for name, event := range badValues {
		_, err := s.Append(t.Context(), store.AppendOptions{},
			store.StreamAppend{Stream: stream("a"), Events: []store.Event{event}})
		var input *store.InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events", "0")
}

// TestAppendSQLTx_joinsATransactionOfDatabaseSQL appends one event, several, and one that conflicts, in a transaction
// that ends either way.
func TestAppendSQLTx_joinsATransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	handle, err := sql.Open("pgx", db.DSN)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	for _, commit := range []bool{false, true} {
		tx, err := handle.BeginTx(t.Context(), nil)
		must(t, err)
		for _, n := range []int{1, 3} {
			appended, err := s.AppendSQLTx(t.Context(), tx, store.AppendOptions{},
				store.StreamAppend{Stream: stream("a"), Events: events(n)})
			must(t, err)
			if len(appended) != n || appended[n-1].Position == 0 {
				t.Errorf("appended %+v", appended)
			}
		}
		if commit {
			must(t, tx.Commit())
		} else {
			must(t, tx.Rollback())
		}
		if recorded, err := s.ReadStream(t.Context(), stream("a"), 1, 0); commit && len(recorded) != 4 || !commit &&
			len(recorded) != 0 {
			t.Errorf("commit %t: %d events are there, %v", commit, len(recorded), err)
		}
	}
	tx, err := handle.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	var conflict *store.VersionConflictError
	_, err = s.AppendSQLTx(t.Context(), tx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Expected: store.NoStream(), Events: events(1)})
	if !errors.As(err, &conflict) || conflict.Actual != 4 {
		t.Errorf("the conflict is %v", err)
	}
}

// TestAppendSQLTx_refusesAnotherEncoding has the connection set to one.
func TestAppendSQLTx_refusesAnotherEncoding(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	handle, err := sql.Open("pgx", db.DSN)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	tx, err := handle.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), "SET LOCAL client_encoding = LATIN1")
	must(t, err)
	_, err = open(t, db).AppendSQLTx(t.Context(), tx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: events(1)})
	if err == nil || !strings.Contains(err.Error(), "client_encoding LATIN1") {
		t.Errorf("the append returns %v", err)
	}
}
