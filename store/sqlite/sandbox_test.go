package sqlite_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// victim is another projection whose tables must stay out of reach.
func victim() *store.Projection {
	p := totals()
	p.Name = "victim"
	return p
}

// withWrite is a projection with one SQL write of three text parameters.
func withWrite(sql string) *store.Projection {
	p := totals()
	p.Writes = []store.Write{{Name: "w", SQL: store.Statement{store.DialectSQLite: sql}, Params: []store.Type{text, text, text}, Unordered: true}}
	return p
}

// withQuery is a projection with one SQL query of one text parameter and one text result.
func withQuery(sql string) *store.Projection {
	p := totals()
	p.Queries = []store.Query{{Name: "q", SQL: store.Statement{store.DialectSQLite: sql}, Params: []store.Type{text}, Results: []store.Type{text}, Unordered: true}}
	return p
}

func refused(t *testing.T, p *store.Projection) string {
	t.Helper()
	s := openNew(t)
	install(t, s, victim(), 1)
	_, err := s.Install(t.Context(), p, 1)
	var fault *store.CatalogueError
	if !errors.As(err, &fault) {
		t.Fatalf("the projection was not refused: %v", err)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("the error has more than one line: %q", err)
	}
	status, err := s.Status(t.Context())
	if err != nil || len(status) != 1 {
		t.Errorf("a refused projection left something behind: %+v, %v", status, err)
	}
	return fault.Error()
}

func TestSandbox_refusesHostileWrites(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"INSERT INTO victim__total (id) VALUES ($1)",
		"UPDATE pupwasm__segments SET position = 0",
		"DELETE FROM pupwasm__events",
		"UPDATE {table} SET id = (SELECT max(id) FROM victim__total)",
		"UPDATE {table} SET id = e.event_type FROM pupwasm__events AS e",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_master",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_schema",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_sequence",
		"INSERT INTO {table} (id) SELECT name FROM temp.sqlite_master",
		"INSERT INTO {table} (id) SELECT name FROM pragma_table_info('pupwasm__events')",
		"INSERT INTO {table} (id) WITH x AS (SELECT event_type FROM pupwasm__events) SELECT * FROM x",
		"INSERT INTO {table} (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = (SELECT id FROM victim__total)",
		"INSERT INTO {table} (id) VALUES ($1) RETURNING (SELECT payload FROM pupwasm__events)",
		"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM pupwasm__events)",
		"DELETE FROM {table} WHERE (SELECT count(*) FROM pupwasm__events) > 1",
		"WITH x AS (SELECT 1 AS n FROM victim__total) DELETE FROM {table} WHERE amount IN x",
		"DELETE FROM {table}; DELETE FROM pupwasm__events",
		"DELETE FROM {table}; --\n DELETE FROM {table}",
		"DELETE FROM {table};\x00 DELETE FROM pupwasm__events",
		"PRAGMA journal_mode = DELETE",
		"PRAGMA writable_schema = ON",
		"ATTACH '/tmp/pupwasm-hostile.db' AS other",
		"DETACH main",
		"VACUUM",
		"VACUUM INTO '/tmp/pupwasm-hostile.db'",
		"REINDEX",
		"ANALYZE",
		"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a",
		"/* INSERT */ COMMIT",
		"-- INSERT\nCOMMIT",
		"CREATE TABLE fines__more (a)",
		"CREATE TEMP TABLE more (a)",
		"CREATE TRIGGER t AFTER INSERT ON fines__total BEGIN DELETE FROM pupwasm__events; END",
		"CREATE TEMP TRIGGER t AFTER INSERT ON fines__total BEGIN DELETE FROM pupwasm__events; END",
		"CREATE VIEW fines__v AS SELECT * FROM pupwasm__events",
		"CREATE VIRTUAL TABLE fines__v USING generate_series",
		"ALTER TABLE {table} RENAME TO stolen",
		"DROP TABLE {table}",
		"EXPLAIN DELETE FROM {table}",
		"EXPLAIN QUERY PLAN DELETE FROM {table}",
		"UPDATE {table} SET amount = random()",
		"UPDATE {table} SET amount = RANDOM()",
		"UPDATE {table} SET exact = hex(randomblob(4))",
		"UPDATE {table} SET exact = CURRENT_TIMESTAMP",
		"UPDATE {table} SET exact = date('now')",
		"UPDATE {table} SET exact = datetime($1)",
		"UPDATE {table} SET amount = unixepoch()",
		"UPDATE {table} SET amount = julianday($1)",
		"UPDATE {table} SET exact = strftime('%Y', $1)",
		"UPDATE {table} SET exact = timediff($1, $2)",
		"UPDATE {table} SET exact = sqlite_version()",
		"UPDATE {table} SET amount = last_insert_rowid()",
		"UPDATE {table} SET amount = changes() + total_changes()",
		"UPDATE {table} SET exact = load_extension($1)",
		"UPDATE {table} SET exact = readfile($1)",
		"UPDATE {table} SET exact = sqlite_log(1, $1)",
		"UPDATE {table} SET amount = sin(amount)",
		"INSERT INTO {table} (id) VALUES (?)",
		"INSERT INTO {table} (id) VALUES (?1)",
		"INSERT INTO {table} (id) VALUES (:id)",
		"INSERT INTO {table} (id) VALUES ($1::text)",
		"INSERT INTO {table} (id) VALUES ($4)",
		"INSERT INTO {table} (id) VALUES ($0)",
		"INSERT INTO {table} (id) VALUES ($999999)",
		"INSERT INTO {other} (id) VALUES ($1)",
		"INSERT INTO {table} (nothing) VALUES ($1)",
		"INSERT INTO {table} (id) VALUES (\"string\")",
		"SELECT id FROM {table}",
		"SELEC",
		"", "  ", "-- nothing", ";",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			t.Log(refused(t, withWrite(sql)))
		})
	}
}

