package segments_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// notedLedger is the ledger with a column that old rows may lack.
type notedLedger struct{ *ledger }

func (l notedLedger) Projection() *store.Projection {
	projection := l.ledger.Projection()
	projection.Tables[0].Columns = append(projection.Tables[0].Columns, store.Column{
		Name: "note", Type: store.Type{Kind: store.KindText}, Backfill: store.BackfillNone,
	})
	return projection
}

// TestWorker_aColumnWaitsForAReader has a reader hold the table while a module with a column more is set: the module
// before goes on, nothing is said to be an outage, and the column is there once the reader has ended.
func TestWorker_aColumnWaitsForAReader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	lines, breaks := &logBuffer{}, new(atomic.Int64)
	options := quick()
	options.Logger = zerolog.New(lines)
	worker := startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
	head := poisoned(t, s, 20, 3, 0)
	applied(t, s, "ledger", head)

	long, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec(t.Context(), "SELECT FROM ledger.streams"); err != nil {
		t.Fatal(err)
	}
	worker.SetProgram(notedLedger{&ledger{code: "2", breaks: breaks}})
	const waits = "somebody holds a lock, trying again"
	testwait.Until(t, "the worker waits for the lock", func() bool { return strings.Contains(lines.String(), waits) })
	applied(t, s, "ledger", poisoned(t, s, 20, 1, 0))
	if err := long.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the new module is installed", func() bool {
		return strings.Count(lines.String(), "projection installed") == 2
	})
	applied(t, s, "ledger", poisoned(t, s, 20, 1, 0))
	if n := count(t, db, "ledger.streams WHERE note IS NULL"); n != 20 {
		t.Errorf("%d rows lack the column, want 20", n)
	}
	worker.stop()
	if breaks.Load() != 0 {
		t.Errorf("the order was broken %d times", breaks.Load())
	}
	if text := lines.String(); strings.Count(text, waits) != 1 || strings.Contains(text, "not available") {
		t.Errorf("the log is %s", text)
	}
}
