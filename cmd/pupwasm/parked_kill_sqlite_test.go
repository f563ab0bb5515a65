package main_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestParking_killedAtEveryMomentOnSQLite kills a host between any two of its commits: while the test holds the lock
// of the file, in which it sees what the last commit has left, and the host waits to begin the next one. Then another
// host finishes.
func TestParking_killedAtEveryMomentOnSQLite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	appended, parked := filepath.Join(folder, "appended.db"), filepath.Join(folder, "parked.db")
	runCommand(t, "sqlite:"+appended, "migrate", "up")
	beginAfter(t, appended, 1<<31-3)
	runCommand(t, "sqlite:"+appended, "append", poisonLog(t))
	copyDatabase(t, appended, parked)
	finishHost(t, "sqlite:"+parked, "order_poisoned")
	wantKilled(t, parked, killParked)
	for _, m := range []struct {
		name, from, module string
		parked             int                    // events, in the end
		at                 func(s killState) bool // the moment
		missed             func(s killState) bool // it has passed
	}{
		{
			"events are applied and none is parked", appended, "order_poisoned", killParked,
			func(s killState) bool { return s.position > 0 && s.parked == 0 }, func(s killState) bool { return s.parked > 0 },
		},
		{
			"the key is parked", appended, "order_poisoned", killParked,
			func(s killState) bool { return s.noted == 1 }, func(s killState) bool { return s.noted > 1 },
		},
		{
			"some events are noted", appended, "order_poisoned", killParked,
			func(s killState) bool { return s.noted > 10 && s.noted < killParked },
			func(s killState) bool { return s.noted == killParked },
		},
		{
			"all are noted", appended, "order_poisoned", killParked,
			func(s killState) bool { return s.noted == killParked }, never,
		},
		{
			"the segment is claimed for a retry", parked, "order_check", 0,
			func(s killState) bool { return s.owner != "" && s.noted == killParked },
			func(s killState) bool { return s.noted < killParked },
		},
		{"the first batch is committed", parked, "order_check", 0, left(27), fewer(27)},
		{"the second batch is committed", parked, "order_check", 0, left(17), fewer(17)},
		{"the third batch is committed", parked, "order_check", 0, left(7), fewer(7)},
		{"the key is unparked", parked, "order_check", 0, left(0), never},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.db")
			testwait.Until(t, m.name, func() bool {
				copyDatabase(t, m.from, path)
				return killBetween(t, path, m.module, m.at, m.missed)
			})
			finishHost(t, "sqlite:"+path, m.module)
			wantKilled(t, path, m.parked)
		})
	}
}

func never(killState) bool { return false }

func left(events int) func(killState) bool {
	return func(s killState) bool { return s.noted == events }
}

func fewer(events int) func(killState) bool {
	return func(s killState) bool { return s.noted < events }
}

// killBetween lets a host commit until the database is at the moment, and kills it there. It reports false when the
// host was faster: it may commit twice before the test sees the first time.
func killBetween(t *testing.T, path, module string, at, missed func(killState) bool) bool {
	t.Helper()
	handle, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	ctx := context.Background()
	conn, err := handle.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h := killHost(t, "sqlite:"+path, module)
	defer func() {
		h.signal(syscall.SIGKILL)
		<-h.exited
	}()
	for {
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			continue // the host has the lock
		}
		s := stateOf(t, conn)
		reached := at(s)
		if reached { // with the lock, so that nothing follows
			h.signal(syscall.SIGKILL)
			<-h.exited
		}
		seen := version(t, conn)
		if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if reached || missed(s) {
			return reached
		}
		for version(t, conn) == seen {
			select {
			case <-h.exited:
				t.Fatalf("the host ended by itself: %s", h.output)
			default:
			}
		}
	}
}

// version changes with every commit of others.
func version(t *testing.T, conn *sql.Conn) (n int64) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), "PRAGMA data_version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func stateOf(t *testing.T, conn *sql.Conn) (s killState) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), `SELECT coalesce(max(position), 0), coalesce(max(owner), ''),
		(SELECT count(*) FROM pupwasm__parked), (SELECT count(*) FROM pupwasm__parked_events)
		FROM pupwasm__segments`).Scan(&s.position, &s.owner, &s.parked, &s.noted); err != nil {
		t.Fatal(err)
	}
	return s
}

// copyDatabase copies a file that no host uses. What a host has left beside the copy goes.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(to + suffix); err != nil {
			t.Fatal(err)
		}
	}
	handle, err := sqlite.OpenSQL(from)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if _, err := handle.ExecContext(t.Context(), "VACUUM INTO ?", to); err != nil {
		t.Fatal(err)
	}
}

// wantKilled demands that so many events are parked, and that all else is applied.
func wantKilled(t *testing.T, path string, parked int) {
	t.Helper()
	handle, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	conn, err := handle.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := stateOf(t, conn); s.noted != parked || s.parked != min(parked, 1) {
		t.Errorf("%d keys are parked with %d events, want %d events", s.parked, s.noted, parked)
	}
	var rows killRows
	if err := conn.QueryRowContext(t.Context(), database{kind: onSQLite}.names(killRowsSQL)).Scan(&rows.versions, &rows.odd, &rows.breaks); err != nil {
		t.Fatal(err)
	}
	wantKillRows(t, rows, parked)
}
