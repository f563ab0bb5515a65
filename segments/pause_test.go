package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// pause pauses the ledger, and returns its checkpoints from then on.
func pause(t *testing.T, s store.Store) (positions []int64) {
	t.Helper()
	changed, err := segments.Pause(t.Context(), s, "ledger")
	if err != nil || !changed {
		t.Fatalf("pausing changes %t, %v", changed, err)
	}
	return wantIdle(t, s)
}

// wantIdle demands that no worker has a segment of the ledger, and returns the checkpoints.
func wantIdle(t *testing.T, s store.Store) (positions []int64) {
	t.Helper()
	for _, segment := range statusOf(t, s, "ledger").Segments {
		if segment.Owner != "" {
			t.Errorf("segment %d of a paused projection is %s's", segment.Segment, segment.Owner)
		}
		positions = append(positions, segment.Position)
	}
	return positions
}

func resume(t *testing.T, s store.Store) {
	t.Helper()
	if changed, err := segments.Resume(t.Context(), s, "ledger"); err != nil || !changed {
		t.Fatalf("resuming changes %t, %v", changed, err)
	}
}

// seesPause waits until workers know that the ledger is paused.
func seesPause(t *testing.T, workers ...*working) {
	t.Helper()
	testwait.Until(t, "all workers see the pause", func() bool {
		return !slices.ContainsFunc(workers, func(w *working) bool {
			return !slices.ContainsFunc(w.Progress(), func(p segments.Progress) bool { return p.Paused })
		})
	})
}

// TestPause_stopsAllWorkersUntilResume has one of two workers be stopped, and another start, during the pause.
func TestPause_stopsAllWorkersUntilResume(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		program := &ledger{code: "one", breaks: &atomic.Int64{}}
		lines := &logBuffer{}
		options := quick()
		options.Logger = zerolog.New(lines)
		first, second := startPrograms(t, s, options, program), startPrograms(t, s, quick(), program)
		applied(t, s, "ledger", poisoned(t, s, 20, 3, 0))
		before := pause(t, s)
		if changed, err := segments.Pause(t.Context(), s, "ledger"); err != nil || changed {
			t.Errorf("pausing again changes %t, %v", changed, err)
		}
		head := poisoned(t, s, 20, 2, 0)
		second.stop()
		third := startPrograms(t, s, quick(), program)
		seesPause(t, first, third)
		if after := wantIdle(t, s); !slices.Equal(after, before) {
			t.Errorf("checkpoints go from %v to %v during the pause", before, after)
		}
		resume(t, s)
		applied(t, s, "ledger", head)
		if n := versionOf(t, s, program, "n7"); n != 5 || program.breaks.Load() != 0 {
			t.Errorf("n7 is at version %d, %d events did not follow the one before", n, program.breaks.Load())
		}
		testwait.Until(t, "no worker thinks that it is paused", func() bool {
			return !slices.ContainsFunc([]*working{first, third}, func(w *working) bool { return w.Progress()[0].Paused })
		})
		for _, message := range []string{`"message":"projection paused"`, `"message":"projection resumed"`} {
			if n := strings.Count(lines.String(), message); n != 1 {
				t.Errorf("the log has %s %d times", message, n)
			}
		}
		if changed, err := segments.Resume(t.Context(), s, "ledger"); err != nil || changed {
			t.Errorf("resuming again changes %t, %v", changed, err)
		}
		first.runs(t)
	})
}

// TestPause_waitsForTheSegmentsOfOthers has a worker with two segments, which gives them up one after the other.
func TestPause_waitsForTheSegmentsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	_, claims := w.install()
	pausing := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		go func() {
			_, err := segments.Pause(ctx, w, "sums")
			result <- err
		}()
		return result
	}
	impatient, stop := context.WithCancel(w.ctx)
	result := pausing(impatient)
	w.stillWaits(result)
	stop()
	var still *segments.StillRunningError
	if err := w.result(result); !errors.As(err, &still) || still.Worker != "w" || still.Segment != 0 ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any longer: %v", err)
	}
	w.fails.Store(2)
	result = pausing(w.ctx)
	w.stillWaits(result)
	for _, claim := range claims {
		w.stillWaits(result)
		if err := w.Release(w.ctx, claim); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.result(result); err != nil {
		t.Errorf("no worker has a segment: %v", err)
	}
	var unknown *store.InputError
	if _, err := segments.Pause(w.ctx, w, "other"); !errors.As(err, &unknown) {
		t.Errorf("a projection that is not known: %v", err)
	}
	w.fault = store.ErrNotMigrated
	if err := w.result(pausing(w.ctx)); !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("got %v", err)
	}
}

