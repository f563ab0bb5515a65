package segments_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// indexedLedger is the ledger with an index.
type indexedLedger struct{ *ledger }

func (l indexedLedger) Projection() *store.Projection {
	projection := l.ledger.Projection()
	projection.Tables[0].Indexes = [][]string{{"version"}}
	return projection
}

const (
	indexBegun = "index is being built, commits go on"
	indexBuilt = "index is built"
	indexWaits = "an index is missing, waiting for another host"
)

// indexes counts the indexes of the ledger that are complete, without that of the key.
func indexes(t *testing.T, db pgtest.Database) int {
	t.Helper()
	return count(t, db, "pg_index WHERE indrelid = 'ledger__v1.streams'::regclass AND NOT indisprimary AND indisvalid")
}

// snapshot is a transaction for which the build of an index waits.
func snapshot(t *testing.T, db pgtest.Database) pgx.Tx {
	t.Helper()
	tx, err := db.Connect(t).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM ledger.streams"); err != nil {
		t.Fatal(err)
	}
	return tx
}

func rollback(t *testing.T, tx pgx.Tx) {
	t.Helper()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWorker_buildsAnIndexWhileItWorks has a worker build an index for a long time. Another one leaves it to the first,
// which stops in the middle: the other one builds it then. Both apply events all the time.
func TestWorker_buildsAnIndexWhileItWorks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, breaks := openPostgres(t, db), new(atomic.Int64)
	var lines [2]*logBuffer
	var workers [2]*working
	startOne := func(i int) {
		lines[i] = &logBuffer{}
		options := quick()
		options.Logger = zerolog.New(lines[i])
		workers[i] = startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
	}
	startOne(0)
	applied(t, s, "ledger", poisoned(t, s, 20, 3, 0))
	startOne(1)
	long := snapshot(t, db)
	logs := func(i int, what string) func() bool {
		return func() bool { return strings.Contains(lines[i].String(), what) }
	}
	workers[0].SetProgram(indexedLedger{&ledger{code: "2", breaks: breaks}})
	testwait.Until(t, "the first builds it", logs(0, indexBegun))
	workers[1].SetProgram(indexedLedger{&ledger{code: "2", breaks: breaks}})
	testwait.Until(t, "the other waits for the first", logs(1, indexWaits))
	applied(t, s, "ledger", poisoned(t, s, 20, 2, 0))
	workers[0].SetProgram(&ledger{code: "3", breaks: breaks}) // a new module does not end it
	applied(t, s, "ledger", poisoned(t, s, 20, 2, 0))
	if logs(1, indexBegun)() || indexes(t, db) != 0 {
		t.Errorf("it is built by both, or is there: %s", lines[1])
	}

	workers[0].stop()
	applied(t, s, "ledger", poisoned(t, s, 20, 2, 0))
	rollback(t, long) // what is left of it is dropped then
	testwait.Until(t, "the other has built it", logs(1, indexBuilt))
	if n := indexes(t, db); n != 1 || breaks.Load() != 0 {
		t.Errorf("there are %d indexes, and the order was broken %d times", n, breaks.Load())
	}
	for i := range lines {
		if strings.Contains(lines[i].String(), "not available") {
			t.Errorf("the log of worker %d is %s", i, lines[i])
		}
	}
}

// TestWorker_aPauseEndsTheBuildOfAnIndex has it begin again after the pause.
func TestWorker_aPauseEndsTheBuildOfAnIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, breaks, lines := openPostgres(t, db), new(atomic.Int64), &logBuffer{}
	options := quick()
	options.Logger = zerolog.New(lines)
	worker := startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
	applied(t, s, "ledger", poisoned(t, s, 20, 3, 0))
	long := snapshot(t, db)
	worker.SetProgram(indexedLedger{&ledger{code: "2", breaks: breaks}})
	testwait.Until(t, "it is being built", func() bool { return strings.Contains(lines.String(), indexBegun) })
	if _, err := segments.Pause(t.Context(), s, "ledger"); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "nobody builds it", func() bool {
		return count(t, db, "pg_stat_activity WHERE datname = current_database() AND state = 'active' AND "+
			"query LIKE 'CREATE INDEX CONCURRENTLY%'") == 0
	})
	rollback(t, long)
	if _, err := segments.Resume(t.Context(), s, "ledger"); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the index is there", func() bool { return strings.Contains(lines.String(), indexBuilt) })
	if n := indexes(t, db); n != 1 {
		t.Errorf("there are %d indexes", n)
	}
}

// TestOnce_waitsForIndexes has a worker that runs once leave the index behind, on both databases.
func TestOnce_waitsForIndexes(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		breaks := new(atomic.Int64)
		poisoned(t, s, 20, 3, 0)
		for _, program := range []segments.Program{
			&ledger{code: "1", breaks: breaks}, indexedLedger{&ledger{code: "2", breaks: breaks}},
		} {
			options := quick()
			options.Once = true
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(program)
			if err := worker.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		installed, err := s.Installed(t.Context(), "ledger")
		if err != nil {
			t.Fatal(err)
		}
		if missing := (indexedLedger{&ledger{}}).Projection().MissingIndexes(installed[0].Found); len(missing) != 0 {
			t.Errorf("missing are %v", missing)
		}
	})
}

// indexedLaterLedger is version 2 of it.
type indexedLaterLedger struct{ indexedLedger }

func (l indexedLaterLedger) Projection() *store.Projection {
	projection := l.indexedLedger.Projection()
	projection.Version = 2
	return projection
}

// TestWorker_buildsIndexesOfAVersionBesideOnceItHasCaughtUp has version 2 built beside version 1. It cannot be promoted
// before its index is there, which is not begun while it is far behind.
func TestWorker_buildsIndexesOfAVersionBesideOnceItHasCaughtUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, breaks, lines, gate := openPostgres(t, db), new(atomic.Int64), &logBuffer{}, make(chan struct{})
	options := quick()
	options.Logger = zerolog.New(lines)
	worker := startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
	applied(t, s, "ledger", poisoned(t, s, 600, 10, 0))
	worker.SetProgram(indexedLaterLedger{indexedLedger{&ledger{code: "2", breaks: breaks, bad: func(*store.RecordedEvent) error {
		<-gate
		return nil
	}}}})
	testwait.Until(t, "version 2 is at work", func() bool {
		return count(t, db, "pupwasm.segments WHERE version = 2 AND owner IS NOT NULL") > 0
	})
	head := poisoned(t, s, 20, 2, 0)
	testwait.Until(t, "version 1 goes on", func() bool {
		there, _ := versionAt(t.Context(), s, 1, head)
		return there
	})
	later := store.ProjectionID{Name: "ledger", Version: 2}
	_, err := s.Promote(t.Context(), later)
	var behind *store.BehindError
	if strings.Contains(lines.String(), indexBegun) || !errors.As(err, &behind) {
		t.Errorf("an index is built, or a promotion returns %v: %s", err, lines)
	}
	close(gate)
	promotion, err := segments.Promote(t.Context(), s, later)
	if err != nil || promotion.To != later || !strings.Contains(lines.String(), indexBuilt) {
		t.Errorf("the promotion is %+v, %v: %s", promotion, err, lines)
	}
	if n := count(t, db, "pg_index WHERE indrelid = 'ledger__v2.streams'::regclass AND NOT indisprimary AND indisvalid"); n != 1 {
		t.Errorf("there are %d indexes", n)
	}
}
