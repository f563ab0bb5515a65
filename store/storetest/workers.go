package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func layoutWorkers(f *fixture) {
	f.wantWorkers()
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w2", Segments: 3, Projections: []store.Membership{
		{ProjectionID: store.ProjectionID{Name: "zebra", Version: 2}, Segments: 8},
		{ProjectionID: store.ProjectionID{Name: "ant", Version: 1}},
	}}, time.Hour))
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, time.Hour))
	f.wantWorkers("w1 [] 0", "w2 [{{zebra 2 0} 8} {{ant 1 0} 0}] 3")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w2", Projections: []store.Membership{
		{ProjectionID: store.ProjectionID{Name: "mole", Version: 1}},
	}}, time.Hour))
	f.wantWorkers("w1 [] 0", "w2 [{{mole 1 0} 0}] 0")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "w1"}, time.Microsecond))
	f.await("the lease runs out", func() bool { return len(f.workers()) == 1 })
	f.wantWorkers("w2 [{{mole 1 0} 0}] 0")
	f.must(f.store.Leave(f.ctx, store.Worker{Name: "w2"}))
	f.wantWorkers()
}

// workers are those that are alive, one line each.
func (f *fixture) workers() []string {
	f.Helper()
	workers, err := f.store.Workers(f.ctx)
	f.must(err)
	var lines []string
	for _, w := range workers {
		lines = append(lines, fmt.Sprint(w.Name, " ", w.Projections, " ", w.Segments))
	}
	return lines
}

func (f *fixture) wantWorkers(want ...string) {
	f.Helper()
	if got := f.workers(); !slices.Equal(got, want) {
		f.Errorf("workers are %q, want %q", got, want)
	}
}