// TestPause_parkedKeysAreNotRetried has an order, and code that would retry the key at once, come during the pause.
func TestPause_parkedKeysAreNotRetried(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		program := &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")}
		lines := &logBuffer{}
		options := parking()
		options.Logger = zerolog.New(lines)
		worker := startPrograms(t, s, options, program)
		applied(t, s, "ledger", poisoned(t, s, 5, 4, 2, 3))
		pause(t, s)
		id := store.ParkedID{Projection: ledgerID, Key: []byte("n3")}
		if err := s.Order(t.Context(), id, store.ActionRetry); err != nil {
			t.Fatal(err)
		}
		fixed := &ledger{code: "two", breaks: program.breaks}
		worker.SetProgram(fixed)
		testwait.Until(t, "the fixed program is installed", func() bool { return strings.Contains(lines.String(), `"module":"ledger two"`) })
		late := startPrograms(t, s, parking(), fixed)
		seesPause(t, worker, late)
		wantIdle(t, s)
		if got := parkedIn(t, s); got != "n3: 3 events" {
			t.Errorf("during the pause, parked is %q", got)
		}
		resume(t, s)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if n := versionOf(t, s, fixed, "n3"); n != 4 || program.breaks.Load() != 0 {
			t.Errorf("n3 is at version %d, %d events did not follow the one before", n, program.breaks.Load())
		}
	})
}

// TestPause_aResetBuildsAgain resets what hosts run, which needs a pause, or their end.
func TestPause_aResetBuildsAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		program := &ledger{code: "one", breaks: &atomic.Int64{}}
		worker := startPrograms(t, s, quick(), program)
		head := poisoned(t, s, 5, 3, 0)
		applied(t, s, "ledger", head)
		pause(t, s)
		if err := s.Reset(t.Context(), "ledger"); err != nil {
			t.Fatal(err)
		}
		applied(t, s, "ledger", head)
		if n := versionOf(t, s, program, "n3"); n != 3 || program.breaks.Load() != 0 {
			t.Errorf("n3 is at version %d, %d events did not follow the one before", n, program.breaks.Load())
		}
		worker.runs(t)
	})
}

// TestPause_segmentsAreDividedMeanwhile has the layout change, by a word and by the wish of the workers.
func TestPause_segmentsAreDividedMeanwhile(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	program := &ledger{code: "one", breaks: &atomic.Int64{}}
	worker := startPrograms(t, s, quick(), program)
	applied(t, s, "ledger", poisoned(t, s, 20, 3, 0))
	pause(t, s)
	if err := s.Reshard(t.Context(), ledgerID, func(l *store.Layout) error { return l.Split(0, 3) }); err != nil {
		t.Fatal(err)
	}
	head := poisoned(t, s, 20, 2, 0)
	worker.stop()
	options := quick()
	options.Segments = 2
	startPrograms(t, s, options, program)
	testwait.Until(t, "it is divided into 2", func() bool { return len(statusOf(t, s, "ledger").Segments) == 2 })
	wantIdle(t, s)
	resume(t, s)
	applied(t, s, "ledger", head)
	for n := range 20 {
		if version := versionOf(t, s, program, fmt.Sprint("n", n)); version != 5 {
			t.Errorf("n%d is at version %d, want 5", n, version)
		}
	}
	if n := program.breaks.Load(); n != 0 {
		t.Errorf("%d events did not follow the one before", n)
	}
}

// TestWorker_onceDoesNotWaitForAPausedProjection has it be paused with and without events that are left.
func TestWorker_onceDoesNotWaitForAPausedProjection(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		program := &ledger{code: "one", breaks: &atomic.Int64{}}
		run := func() error {
			t.Helper()
			options := quick()
			options.Once = true
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(program)
			return worker.Run(t.Context())
		}
		poisoned(t, s, 5, 3, 0)
		if err := run(); err != nil {
			t.Fatal(err)
		}
		before := pause(t, s)
		if err := run(); err != nil {
			t.Errorf("all is applied: %v", err)
		}
		head := poisoned(t, s, 5, 1, 0)
		var paused *segments.PausedError
		err := run()
		if !errors.As(err, &paused) || paused.Projection != "ledger" || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), `projection ledger is paused since 20`) {
			t.Errorf("events are left: %v", err)
		}
		if after := wantIdle(t, s); !slices.Equal(after, before) {
			t.Errorf("checkpoints go from %v to %v during the pause", before, after)
		}
		wait := segments.Wait{Projection: "ledger", Position: head}
		if err := wait.For(t.Context(), s, s); !errors.As(err, &paused) {
			t.Errorf("the wait for an event that is left ends with %v", err)
		}
		wait.Position = slices.Min(before)
		if err := wait.For(t.Context(), s, s); err != nil {
			t.Errorf("the wait for one that is applied ends with %v", err)
		}
		resume(t, s)
		if err := run(); err != nil {
			t.Error(err)
		}
	})
}
