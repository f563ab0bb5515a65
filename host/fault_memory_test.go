package host_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestGuest_faultsLeaveNothingBehind has 10,000 batches fail, of guests that take what they can, and compares
// the memory of the host with what it was after the first of them.
func TestGuest_faultsLeaveNothingBehind(t *testing.T) { // not parallel: it looks at the memory of the process
	r := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{MemoryMiB: 2, Fuel: 200_000}})
	var modules []*host.Module
	for _, g := range hosttest.Hostile() {
		if g.Stage != hosttest.StageApply {
			continue
		}
		if module, err := r.Load(t.Context(), g.Name, g.Wasm); err == nil {
			modules = append(modules, module)
			defer module.Close(t.Context())
		}
	}
	faults, events := 0, shopEvents(1, 1)
	apply := func(until int) {
		for n := 0; faults < until; n++ {
			if n == 2*len(modules) && faults == 0 {
				t.Fatal("no guest fails")
			}
			guest := modules[n%len(modules)].NewGuest(0)
			_, err := guest.Apply(t.Context(), events, emptyQuery(modules[n%len(modules)]))
			guest.Close(t.Context())
			var fault *host.Fault
			if errors.As(err, &fault) {
				faults++
			}
		}
	}
	memory := func() (heap uint64, goroutines int) {
		runtime.GC()
		runtime.GC() // what finalizers have let go of
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc, runtime.NumGoroutine()
	}
	apply(500)
	before, goroutines := memory()
	more := 10_000
	if guestbuild.RaceDetector {
		more = 1_000 // each takes twenty times as long
	}
	apply(500 + more)
	after, goroutinesAfter := memory()
	t.Logf("%d guests, %d faults: the heap was %d KiB and is %d KiB, %d goroutines and %d", len(modules), more,
		before>>10, after>>10, goroutines, goroutinesAfter)
	const bytesEach = 400
	if after > before+uint64(more)*bytesEach || goroutinesAfter > goroutines+2 {
		t.Errorf("faults leave something behind")
	}
}
