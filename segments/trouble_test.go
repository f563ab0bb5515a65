package segments_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestTrouble_isToldOnceAndPasses has a database in trouble while four segments write. The log has a line when it
// begins and one when it ends, the status has the reason, and every row is there in the end.
func TestTrouble_isToldOnceAndPasses(t *testing.T) {
	t.Parallel()
	const away, back = "database not available, trying again", "database answers again"
	const stuck, moves = "segment makes no progress, trying again", "segment goes on"
	for _, test := range []struct {
		name       string
		open       func(t *testing.T) afflicted
		begin, end string // in the log
		lines      int    // so many of each, 0 for some
		reason     string // in the status, "" where it cannot be written
	}{
		{"a full disk of PostgreSQL", fullTablespace, away, back, 1, "No space left on device"},
		{"a full SQLite file", fullFile, away, back, 1, "database or disk is full"},
		{"a SQLite file that another process writes", busyFile, away, back, 1, ""},
		{"a server that only reads", readOnlyServer, away, back, 1, ""},
		// It gets some back while the others take them.
		{"a server with too many connections", crowdedServer, away, back, 0, ""},
		{"a table that is locked", lockedTable, stuck, moves, 4, "lock timeout"},
		{"a right of pupwasm that is gone", func(t *testing.T) afflicted {
			return raising(t, "pupwasm.segments", "42501", "WHEN (OLD.position IS DISTINCT FROM NEW.position)")
		}, stuck, moves, 4, "the database refuses the connection or the rights: it is refused"},
		{"deadlocks without end", func(t *testing.T) afflicted {
			return raising(t, pgtest.Table("scribe", 1, "rows"), "40P01", "")
		}, stuck, moves, 4, "deadlock"},
		{"serialization failures without end", func(t *testing.T) afflicted {
			return raising(t, pgtest.Table("scribe", 1, "rows"), "40001", "")
		}, stuck, moves, 4, "serialization failure (it is refused)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := test.open(t)
			said := &logBuffer{}
			options := quick()
			options.Logger = zerolog.New(said)
			worker := startPrograms(t, db.s, options, scribe{})
			applied(t, db.s, "scribe", appendTo(t, db.s, lines(20, 1)...))
			head := appendTo(t, db.s, lines(40, 20)...)
			applied(t, db.s, "scribe", head)
			db.begin()
			if test.reason != "" {
				head = appendTo(t, db.s, lines(40, 20)...)
				stalled(t, db.s, test.reason)
			}
			testwait.Until(t, "the trouble is told", func() bool {
				return strings.Count(said.String(), test.begin) >= max(test.lines, strings.Count(said.String(), test.end)+1)
			})
			begun := strings.Count(said.String(), test.begin)
			db.end()
			if test.reason == "" {
				testwait.Until(t, "events can be appended", func() bool {
					results, err := db.s.Append(t.Context(), store.AppendOptions{}, lines(40, 20)...)
					if err == nil {
						head = results[len(results)-1].Position
					}
					return err == nil
				})
			}
			applied(t, db.s, "scribe", head)
			testwait.Until(t, "its end is told", func() bool { return strings.Count(said.String(), test.end) >= begun })
			testwait.Until(t, "the status has no trouble", func() bool { return troubleIn(t, db.s) == "" })
			if got, want := db.count(), 20+40*20*2; got != want {
				t.Errorf("there are %d rows, must be %d", got, want)
			}
			for _, line := range []string{test.begin, test.end} {
				if n := strings.Count(said.String(), line); n != begun || test.lines > 0 && n != test.lines {
					t.Errorf("%q is told %d times, must be %d:\n%s", line, n, max(test.lines, begun), said)
				}
			}
			worker.runs(t)
		})
	}
}

// troubleIn is what the status says of the only projection's first segment in trouble.
func troubleIn(t *testing.T, s store.Store) string {
	t.Helper()
	report, err := status.Read(t.Context(), s, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range report.Projections[0].Segments {
		if segment.State == status.Stalled {
			return segment.Trouble
		}
	}
	return ""
}

// stalled waits until the status says why a segment makes no progress.
func stalled(t *testing.T, s store.Store, reason string) {
	t.Helper()
	var last string
	testwait.Until(t, "the status has the trouble", func() bool {
		if trouble := troubleIn(t, s); trouble != "" {
			last = trouble
		}
		return last != ""
	})
	if !strings.Contains(last, reason) {
		t.Errorf("the status says %q, must say %q", last, reason)
	}
}
