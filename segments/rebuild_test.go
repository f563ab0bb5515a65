package segments_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// rebuiltID is the first rebuild of the ledger.
var rebuiltID = store.ProjectionID{Name: "ledger", Version: 1, Build: 2}

// wrongLedger is a ledger whose rows are wrong.
type wrongLedger struct{ *ledger }

func (l wrongLedger) NewProcessor(int) segments.Processor {
	return wrongProcessor{ledgerProcessor(l)}
}

type wrongProcessor struct{ ledgerProcessor }

func (p wrongProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (store.Output, error) {
	output, err := p.ledgerProcessor.Process(ctx, events, tx)
	for i := range output.Mutations {
		output.Mutations[i].Values[1] = store.I64(output.Mutations[i].Values[1].Int() + 1000)
	}
	return output, err
}

// closedLedger counts how often it is closed.
type closedLedger struct {
	*ledger
	closes *atomic.Int64
}

func (l closedLedger) Close(context.Context) { l.closes.Add(1) }

// buildsAt waits until builds have applied everything up to a position, and no other build of the ledger is there.
func buildsAt(t *testing.T, s store.Store, head int64, builds ...store.ProjectionID) {
	t.Helper()
	testwait.Until(t, "the builds have applied all events", func() bool {
		all, err := s.Status(t.Context(), "ledger")
		if err != nil || len(all) != len(builds) {
			return false
		}
		for i := range all {
			if all[i].ProjectionID != builds[i] || slices.ContainsFunc(all[i].Segments, func(s store.SegmentStatus) bool {
				return s.Position < head
			}) {
				return false
			}
		}
		return true
	})
}

// runsBuilds waits until a worker runs just these builds.
func runsBuilds(t *testing.T, s store.Store, worker string, builds ...store.ProjectionID) {
	t.Helper()
	testwait.Until(t, "worker "+worker+" runs just the builds", func() bool { return slices.Equal(runBy(t, s, worker), builds) })
}

// rebuild asks for a build of the ledger.
func rebuild(t *testing.T, s store.Store, want store.ProjectionID) {
	t.Helper()
	id, err := s.Rebuild(t.Context(), "ledger")
	if err != nil || id != want {
		t.Fatalf("the build is %+v: %v", id, err)
	}
}

// promoteBuild makes a build live.
func promoteBuild(t *testing.T, s store.Store, id store.ProjectionID) {
	t.Helper()
	if _, err := segments.Promote(t.Context(), s, id); err != nil {
		t.Fatal(err)
	}
}

// wantChanged compares two builds at one position.
func wantChanged(t *testing.T, s store.Store, a, b store.ProjectionID, changed int64) {
	t.Helper()
	comparison, err := segments.Compare(t.Context(), s, a, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	table := &comparison.Tables[0]
	if table.Changed != changed || table.Only != [2]int64{} || table.Rows[0] != table.Rows[1] || table.Rows[0] == 0 {
		t.Errorf("versions %s and %s are compared: %+v", a.VersionText(), b.VersionText(), table)
	}
}

// TestRebuild_underAppends has rows that were built by other code of the same version, builds them again while events
// come, and swaps them. The build before is retired under its worker, and a worker that starts then takes the build that
// is there.
func TestRebuild_underAppends(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, count func(projection, table string) int) {
		lines, breaks := &logBuffer{}, new(atomic.Int64)
		options := quick()
		options.Name, options.Logger = "one", zerolog.New(lines)
		worker := startPrograms(t, s, options, wrongLedger{&ledger{code: "0", breaks: new(atomic.Int64)}})
		applied(t, s, "ledger", poisoned(t, s, 30, 2, 0))
		worker.SetProgram(&ledger{code: "1", breaks: new(atomic.Int64)}) // for which what is there is out of order
		testwait.Until(t, "it is replaced", func() bool { return strings.Count(lines.String(), "projection installed") == 2 })
		applied(t, s, "ledger", poisoned(t, s, 20, 1, 0))
		worker.SetProgram(&ledger{code: "1", breaks: breaks})

		stop := feed(t, s) // of 20 of the streams
		rebuild(t, s, rebuiltID)
		testwait.Until(t, "the build is there", func() bool { return slices.Contains(runBy(t, s, "one"), rebuiltID) })
		head := stop()
		buildsAt(t, s, head, ledgerID, rebuiltID)
		promoteBuild(t, s, rebuiltID)
		runsBuilds(t, s, "one", ledgerID, rebuiltID)
		wantChanged(t, s, ledgerID, rebuiltID, 10)
		worker.SetProgram(laterLedger{&ledger{code: "2", breaks: breaks}})
		buildsAt(t, s, head, ledgerID, rebuiltID, laterID)
		wantChanged(t, s, rebuiltID, laterID, 0)

		stop = feed(t, s)
		testwait.Until(t, "the build before is retired", func() bool { return s.Retire(t.Context(), ledgerID) == nil })
		runsBuilds(t, s, "one", rebuiltID, laterID)
		buildsAt(t, s, stop(), rebuiltID, laterID)
		const over = `"version":1,"message":"this build is no longer in the database, and another of the version is`
		if strings.Count(lines.String(), over) != 1 || strings.Contains(lines.String(), `"level":"error"`) ||
			strings.Contains(lines.String(), `"level":"warn"`) || strings.Contains(lines.String(), "refused") {
			t.Errorf("the log has %s", lines)
		}
		worker.stop()

		options.Name = "two"
		again := startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
		head = poisoned(t, s, 30, 1, 0)
		testwait.Until(t, "the build goes on", func() bool {
			all, err := s.Status(t.Context(), "ledger")
			return err == nil && len(all) == 2 && all[0].ProjectionID == rebuiltID && all[0].Segments[0].Position >= head
		})
		runsBuilds(t, s, "two", rebuiltID)
		if n := count("ledger__v1b2", "streams"); n != 30 || breaks.Load() != 0 {
			t.Errorf("there are %d rows, and the order was broken %d times", n, breaks.Load())
		}
		again.runs(t)
	})
}