func TestSandbox_refusesHostileQueries(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"SELECT event_type FROM pupwasm__events",
		"SELECT id FROM {table} UNION SELECT event_type FROM pupwasm__events",
		"SELECT (SELECT payload FROM pupwasm__events WHERE event_id = $1)",
		"SELECT sql FROM sqlite_master",
		"SELECT count(*) FROM victim__total",
		"SELECT 1 FROM victim__total",
		"SELECT count(*) FROM VICTIM__TOTAL",
		"SELECT count(*) FROM sqlite_schema",
		"SELECT count(*) FROM SQLITE_MASTER",
		"SELECT count(*) FROM pragma_table_list",
		"SELECT count(*) FROM main.pupwasm__events",
		"SELECT count(*) FROM {table}, pupwasm__events",
		"WITH pupwasm__events AS (SELECT 1) SELECT count(*) FROM main.pupwasm__events",
		"SELECT count(*) FROM (SELECT 1 FROM pupwasm__events)",
		"SELECT EXISTS (SELECT 1 FROM victim__total)",
		"SELECT * FROM pragma_database_list",
		"SELECT name FROM pragma_function_list",
		"SELECT datetime($1)",
		"SELECT id FROM {table} ORDER BY random()",
		"SELECT id, amount FROM {table}",
		"DELETE FROM {table} RETURNING id",
		"INSERT INTO {table} (id) VALUES ('a') RETURNING id",
		"WITH x AS (SELECT 1) DELETE FROM {table} RETURNING id",
		"PRAGMA user_version",
		"EXPLAIN SELECT 1",
		"SELECT 1; SELECT 2",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			t.Log(refused(t, withQuery(sql)))
		})
	}
}

func TestSandbox_refusesHostileDDL(t *testing.T) {
	t.Parallel()
	for _, ddl := range []string{
		"CREATE TABLE {own} (id TEXT PRIMARY KEY); DROP TABLE pupwasm__events",
		"CREATE TABLE pupwasm__more (id TEXT PRIMARY KEY)",
		"CREATE TABLE temp.fines__own (id TEXT PRIMARY KEY)",
		"CREATE TEMP TABLE fines__own (id TEXT PRIMARY KEY)",
		"CREATE TABLE {own} AS SELECT aggregate_id AS id FROM pupwasm__events",
		"CREATE TABLE {own} AS SELECT 'a' AS id",
		"CREATE VIRTUAL TABLE {own} USING generate_series",
		"CREATE VIEW {own} AS SELECT aggregate_id AS id FROM pupwasm__events",
		"CREATE TRIGGER x AFTER INSERT ON pupwasm__events BEGIN DELETE FROM pupwasm__events; END",
		"CREATE INDEX x ON pupwasm__events (event_type)",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY DEFAULT CURRENT_TIMESTAMP)",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY DEFAULT (hex(randomblob(4))))",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY, at TEXT DEFAULT (date('now')))",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY, n INTEGER CHECK (n > random()))",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY, n TEXT GENERATED ALWAYS AS (date(id)))",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY REFERENCES pupwasm__workers)",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY REFERENCES victim__total)",
		"CREATE TABLE {own} (other TEXT PRIMARY KEY)",
		"CREATE TABLE {own} (id INTEGER PRIMARY KEY)",
		"CREATE TABLE {own} (id NUMERIC PRIMARY KEY)",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY DEFAULT $1)",
		"DROP TABLE pupwasm__events",
		"SELECT 1",
		"",
	} {
		t.Run(ddl, func(t *testing.T) {
			t.Parallel()
			t.Log(refused(t, withDDL(ddl)))
		})
	}
}

