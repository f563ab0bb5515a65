package mysql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func TestPosition_cannotBeGivenOrChanged(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	for range 3 {
		l.add()
	}
	l.execute(l.sql, "DELETE FROM pupwasm__events WHERE global_position = 2")
	insertAt := strings.Replace(strings.Replace(insertEvent, "(", "(global_position, ", 1), "VALUES (", "VALUES (%s, ", 1)
	insertAt = strings.Replace(insertAt, "?, ?", "'x', 1", 1)
	for _, mode := range []string{"", "STRICT_ALL_TABLES", "NO_AUTO_VALUE_ON_ZERO"} {
		conn := l.conn()
		l.execute(conn, "SET sql_mode = '"+mode+"'")
		for _, verb := range []string{"INSERT", "INSERT IGNORE", "REPLACE"} {
			for _, position := range []string{"2", "4", fmt.Sprint(1 << 53), "-1", "0.6"} {
				text := strings.Replace(fmt.Sprintf(insertAt, position), "INSERT", verb, 1)
				if _, err := conn.ExecContext(t.Context(), text); err == nil ||
					!strings.Contains(err.Error(), "an event cannot be given a position") {
					t.Errorf("%s, %s: %v", mode, text, err)
				}
			}
		}
		for _, text := range []string{
			"UPDATE pupwasm__events SET global_position = 2 WHERE global_position = 3",
			"UPDATE IGNORE pupwasm__events SET global_position = 2 WHERE global_position = 3",
			"UPDATE pupwasm__events SET global_position = 0 WHERE global_position = 3",
			"UPDATE pupwasm__events SET global_position = global_position + 10",
			"INSERT INTO pupwasm__events SELECT * FROM pupwasm__events",
			"REPLACE INTO pupwasm__events SELECT * FROM pupwasm__events",
		} {
			if _, err := conn.ExecContext(t.Context(), text); err == nil ||
				!strings.Contains(err.Error(), "an event cannot be ") {
				t.Errorf("%s, %s: %v", mode, text, err)
			}
		}
		for _, none := range []string{"0", "NULL", "DEFAULT"} {
			l.execute(conn, fmt.Sprintf(insertAt, none))
			l.execute(conn, "DELETE FROM pupwasm__events WHERE aggregate_id = 'x'")
		}
	}
	l.execute(l.sql, "UPDATE pupwasm__events SET trace_id = 'x'")
	if got := fmt.Sprint(queryText(t, l.sql, "SELECT MIN(global_position), COUNT(*) FROM pupwasm__events")); got != "[[1 2]]" {
		t.Errorf("the log has %s", got)
	}
	must(t, l.store.CheckLog(t.Context()))
}

// TestCheckLog_namesEveryFaultAndItsRemedy breaks the log in each way, and fixes it with the statement that the remedy
// names.
func TestCheckLog_namesEveryFaultAndItsRemedy(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.add()
	must(t, l.store.CheckLog(t.Context()))
	for _, broken := range []struct{ sql, fault string }{
		{"DELETE FROM pupwasm__fence WHERE slot > 2", "pupwasm__fence has 3 of its 64 rows"},
		{"DELETE FROM pupwasm__fence", "pupwasm__fence has 0 of its 64 rows"},
		{"ALTER TABLE pupwasm__fence ENGINE=MyISAM", "pupwasm__fence is not of InnoDB"},
		{
			"ALTER TABLE pupwasm__fence ENGINE=MyISAM; ALTER TABLE pupwasm__events ENGINE=MyISAM",
			"pupwasm__events,pupwasm__fence is not of InnoDB",
		},
		{"ALTER TABLE pupwasm__events MODIFY global_position BIGINT NOT NULL", "positions of pupwasm__events are not AUTO_INCREMENT"},
		{"DROP TRIGGER pupwasm__events_fence", "lacks the triggers pupwasm__events_fence"},
		{"DROP TRIGGER pupwasm__events_keep_position", "lacks the triggers pupwasm__events_keep_position"},
	} {
		l.execute(l.sql, broken.sql)
		var unsafe *store.UnsafeLogError
		if err := l.store.CheckLog(t.Context()); !errors.As(err, &unsafe) || len(unsafe.Faults) != 1 ||
			!strings.Contains(err.Error(), broken.fault) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%s: %v", broken.sql, err)
		}
		if _, err := open(t, l.at.URL, mysql.Options{}).Horizon(t.Context()); !errors.As(err, &unsafe) {
			t.Errorf("%s: a horizon is told: %v", broken.sql, err)
		}
		if remedy, isSQL := strings.CutPrefix(unsafe.Faults[0].Remedy, "run "); isSQL {
			l.execute(l.sql, remedy)
		} else {
			steps, err := migrations.Load(migrations.MySQL, "pupwasm")
			must(t, err)
			l.execute(l.sql, steps[0].Up)
		}
		if err := l.store.CheckLog(t.Context()); err != nil {
			t.Errorf("%s: fixed: %v", broken.sql, err)
		}
		if at, h := l.add(), l.free(); at != h.Head {
			t.Errorf("%s: the append has position %d, and the horizon is %+v", broken.sql, at, h)
		}
	}
	if err := open(t, l.at.URL, mysql.Options{Schema: "other"}).CheckLog(t.Context()); !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("a prefix that is not there: %v", err)
	}
}

// TestFence_lacksRows: without a lock nothing may be appended.
func TestFence_lacksRows(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.execute(l.sql, "DELETE FROM pupwasm__fence")
	for _, verb := range []string{"INSERT", "INSERT IGNORE", "REPLACE"} {
		text := strings.Replace(strings.Replace(insertEvent, "?, ?", "'x', 1", 1), "INSERT", verb, 1)
		if _, err := l.sql.ExecContext(t.Context(), text); err == nil || !strings.Contains(err.Error(), "table pupwasm__fence lacks rows") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestLog_withoutItsIDIsReadNowhere: what was read could be of any log.
func TestLog_withoutItsIDIsReadNowhere(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.add()
	l.execute(l.sql, "CREATE TABLE kept AS SELECT * FROM pupwasm__log")
	for _, known := range []bool{false, true} {
		if known {
			l.free()
		}
		l.execute(l.sql, "DELETE FROM pupwasm__log")
		for name, call := range map[string]func() error{
			"horizon":   func() error { _, err := l.store.Horizon(t.Context()); return err },
			"locate":    func() error { _, err := l.store.Locate(t.Context(), 1); return err },
			"own log":   func() error { _, err := l.store.OwnLog(t.Context()); return err },
			"appliedAt": func() error { _, err := l.store.AppliedAt(t.Context(), 1); return err },
		} {
			if err := call(); err == nil || !strings.Contains(err.Error(), "the log has lost its id") {
				t.Errorf("%s: %v", name, err)
			}
		}
		l.execute(l.sql, "INSERT INTO pupwasm__log SELECT * FROM kept")
	}
	l.free()
	l.execute(l.sql, "UPDATE pupwasm__log SET id = REPEAT('x', 16)")
	h, err := l.store.Horizon(t.Context())
	if err != nil || h.Log.ID.String() != "78787878-7878-7878-7878-787878787878" || h.Position != 1 {
		t.Errorf("of another log the horizon is %+v, %v", h, err)
	}
}