// TestRebuild_twoHosts has two workers share the segments of a build. One ends in the middle, and comes back.
func TestRebuild_twoHosts(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		breaks := new(atomic.Int64)
		start := func(name string) *working {
			options := quick()
			options.Name, options.Segments = name, 4
			return startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
		}
		a, b := start("a"), start("b")
		applied(t, s, "ledger", poisoned(t, s, 20, 20, 0))
		stop := feed(t, s)
		rebuild(t, s, rebuiltID)
		testwait.Until(t, "both have segments of the build", func() bool {
			all, err := s.Status(t.Context(), "ledger")
			if err != nil || len(all) != 2 {
				return false
			}
			owners := map[string]int{}
			for _, segment := range all[1].Segments {
				owners[segment.Owner]++
			}
			return owners["a"] == 2 && owners["b"] == 2
		})
		a.stop()
		runsBuilds(t, s, "b", ledgerID, rebuiltID)
		a = start("a")
		runsBuilds(t, s, "a", ledgerID, rebuiltID)
		buildsAt(t, s, stop(), ledgerID, rebuiltID)
		wantChanged(t, s, ledgerID, rebuiltID, 0)
		promoteBuild(t, s, rebuiltID)
		if rolled, err := segments.Rollback(t.Context(), s, "ledger"); err != nil || rolled.To != ledgerID {
			t.Errorf("the rollback is %+v: %v", rolled, err)
		}
		promoteBuild(t, s, rebuiltID)
		if err := s.Retire(t.Context(), ledgerID); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			runsBuilds(t, s, name, rebuiltID)
		}
		buildsAt(t, s, poisoned(t, s, 20, 1, 0), rebuiltID)
		if breaks.Load() != 0 {
			t.Errorf("the order was broken %d times", breaks.Load())
		}
		a.runs(t)
		b.runs(t)
	})
}

// TestRebuild_followsTheProgram replaces the program while two builds run it, and removes it.
func TestRebuild_followsTheProgram(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		breaks := new(atomic.Int64)
		var closes [4]atomic.Int64
		program := func(n int) segments.Program {
			return closedLedger{&ledger{code: string(rune('0' + n)), breaks: breaks}, &closes[n]}
		}
		options := quick()
		options.Name = "one"
		worker := startPrograms(t, s, options, program(0), program(1)) // the first has no time to begin
		applied(t, s, "ledger", poisoned(t, s, 20, 2, 0))
		stop := feed(t, s)
		rebuild(t, s, rebuiltID)
		runsBuilds(t, s, "one", ledgerID, rebuiltID)
		worker.SetProgram(program(2))
		testwait.Until(t, "both builds run the new code", func() bool {
			all, err := s.Status(t.Context(), "ledger")
			return err == nil && len(all) == 2 && all[0].Code == "2" && all[1].Code == "2"
		})
		testwait.Until(t, "those before are closed", func() bool { return closes[0].Load() == 1 && closes[1].Load() == 1 })
		head := stop()
		buildsAt(t, s, head, ledgerID, rebuiltID)
		wantChanged(t, s, ledgerID, rebuiltID, 0)
		worker.Remove(ledgerID)
		runsBuilds(t, s, "one")
		worker.SetProgram(program(3))
		runsBuilds(t, s, "one", ledgerID, rebuiltID)
		buildsAt(t, s, poisoned(t, s, 20, 1, 0), ledgerID, rebuiltID)
		worker.stop()
		for n := range closes {
			if got := closes[n].Load(); got != 1 {
				t.Errorf("program %d was closed %d times", n, got)
			}
		}
		if breaks.Load() != 0 {
			t.Errorf("the order was broken %d times", breaks.Load())
		}
	})
}