func withDDL(ddl string) *store.Projection {
	p := totals()
	p.Tables = []store.Table{{
		Name: "own", Key: []string{"id"}, Columns: []store.Column{{Name: "id", Type: text}},
		DDL: store.Statement{store.DialectSQLite: ddl},
	}}
	p.Writes = []store.Write{{Name: "put", Action: store.InsertIgnore, Table: "own"}}
	p.Queries = nil
	return p
}

func TestSandbox_acceptsWhatProjectionsNeed(t *testing.T) {
	t.Parallel()
	writes := []string{
		"INSERT INTO {table} (id, amount) VALUES ($1, length($2) + $3) ON CONFLICT (id) DO UPDATE SET amount = amount + excluded.amount WHERE amount > 0 RETURNING id",
		"INSERT OR IGNORE INTO {total} SELECT value, 1, '1' FROM json_each($1)",
		"REPLACE INTO {table} (id) VALUES ($3)",
		"WITH top AS (SELECT id FROM {table} ORDER BY amount DESC LIMIT 1) DELETE FROM {table} WHERE id IN (SELECT id FROM top)",
		"UPDATE {table} SET exact = decimal_add(exact, $2), amount = CASE WHEN id LIKE 'a%' THEN abs(amount) ELSE max(amount, 0) END",
		"UPDATE {table} AS t SET amount = o.amount FROM {table} AS o WHERE o.id = $1 AND t.id = $2",
		"-- a comment\n/* and another */ DELETE FROM {table}; -- the end",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) INSERT INTO {table} (id) SELECT 'k' || i FROM n WHERE true",
	}
	for _, sql := range writes {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			install(t, openNew(t), withWrite(sql), 1)
		})
	}
	for _, sql := range []string{
		"SELECT string_agg(id, ',') FROM {table}",
		"SELECT first_value(id) OVER (ORDER BY amount) FROM {table}",
		"VALUES ($1)",
		"WITH n (i) AS (SELECT 1), m AS (SELECT count(*) AS c FROM n) SELECT count(*) FROM m, n, FINES__TOTAL",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT count(*) FROM n",
		"SELECT count(*) FROM json_each('[1, 2]'), generate_series(1, 3)",
		"SELECT json_group_array(json_object('id', id, 'n', coalesce(amount, 0))) FROM {table} WHERE id ->> 'a' IS NULL",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			install(t, openNew(t), withQuery(sql), 1)
		})
	}
	for _, ddl := range []string{
		"CREATE TABLE {own} (id TEXT PRIMARY KEY, n INTEGER DEFAULT (abs(-1)) CHECK (n > 0), low TEXT GENERATED ALWAYS AS (lower(id))) STRICT",
		"CREATE TABLE IF NOT EXISTS {own} (id VARCHAR(10) NOT NULL UNIQUE, parent TEXT REFERENCES {own} (id) DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TABLE {own} (id TEXT PRIMARY KEY) WITHOUT ROWID",
	} {
		t.Run(ddl, func(t *testing.T) {
			t.Parallel()
			s := openNew(t)
			p := withDDL(ddl)
			c := install(t, s, p, 1)
			held := claim(t, s, p.Name, 1)[0]
			if err := c.Begin(held).Commit(t.Context(), store.Commit{Through: 1, Steps: []store.Step{{Width: 1, Count: 1, Values: []store.Value{store.Text("a")}}}, Log: held.Applied.Log}); err != nil {
				t.Fatal(err)
			}
			install(t, s, p, 1)
		})
	}
}
