package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// unusualSettings are settings that somebody may have made for a database or a role, none of which pupwasm may
// depend on. Each list is in force at once.
var unusualSettings = map[string][]string{
	"formats": {
		"quote_all_identifiers = on", "datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'",
		"timezone = 'Asia/Kathmandu'", "search_path = decoy",
		"standard_conforming_strings = off", "escape_string_warning = off", "backslash_quote = off",
		"extra_float_digits = -15", "bytea_output = escape",
		"xmloption = document", "array_nulls = off", "transform_null_equals = on",
		"default_text_search_config = 'pg_catalog.german'", "timezone_abbreviations = 'India'",
		"client_min_messages = debug1",
	},
	"transactions": {
		"default_transaction_isolation = serializable", "default_transaction_deferrable = on", "row_security = off",
		"check_function_bodies = off",
		"default_tablespace = nosuch", "temp_tablespaces = nosuch", "session_replication_role = replica",
		"synchronous_commit = off",
		"idle_in_transaction_session_timeout = '30s'", "statement_timeout = '30s'", "lock_timeout = '30s'",
		"pupwasm.notify = on", "search_path = ''",
	},
	"plans": {
		"default_transaction_isolation = 'repeatable read'", "session_replication_role = local",
		"plan_cache_mode = force_generic_plan", "gin_fuzzy_search_limit = 10", "constraint_exclusion = on",
		"work_mem = '64kB'", "datestyle = 'SQL, MDY'", "intervalstyle = 'iso_8601'",
		"extra_float_digits = 3", "default_toast_compression = pglz", "client_min_messages = error",
		"quote_all_identifiers = on",
	},
}

// TestSettings_ofTheDatabaseAndTheRoleDoNotMatter sets a database up, runs a projection and resets it, with
// settings for the database and for the role.
func TestSettings_ofTheDatabaseAndTheRoleDoNotMatter(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"DATABASE", "ROLE"} {
		t.Run(strings.ToLower(of), func(t *testing.T) {
			t.Parallel()
			server := pgtest.Shared(t)
			admin := connectTo(t, server.DSN)
			role := "unusual_" + strings.ToLower(of)
			execute(t, admin, "CREATE ROLE "+role+" SUPERUSER LOGIN")
			t.Cleanup(func() { execute(t, admin, "DROP ROLE "+role) })
			db := pgtest.Empty(t)
			database := ask(t, db, "SELECT current_database()")[0][0]
			target := "DATABASE " + database
			if of == "ROLE" {
				target = "ROLE " + role + " IN DATABASE " + database
			}
			db.DSN = strings.Replace(db.DSN, "postgres@", role+"@", 1)
			execute(t, db.Connect(t),
				`CREATE SCHEMA decoy; CREATE TABLE decoy.events (x int); CREATE TABLE decoy.projections (x int)`)
			for name, settings := range unusualSettings {
				execute(t, admin, "ALTER "+target+" RESET ALL")
				for _, setting := range settings {
					// or it is of another version of the server
					if key, _, _ := strings.Cut(setting, " "); hasSetting(t, admin, key) {
						execute(t, admin, "ALTER "+target+" SET "+setting)
					}
				}
				db.Schema = name
				t.Run(name, func(t *testing.T) { useWhole(t, db) })
			}
		})
	}
}

func hasSetting(t *testing.T, conn *pgx.Conn, name string) bool {
	t.Helper()
	return strings.Contains(name, ".") || query(t, conn, "SELECT count(*) FROM pg_settings WHERE lower(name) = '"+
		strings.ToLower(name)+"'")[0][0] == "1"
}

