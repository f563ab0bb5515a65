package segments_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// laterLedger is version 2 of the ledger.
type laterLedger struct{ *ledger }

func (l laterLedger) Projection() *store.Projection {
	projection := l.ledger.Projection()
	projection.Version = 2
	return projection
}

// versionAt reports that every segment of a version of the ledger is at a position or has failed, and how many have
// failed.
func versionAt(ctx context.Context, s store.Store, version int, position int64) (there bool, failed int) {
	all, err := s.Status(ctx, "ledger")
	if err != nil {
		return false, 0
	}
	for i := range all {
		if all[i].Version != version {
			continue
		}
		there = true
		for _, segment := range all[i].Segments {
			if segment.Failure != "" {
				failed++
			} else if segment.Position < position {
				there = false
			}
		}
	}
	return there, failed
}

// TestWorker_versionsBesideEachOther has a worker build version 2 of a projection beside version 1, which has applied
// events. Version 2 fails at an event of a stream, which is not the business of version 1. Then version 2 is removed.
func TestWorker_versionsBesideEachOther(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, count func(projection, table string) int) {
		lines := &logBuffer{}
		options := quick()
		options.Name, options.Logger = "both", zerolog.New(lines)
		breaks := new(atomic.Int64)
		worker := startPrograms(t, s, options, &ledger{code: "1", breaks: breaks})
		head := poisoned(t, s, 20, 3, 0)
		testwait.Until(t, "version 1 has applied all events", func() bool {
			there, _ := versionAt(t.Context(), s, 1, head)
			return there
		})

		worker.SetProgram(laterLedger{&ledger{code: "2", breaks: breaks, bad: badType("Bad")}})
		testwait.Until(t, "version 2 has applied all events", func() bool {
			if strings.Contains(lines.String(), "module refused") {
				t.Fatalf("version 2 is refused: %s", lines)
			}
			there, _ := versionAt(t.Context(), s, 2, head)
			return there
		})
		if rows := count("ledger__v2", "streams"); rows != 20 {
			t.Errorf("version 2 has %d rows, want 20", rows)
		}
		run := []store.ProjectionID{ledgerID, {Name: "ledger", Version: 2}}
		testwait.Until(t, "the worker runs both versions", func() bool { return slices.Equal(runBy(t, s, "both"), run) })

		head = poisoned(t, s, 20, 1, 1, 7)
		testwait.Until(t, "both have the new events, and version 2 has failed at one", func() bool {
			first, failedFirst := versionAt(t.Context(), s, 1, head)
			second, failedSecond := versionAt(t.Context(), s, 2, head)
			return first && failedFirst == 0 && second && failedSecond == 1
		})
		const failed = `"projection":"ledger","version":2,"segment"`
		for line := range strings.Lines(lines.String()) {
			if strings.Contains(line, "segment failed") && !strings.Contains(line, failed) {
				t.Errorf("the log does not tell which version has failed: %s", line)
			}
		}

		worker.Remove(store.ProjectionID{Name: "ledger", Version: 2})
		head = poisoned(t, s, 20, 1, 0)
		testwait.Until(t, "version 1 goes on alone", func() bool {
			there, failed := versionAt(t.Context(), s, 1, head)
			return there && failed == 0 && slices.Equal(runBy(t, s, "both"), run[:1])
		})
		if count("ledger__v1", "streams") != 20 || breaks.Load() != 0 {
			t.Errorf("version 1 has %d rows, and the order was broken %d times", count("ledger__v1", "streams"), breaks.Load())
		}
		worker.runs(t)
	})
}
