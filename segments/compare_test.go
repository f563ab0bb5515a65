package segments_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// bothLedgers has a worker run two versions of the ledger, which have applied what they found.
func bothLedgers(t *testing.T, s store.Store, adapt func(*segments.Worker)) *working {
	t.Helper()
	worker := startWorker(t, s, quick())
	if adapt != nil {
		adapt(worker.Worker)
	}
	breaks := new(atomic.Int64)
	worker.SetProgram(&ledger{code: "1", breaks: breaks})
	head := poisoned(t, s, 20, 2, 0)
	worker.SetProgram(laterLedger{&ledger{code: "2", breaks: breaks}})
	bothAt(t, s, head)
	return worker
}

func bothAt(t *testing.T, s store.Store, head int64) {
	t.Helper()
	for version := 1; version <= 2; version++ {
		testwait.Until(t, "the version has applied all events", func() bool {
			there, _ := versionAt(t.Context(), s, version, head)
			return there
		})
	}
}

// TestCompare_underLoad compares two versions that write the same rows, while events come without a pause.
func TestCompare_underLoad(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		worker := bothLedgers(t, s, nil)
		var appender sync.WaitGroup
		stop := make(chan struct{})
		appender.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					poisoned(t, s, 20, 1, 0)
				}
			}
		})
		last := int64(0)
		for range 3 {
			comparison, err := segments.Compare(t.Context(), s, ledgerID, laterID, 1)
			if err != nil {
				t.Fatal(err)
			}
			if comparison.Differ() || comparison.Position < last || comparison.Tables[0].Rows[0] != 20 {
				t.Errorf("after position %d the comparison is %+v", last, comparison)
			}
			last = comparison.Position
		}
		close(stop)
		appender.Wait()
		bothAt(t, s, poisoned(t, s, 20, 1, 0)) // nothing is held
		worker.runs(t)
	})
}

// TestCompare_thatDoesNotEnd has somebody hold both versions and go away. The worker lets them go on.
func TestCompare_thatDoesNotEnd(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		worker := bothLedgers(t, s, func(w *segments.Worker) { segments.SetHoldMax(w, 50*time.Millisecond) })
		if err := segments.Hold(t.Context(), s, [2]store.ProjectionID{ledgerID, {Name: "ledger", Version: 2}}); err != nil {
			t.Fatal(err)
		}
		bothAt(t, s, poisoned(t, s, 20, 2, 0))
		worker.runs(t)
	})
}

// TestCompare_ofVersionsThatAreFarApart does not hold anything.
func TestCompare_ofVersionsThatAreFarApart(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		worker := bothLedgers(t, s, nil)
		worker.Remove(store.ProjectionID{Name: "ledger", Version: 2})
		head := poisoned(t, s, 500, 25, 0)
		testwait.Until(t, "version 1 has applied all events", func() bool {
			there, _ := versionAt(t.Context(), s, 1, head)
			return there
		})
		_, err := segments.Compare(t.Context(), s, ledgerID, laterID, 1)
		var apart *store.ApartError
		if !errors.As(err, &apart) || apart.Positions < 10_000 {
			t.Errorf("got %v", err)
		}
		worker.runs(t)
	})
}
