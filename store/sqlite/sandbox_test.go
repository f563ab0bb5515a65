package sqlite_test

import (
	"errors"
	"fmt"
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
	p.Writes = []store.Write{{
		Name: "w", SQL: store.Statement{store.DialectSQLite: sql},
		Params: []store.Type{text, text, text}, Unordered: true,
	}}
	return p
}

// withQuery is a projection with one SQL query of one text parameter and one text result.
func withQuery(sql string) *store.Projection {
	p := totals()
	p.Queries = []store.Query{{
		Name: "q", SQL: store.Statement{store.DialectSQLite: sql}, Params: []store.Type{text},
		Results: []store.Type{text}, Unordered: true,
	}}
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
		"INSERT INTO victim__v1__total (id) VALUES ($1)",
		"UPDATE pupwasm__segments SET position = 0",
		"DELETE FROM pupwasm__events",
		"UPDATE {table} SET id = (SELECT max(id) FROM victim__total)",
		"UPDATE {table} SET id = (SELECT max(id) FROM victim__v1__total)",
		"UPDATE {table} SET id = e.event_type FROM pupwasm__events AS e",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_master",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_schema",
		"INSERT INTO {table} (id) SELECT name FROM sqlite_sequence",
		"INSERT INTO {table} (id) SELECT name FROM temp.sqlite_master",
		"INSERT INTO {table} (id) SELECT name FROM pragma_table_info('pupwasm__events')",
		"INSERT INTO {table} (id) WITH x AS (SELECT event_type FROM pupwasm__events) SELECT * FROM x",
		"INSERT INTO {table} (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = (SELECT id FROM victim__total)",
		"INSERT INTO {table} (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = (SELECT id FROM victim__v1__total)",
		"INSERT INTO {table} (id) VALUES ($1) RETURNING (SELECT payload FROM pupwasm__events)",
		"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM pupwasm__events)",
		"DELETE FROM {table} WHERE (SELECT count(*) FROM pupwasm__events) > 1",
		"WITH x AS (SELECT 1 AS n FROM victim__total) DELETE FROM {table} WHERE amount IN x",
		"WITH x AS (SELECT 1 AS n FROM victim__v1__total) DELETE FROM {table} WHERE amount IN x",
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
		"CREATE TRIGGER t AFTER INSERT ON fines__v1__total BEGIN DELETE FROM pupwasm__events; END",
		"CREATE TEMP TRIGGER t AFTER INSERT ON fines__v1__total BEGIN DELETE FROM pupwasm__events; END",
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
		"SELECT count(*) FROM victim__v1__total",
		"SELECT 1 FROM victim__total",
		"SELECT 1 FROM victim__v1__total",
		"SELECT count(*) FROM VICTIM__TOTAL",
		"SELECT count(*) FROM VICTIM__V1__TOTAL",
		"SELECT count(*) FROM sqlite_schema",
		"SELECT count(*) FROM SQLITE_MASTER",
		"SELECT count(*) FROM pragma_table_list",
		"SELECT count(*) FROM main.pupwasm__events",
		"SELECT count(*) FROM {table}, pupwasm__events",
		"WITH pupwasm__events AS (SELECT 1) SELECT count(*) FROM main.pupwasm__events",
		"SELECT count(*) FROM (SELECT 1 FROM pupwasm__events)",
		"SELECT EXISTS (SELECT 1 FROM victim__total)",
		"SELECT EXISTS (SELECT 1 FROM victim__v1__total)",
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

func TestSandbox_refusesHostileExpressions(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"1) STORED); DROP TABLE pupwasm__events; --",
		"1) STORED, more TEXT DEFAULT (hex(randomblob(4))",
		"1) STORED) AS SELECT aggregate_id AS id FROM pupwasm__events; --",
		"1 $a()) STORED, more TEXT DEFAULT (random()",
		"$1", "?", ":id", "@id", "#1",
		"'a\x00'",
		"\"id) || (",
		"[id) || (",
		"`id) || (",
		"(SELECT max(aggregate_id) FROM pupwasm__events)",
		"(SELECT 1)",
		"id IN (SELECT id FROM victim__total)",
		"id IN (SELECT id FROM victim__v1__total)",
		"id IN victim__total",
		"id IN victim__v1__total",
		"id IN generate_series(1, 3)",
		"victim__total.id",
		"victim__v1__total.id",
		"pupwasm__events.event_type",
		"rowid",
		"CURRENT_TIMESTAMP",
		"hex(randomblob(4))",
		"random()",
		"date('now')",
		"date(id)",
		"load_extension('x')",
		"last_insert_rowid()",
		"sqlite_version()",
		"RAISE(ABORT, 'x')",
		"max(id) OVER ()",
		"id, amount",
		"* FROM pupwasm__events",
		"",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			t.Log(refused(t, withColumn(sql)))
			t.Log(refused(t, withCheck(sql)))
		})
	}
}