// TestRebuild_isTakenBack retires a build that workers run, and asks for it again.
func TestRebuild_isTakenBack(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		options := quick()
		options.Name = "one"
		worker := startPrograms(t, s, options, &ledger{code: "1", breaks: new(atomic.Int64)})
		applied(t, s, "ledger", poisoned(t, s, 20, 2, 0))
		for range 2 {
			rebuild(t, s, rebuiltID)
			runsBuilds(t, s, "one", ledgerID, rebuiltID)
			testwait.Until(t, "it is retired", func() bool { return s.Retire(t.Context(), rebuiltID) == nil })
			runsBuilds(t, s, "one", ledgerID)
		}
		buildsAt(t, s, poisoned(t, s, 20, 1, 0), ledgerID)
		worker.runs(t)
	})
}

// TestRebuild_once has workers that run once build what was asked for, and take the build that is there.
func TestRebuild_once(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		breaks := new(atomic.Int64)
		once := func() {
			t.Helper()
			options := quick()
			options.Once = true
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(&ledger{code: "1", breaks: breaks})
			if err := worker.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		head := poisoned(t, s, 20, 2, 0)
		once()
		buildsAt(t, s, head, ledgerID)
		rebuild(t, s, rebuiltID)
		once()
		buildsAt(t, s, head, ledgerID, rebuiltID)
		wantChanged(t, s, ledgerID, rebuiltID, 0)
		promoteBuild(t, s, rebuiltID)
		if err := s.Retire(t.Context(), ledgerID); err != nil {
			t.Fatal(err)
		}
		head = poisoned(t, s, 20, 1, 0)
		once()
		buildsAt(t, s, head, rebuiltID)
		if breaks.Load() != 0 {
			t.Errorf("the order was broken %d times", breaks.Load())
		}
	})
}

// TestRebuild_aResetBeginsWithTheFirstBuild resets a projection, whose live build is a rebuild, while its worker runs.
func TestRebuild_aResetBeginsWithTheFirstBuild(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		options := quick()
		options.Name = "one"
		worker := startPrograms(t, s, options, &ledger{code: "1", breaks: new(atomic.Int64)})
		head := poisoned(t, s, 20, 2, 0)
		applied(t, s, "ledger", head)
		rebuild(t, s, rebuiltID)
		buildsAt(t, s, head, ledgerID, rebuiltID)
		promoteBuild(t, s, rebuiltID)
		if err := s.Retire(t.Context(), ledgerID); err != nil {
			t.Fatal(err)
		}
		runsBuilds(t, s, "one", rebuiltID)
		if _, err := segments.Pause(t.Context(), s, "ledger"); err != nil {
			t.Fatal(err)
		}
		if err := s.Reset(t.Context(), "ledger"); err != nil {
			t.Fatal(err)
		}
		runsBuilds(t, s, "one", ledgerID)
		buildsAt(t, s, head, ledgerID)
		worker.runs(t)
	})
}

// hasty takes a build back between what its worker has seen and what that does.
type hasty struct {
	store.Store
	taken atomic.Bool
}

func (h *hasty) InstallBeside(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	if p.ID() == rebuiltID && !h.taken.Swap(true) {
		if err := h.Retire(ctx, rebuiltID); err != nil {
			return nil, err
		}
	}
	return h.Store.InstallBeside(ctx, p, segments)
}

// TestRebuild_isTakenBackAsItBegins has a build retired that a worker is about to install. The worker says nothing of it,
// and builds the next one.
func TestRebuild_isTakenBackAsItBegins(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		lines, tables := &logBuffer{}, &hasty{Store: s}
		options := quick()
		options.Name, options.Logger = "one", zerolog.New(lines)
		worker := startPrograms(t, tables, options, &ledger{code: "1", breaks: new(atomic.Int64)})
		head := poisoned(t, s, 20, 2, 0)
		applied(t, s, "ledger", head)
		rebuild(t, s, rebuiltID)
		testwait.Until(t, "it is taken back", func() bool {
			all, err := s.Status(t.Context(), "ledger")
			return err == nil && tables.taken.Load() && len(all) == 1 && all[0].Rebuild == 0
		})
		rebuild(t, s, rebuiltID)
		buildsAt(t, s, head, ledgerID, rebuiltID)
		if strings.Contains(lines.String(), "refused") || strings.Contains(lines.String(), "no longer") {
			t.Errorf("the log has %s", lines)
		}
		worker.runs(t)
	})
}
