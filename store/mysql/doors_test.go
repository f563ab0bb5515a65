package mysql_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestSQL_insertRefuses writes past the store, also in sessions that cut values to their columns.
func TestSQL_insertRefuses(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	// In the order of the migration, since MariaDB tells the first that fails.
	usual := map[string]string{
		"bounded_context": "'c'", "aggregate_type": "'t'", "aggregate_id": "'i'", "event_type": "'e'", "payload": "''",
	}
	version := 0
	insert := func(mode, verb, column, value string) (int64, error) {
		version++
		row := maps.Clone(usual)
		row["aggregate_version"] = fmt.Sprint(version)
		row[column] = value
		columns := slices.Sorted(maps.Keys(row))
		values := make([]string, len(columns))
		for i, name := range columns {
			values[i] = row[name]
		}
		conn := l.conn()
		defer conn.Close()
		l.execute(conn, "SET NAMES utf8mb4")
		l.execute(conn, "SET sql_mode = '"+mode+"'")
		result, err := conn.ExecContext(t.Context(), verb+" INTO pupwasm__events ("+strings.Join(columns, ", ")+") VALUES ("+
			strings.Join(values, ", ")+")")
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
	// Text that is too long, in bytes too, has a NUL, is no UTF-8, and has half of a surrogate pair.
	texts := []string{"REPEAT('x', 801)", "REPEAT('ü', 401)", "x'610062'", "x'41ff'", "x'eda080'"}
	names := append([]string{"''", "NULL"}, texts...)
	refused := map[string][]string{
		"bounded_context": names, "aggregate_type": names, "aggregate_id": names, "event_type": names,
		"trace_id": texts, "correlation_id": texts, "causation_id": texts,
		"event_version": {"0", "-1", "2147483648"}, "aggregate_version": {"0", "9223372036854775808"},
		"event_id": {"x'00000000000000000000000000000000'", "x'01'", "REPEAT('x', 17)", "UUID()"},
		"metadata": {
			"'[]'", "'null'", "''", "'{'", "'{a:1}'", `'{"a":1.}'`, `'{"a":01}'`, `'{"a":1,}'`, "'{} x'", "x'7b2261223a2200227d'",
			hexOf(`{"a":"\u0000"}`), hexOf(`{"a":"\\\u0000"}`), hexOf(`{"a":"\x"}`), hexOf(`{"a":"\ud800"}`),
			"x'7b2261223a22eda080227d'", hexOf("{\n\"a\":1.\n}"),
			`CONCAT('{"a":"', REPEAT('x', 1048576), '"}')`, `CONCAT('{"a":"', REPEAT('x', 16777300), '"}')`,
		},
		"created_at": {
			"'0001-01-01 00:00:00'", "'10000-01-01'", "'0000-00-00'", "'2024-02-31'", "'2024-00-10'", "'2024-05-00'", "'infinity'",
		},
		"partition_hash": {"-1", "4294967296"},
	}
	stored := map[string][]string{
		"aggregate_id":   {"REPEAT('ü', 400)", "'😀'", "'?'", "x'efbfbd'"},
		"trace_id":       {"NULL", "''", "REPEAT('x', 800)"},
		"event_version":  {"2147483647"},
		"metadata":       {"'{}'", hexOf(` {"a": "\\u0000"} `), hexOf(`{"a":"\ud83d\ude00"}`), `CONCAT('{"a":"', REPEAT('x', 1048568), '"}')`},
		"created_at":     {"'0001-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'", "'2024-02-29'"},
		"partition_hash": {"NULL", "0", "4294967295"},
		"event_id":       {"REPEAT('y', 16)"},
	}
	for _, mode := range []string{"STRICT_ALL_TABLES", "", "ALLOW_INVALID_DATES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES"} {
		for column, values := range refused {
			for _, value := range values {
				for _, verb := range []string{"INSERT", "INSERT IGNORE"} {
					if found, err := insert(mode, verb, column, value); err == nil && found > 0 {
						t.Errorf("%q: %s of %s = %s", mode, verb, column, value)
					}
				}
			}
		}
		for column, values := range stored {
			for _, value := range values {
				if found, err := insert(mode, "INSERT", column, value); err != nil || found != 1 {
					t.Errorf("%q: %s = %s: %d rows, %v", mode, column, value, found, err)
				}
			}
		}
		l.execute(l.sql, "DELETE FROM pupwasm__events")
	}
}

// hexOf writes text so that it means the same in every session.
func hexOf(text string) string { return fmt.Sprintf("x'%x'", text) }

// TestSQL_partitionHash is filled in as the store calculates it.
func TestSQL_partitionHash(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.execute(l.sql, "SET sql_mode = ''")
	hash := func(text string) string { return fmt.Sprint(store.PartitionHash(text)) }
	want := func(id, hash string) {
		t.Helper()
		got := queryText(t, l.sql, "SELECT partition_hash FROM pupwasm__events WHERE aggregate_id = "+hexOf(id))
		if len(got) != 1 || got[0][0] != hash {
			t.Errorf("%q has the hash %v, want %s", id, got, hash)
		}
	}
	for _, id := range []string{"a", "0f8fad5b-d9cb-469f-a165-70867728950e", "ünïcödé 😀", strings.Repeat("x", 800)} {
		l.insert(l.sql, id)
		want(id, hash(id))
	}
	l.execute(l.sql, "UPDATE pupwasm__events SET partition_hash = 7")
	want("a", hash("a"))
	l.execute(l.sql, "UPDATE pupwasm__events SET aggregate_id = 'b' WHERE aggregate_id = 'a'")
	want("b", hash("b"))
}

// TestSQL_insertIDIsRefused: it gives an event a position past the INSERT.
func TestSQL_insertIDIsRefused(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.add()
	last := l.add()
	one := strings.Replace(insertEvent, "?, ?", "'x', 1", 1)
	_, values, _ := strings.Cut(one, "VALUES ")
	several := one + ", " + strings.Replace(values, "'x', 1", "'x', 2", 1)
	selected := strings.Replace(one, "VALUES "+values, "SELECT "+strings.Trim(values, "()")+" FROM pupwasm__fence WHERE slot = 1", 1)
	conn := l.conn()
	for _, text := range []string{one, several, selected, strings.Replace(one, "INSERT", "REPLACE", 1)} {
		for _, position := range []int64{last - 1, last + 1, last + 100} {
			l.execute(conn, fmt.Sprintf("SET insert_id = %d", position))
			_, err := conn.ExecContext(t.Context(), text)
			if err == nil || !strings.Contains(err.Error(), "leave SET insert_id out") {
				t.Errorf("insert_id = %d: %s: %v", position, text, err)
			}
		}
		// Without it, and behind an INSERT into another table, which leaves LAST_INSERT_ID.
		l.execute(conn, "SET insert_id = 0")
		l.execute(conn, "CREATE TEMPORARY TABLE counted (n INT AUTO_INCREMENT PRIMARY KEY); INSERT INTO counted VALUES (), (); "+
			"DROP TEMPORARY TABLE counted")
		l.execute(conn, text)
		l.execute(conn, "DELETE FROM pupwasm__events WHERE aggregate_id = 'x'")
	}
	if at, h := l.add(), l.free(); at != h.Head || at <= last {
		t.Errorf("the append has position %d, and the horizon is %+v", at, h)
	}
}