func TestSandbox_refusesHostileViews(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"SELECT id FROM {own}; DROP TABLE pupwasm__events",
		"SELECT aggregate_id AS id FROM pupwasm__events",
		"SELECT count(*) AS n FROM pupwasm__events",
		"SELECT count(*) AS n FROM victim__total",
		"SELECT count(*) AS n FROM victim__v1__total",
		"WITH e AS (SELECT * FROM pupwasm__events) SELECT count(*) AS n FROM e",
		"SELECT name FROM sqlite_master",
		"SELECT name FROM pragma_table_list",
		"SELECT CURRENT_TIMESTAMP AS at",
		"SELECT date('now') AS at",
		"SELECT random() AS n FROM {own}",
		"SELECT $1 AS id",
		"SELECT ?1 AS id",
		"WITH n AS (SELECT 1) DELETE FROM {own}",
		"DELETE FROM {own} RETURNING id",
		"INSERT INTO {own} (id) VALUES ('a') RETURNING id",
		"EXPLAIN SELECT id FROM {own}",
		"PRAGMA user_version",
		"CREATE TABLE pupwasm__more (id TEXT PRIMARY KEY)",
		"CREATE VIRTUAL TABLE {own} USING generate_series",
		"CREATE TRIGGER x AFTER INSERT ON pupwasm__events BEGIN DELETE FROM pupwasm__events; END",
		"CREATE INDEX x ON pupwasm__events (event_type)",
		"ATTACH 'x' AS y",
		"DROP TABLE pupwasm__events",
		"",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			t.Log(refused(t, withView(sql)))
		})
	}
}

// own is a projection with one table, to which something is added.
func own() *store.Projection {
	p := totals()
	p.Tables = []store.Table{{
		Name: "own", Key: []string{"id"},
		Columns: []store.Column{{Name: "id", Type: text}, {Name: "amount", Type: i64}},
	}}
	p.Writes = []store.Write{{Name: "put", Action: store.InsertIgnore, Table: "own"}}
	p.Queries = nil
	return p
}

func withColumn(sql string) *store.Projection {
	p := own()
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
		Name: "made", Type: text,
		Generated: store.Statement{store.DialectSQLite: sql},
	})
	return p
}

func withCheck(sql string) *store.Projection {
	p := own()
	p.Tables[0].Checks = []store.Check{{Name: "checked", SQL: store.Statement{store.DialectSQLite: sql}}}
	return p
}

func withView(sql string) *store.Projection {
	p := own()
	p.Views = []store.View{{Name: "shown", SQL: store.Statement{store.DialectSQLite: sql}}}
	return p
}

func TestSandbox_acceptsWhatProjectionsNeed(t *testing.T) {
	t.Parallel()
	writes := []string{
		"INSERT INTO {table} (id, amount) VALUES ($1, length($2) + $3) ON CONFLICT (id) DO UPDATE SET amount = " +
			"amount + excluded.amount WHERE amount > 0 RETURNING id",
		"INSERT OR IGNORE INTO {total} SELECT value, 1, '1' FROM json_each($1)",
		"REPLACE INTO {table} (id) VALUES ($3)",
		"WITH top AS (SELECT id FROM {table} ORDER BY amount DESC LIMIT 1) DELETE FROM {table} WHERE id IN " +
			"(SELECT id FROM top)",
		"UPDATE {table} SET exact = decimal_add(exact, $2), amount = CASE WHEN id LIKE 'a%' THEN abs(amount) ELSE " +
			"max(amount, 0) END",
		"UPDATE {table} AS t SET amount = o.amount FROM {table} AS o WHERE o.id = $1 AND t.id = $2",
		"-- a comment\n/* and another */ DELETE FROM {table}; -- the end",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) INSERT INTO {table} (id) " +
			"SELECT 'k' || i FROM n WHERE true",
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
		"WITH n (i) AS (SELECT 1), m AS (SELECT count(*) AS c FROM n) SELECT count(*) FROM m, n, FINES__V1__TOTAL",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT count(*) FROM n",
		"SELECT count(*) FROM json_each('[1, 2]'), generate_series(1, 3)",
		"SELECT json_group_array(json_object('id', id, 'n', coalesce(amount, 0))) FROM {table} WHERE id ->> 'a' IS NULL",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			install(t, openNew(t), withQuery(sql), 1)
		})
	}
	for n, p := range []*store.Projection{
		withColumn("lower(id) || ' (' || \"amount\" || [id] || `id` || ')' -- (("),
		withColumn("CASE WHEN amount /* ) */ > 0 THEN json_extract(json_array(id, 'it''s ('), '$[0]') END"),
		withCheck("(amount > abs(-1)) OR (amount IS NULL AND id NOT IN ('a)', 'b'))"),
		withCheck("{own}.id <> ''"),
		withView("SELECT id, sum(amount) OVER (ORDER BY id) AS upto FROM {own}"),
		withView("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i, id FROM " +
			"n LEFT JOIN {own} ON amount = i -- all"),
		withView("VALUES (1, 'a;b')"),
	} {
		t.Run(fmt.Sprint("computed ", n), func(t *testing.T) {
			t.Parallel()
			s := openNew(t)
			c := install(t, s, p, 1)
			held := claim(t, s, p.Name, 1)[0]
			commit := store.Commit{Through: 1, Steps: []store.Step{{
				Width: 1, Count: 1,
				Values: []store.Value{store.Text("a")},
			}}, Log: held.Applied.Log}
			if err := c.Begin(held).Commit(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
			install(t, s, p, 1)
		})
	}
}