func connectTo(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// useWhole uses everything once, in a schema of its own.
func useWhole(t *testing.T, db pgtest.Database) {
	t.Helper()
	ctx := t.Context()
	s, err := postgres.OpenBackend(db.WithSchema(t, db.Schema).DSN, postgres.Options{Schema: db.Schema, ConnectionsMax: 2})
	must(t, err)
	defer s.Close()
	must(t, s.Ping(ctx))
	appended, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream(`a\b'c`),
		Events: events(3),
	})
	must(t, err)
	p := everything()
	for range 2 {
		_, err = s.Install(ctx, p, 4)
		must(t, err)
	}
	must(t, s.Reshard(ctx, p.ID(), func(l *store.Layout) error { return l.Resize(1) }))
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w", Segments: 1, Projections: []store.Membership{{ProjectionID: p.ID()}}}, time.Minute))
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
	must(t, err)
	var page store.Page
	must(t, s.Read(ctx, store.ReadRequest{
		Through: appended[2].Position, Limit: 10, Range: claims[0].Range,
		Columns: store.AllColumns,
	}, &page))
	if len(page.Events) != 3 || page.Events[0].AggregateID != `a\b'c` || string(page.Events[0].Payload) != `{"n":1}` ||
		time.Since(page.Events[0].CreatedAt).Abs() > time.Minute {
		t.Errorf("read %+v", page.Events)
	}
	catalogue, err := s.Install(ctx, p, 4)
	must(t, err)
	unit := catalogue.Begin(claims[0])
	defer unit.Rollback()
	var rows store.Rows
	must(t, unit.Query(ctx, 0, nil, &rows))
	moment := time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC).UnixMicro()
	key := []store.Value{store.Text("k"), store.BytesOf(store.KindUUID, make([]byte, 16))}
	steps := store.NewFolder(p).Fold([]store.Mutation{
		{Write: 0, Values: append(key[:2:2], store.I64(5), store.F64(0.1),
			store.BytesOf(store.KindNumeric, []byte("1.50")), store.Timestamp(moment),
			store.ArrayOf(store.KindText, []store.Value{
				store.Text("x\\y"),
				store.Null(),
			}), store.BytesOf(store.KindJSON, []byte(`{"a":1}`)),
			store.BytesOf(store.KindBytes, []byte{0, 255, '\\'}))},
		{Write: 1, Values: key[:1]},
	})
	must(t, unit.Commit(ctx, store.Commit{Through: 3, Steps: steps, Log: claims[0].Applied.Log}))
	again := catalogue.Begin(store.Claim{})
	must(t, again.Query(ctx, 0, nil, &rows))
	again.Rollback()
	want := `k 6 0.1 1.50 2026-02-03 04:05:06.000789+00 {"x\\y",NULL} {"a": 1} \x00ff5c it's "so" \ 1 mon 1 day 02:00:00 2020-02-01 02:00:00`
	if len(rows.Values) != 1 || string(rows.Values[0].Bytes()) != want {
		t.Errorf("the row is %s, want %s", rows.Values[0].Bytes(), want)
	}
	status, err := s.Status(ctx)
	must(t, err)
	if len(status) != 1 || status[0].Segments[0].Position != 3 || status[0].Segments[0].Failure != "" {
		t.Errorf("status is %+v", status)
	}
	_, err = s.Arm(ctx, store.Listener{Name: "w"}, time.Minute)
	must(t, err)
	must(t, s.Disarm(ctx, store.Listener{Name: "w"}))
	must(t, s.Leave(ctx, store.Worker{Name: "w"}))
	must(t, s.Reset(ctx, p.Name))
}

// everything is a projection whose declaration and statements depend on as many settings as possible.
func everything() *store.Projection {
	return &store.Projection{
		Name: "whole", Version: 1,
		Tables: []store.Table{
			{
				Name: "order", Key: []string{"name", "id"}, Indexes: [][]string{{"at"}, {"exact", "n"}},
				Columns: []store.Column{
					{Name: "name", Type: typed("text"), Partition: true},
					{Name: "id", Type: typed("uuid")},
					{Name: "n", Type: typed("i64"), Default: []byte("-7"), NotNull: true},
					{Name: "f", Type: typed("f64"), Default: []byte("0.1")},
					{Name: "exact", Type: typed("numeric"), Default: []byte("-1.50")},
					{Name: "at", Type: typed("timestamptz")},
					{Name: "tags", Type: typed("text[]")},
					{Name: "data", Type: typed("json")},
					{Name: "raw", Type: typed("bytes")},
					{Name: "note", Type: typed("text"), Default: []byte(`"it's \"so\" \\"`)},
				},
			},
			{
				Name: "made", Key: []string{"id"}, Columns: []store.Column{
					{Name: "id", Type: typed("text")},
					{Name: "n", Type: typed("f64"), Default: []byte("0.5")},
					{
						Name: "at", Type: typed("timestamptz"),
						Generated: anySQL(`CASE WHEN id <> '' THEN timestamptz '2020-02-01 00:00:00Z' END`),
					},
					{
						Name: "days", Type: typed("i64"),
						Generated: anySQL(`extract(epoch FROM interval '1 month 1 day 2 hours') / 86400`),
					},
				},
				Checks: []store.Check{{Name: "large", SQL: anySQL(`n > 0.1 AND id <> 'x\y' AND at > '2020-01-01 00:00:00Z'`)}},
			},
		},
		Views: []store.View{{Name: "shown", SQL: anySQL(`SELECT id, at::text AS at, n::text AS n,
			interval '1 month 1 day 2 hours' AS span, '\x41' AS raw FROM {made} WHERE NOT id = NULL IS TRUE`)}},
		Writes: []store.Write{
			{Name: "put", Action: store.Upsert, Table: "order", Columns: []store.WriteColumn{
				{Name: "n", Action: store.ActionAdd},
				{Name: "f"},
				{Name: "exact", Action: store.ActionAdd},
				{Name: "at", Action: store.ActionMax},
				{Name: "tags"},
				{Name: "data"},
				{Name: "raw"},
			}},
			{
				Name: "raise", SQL: anySQL(`UPDATE {order} SET n = n + 1 WHERE name = $1
				AND at > '2020-02-01 00:00:00Z' AND NOT name = NULL IS TRUE`), Params: []store.Type{typed("text")},
				PartitionParam: 1,
			},
			{Name: "drop", Action: store.Delete, Table: "order"},
		},
		Queries: []store.Query{
			{
				Name: "all", Results: []store.Type{typed("text")}, Unordered: true,
				SQL: anySQL(`SELECT concat_ws(' ', name, n, f, exact, at, tags, data, raw, note,
					interval '1 month 1 day 2 hours', timestamptz '2020-02-01 00:00:00Z' AT TIME ZONE 'IST')
					FROM {order}`),
			},
			{Name: "load", Table: "order", Columns: []string{"n", "f", "at", "note"}},
		},
	}
}
