package host

import (
	"context"
	"os"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// Reply returns the bytes that the last Apply decoded, which are valid until the next call.
func (g *Guest) Reply() []byte { return g.reply }

// Batch lays out events as the guest gets them.
func (g *Guest) Batch(events []store.RecordedEvent) ([]byte, error) {
	if err := g.readKeys(events); err != nil {
		return nil, err
	}
	return g.encodeBatch(events)
}

// CompileHere takes the compiler away.
func (r *Runtime) CompileHere() { r.compiler = nil }

// WaitForAll makes Sync wait for every module, however long it takes to load.
func (r *Registry) WaitForAll() { r.syncWait = testwait.Patience }

// HasTurn tells whether code of the guest runs.
func (g *Guest) HasTurn() bool { return g.running }

// Turns is how many guests run at once.
func Turns() int { return processors.count }

// TurnsFor makes turns for so many at once: try takes one, await waits for one, and give gives one back.
func TurnsFor(count int) (
	try func() bool, await func(ctx context.Context, lengthy bool) error, give func(), waiting func() int,
) {
	t := newTurns(count)
	return t.try, func(ctx context.Context, isLengthy bool) error {
			if isLengthy {
				return t.await(ctx, lengthy)
			}
			return t.await(ctx, brief)
		}, t.give, func() int {
			t.mu.Lock()
			defer t.mu.Unlock()
			return len(t.waiting[brief]) + len(t.waiting[lengthy])
		}
}

// Adapted is the size of the slices behind one that took some time.
var Adapted = adapted

// SliceFirst is the size of the first slice.
const SliceFirst = sliceFirst

// SliceSize gives slices a size, until they adapt. It is for a guest that is within a query.
func (g *Guest) SliceSize(units int64) { g.fuel.sliceSize.Set(uint64(units)) }

// RetryAtOnce makes what did not load for a reason of this machine due.
func (r *Registry) RetryAtOnce() {
	for _, known := range r.files {
		if !known.retry.IsZero() {
			known.retry = known.retry.Add(-time.Hour)
		}
	}
}

// HoldReading keeps modules from being read until the function that it returns is called.
func (r *Runtime) HoldReading() (release func()) {
	r.reading.slots <- struct{}{}
	return func() { <-r.reading.slots }
}

// ReadingWaits tells whether a module waits to be read.
func (r *Runtime) ReadingWaits() bool { return r.reading.waiting.Load() > 0 }

// CacheEntries are the names of the files of compiled code.
func (r *Runtime) CacheEntries() (names []string) {
	entries, _ := os.ReadDir(r.cache.engine)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// SameCode tells whether two modules share what was compiled.
func SameCode(a, b *Module) bool { return a.code == b.code }
