package segments

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// nearEvents is how far a version may be behind for its indexes to be built.
const nearEvents = 5000

// buildIndexes has the indexes built that the program declares and its tables lack. Those of a version that readers do
// not see would slow its building down: they wait until it has nearly caught up.
func (r *runner) buildIndexes(status *store.ProjectionStatus) {
	if r.indexed == r.program || status.Paused() || !status.Live && !r.completed && !r.nearlyCaughtUp(status) {
		return
	}
	r.indexed = r.program
	r.indexes.start(r.program.Projection())
}

// stopBuilding ends the building. It is begun again when there is something to apply.
func (r *runner) stopBuilding() {
	r.indexed = nil
	r.indexes.stop()
}

// nearlyCaughtUp reports that no segment is far behind.
func (r *runner) nearlyCaughtUp(status *store.ProjectionStatus) bool {
	head, known := r.worker.log.Head()
	positions := r.committed()
	for i := range status.Segments {
		s := &status.Segments[i]
		if max(s.Position, positions[s.Segment]) < head-nearEvents {
			return false
		}
	}
	return known
}

// indexer builds the indexes that an installed program declares and its tables lack, while everything else goes on. A
// build may take hours. It ends early with the runner and by a pause, and is begun again by the next install, here or on
// another host. A program that replaces the one it is for does not end it: the same index is built for that too.
type indexer struct {
	runner *runner

	mu     sync.Mutex
	next   *store.Projection  // whose indexes are to be built
	cancel context.CancelFunc // ends what is under way, or nil
	done   chan struct{}      // closed when nothing is under way
}

// start has the indexes of a projection built, after what is under way.
func (x *indexer) start(projection *store.Projection) {
	if !slices.ContainsFunc(projection.Tables, func(t store.Table) bool { return len(t.Indexes) > 0 }) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next = projection
	if x.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.done = cancel, make(chan struct{})
	go x.run(ctx)
}

// stop ends what is under way, and waits.
func (x *indexer) stop() {
	x.mu.Lock()
	x.next = nil
	cancel, done := x.cancel, x.done
	x.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// finish waits until all indexes are built, or the runner is to end.
func (x *indexer) finish(ctx context.Context) {
	x.mu.Lock()
	done := x.done
	x.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-x.runner.quit:
	case <-ctx.Done():
	}
}

func (x *indexer) run(ctx context.Context) {
	for projection := x.take(); projection != nil; projection = x.take() {
		x.build(ctx, projection)
	}
}

// take takes what is next. When there is nothing, it notes that nothing is under way.
func (x *indexer) take() *store.Projection {
	x.mu.Lock()
	defer x.mu.Unlock()
	projection := x.next
	x.next = nil
	if projection == nil {
		x.cancel()
		x.cancel = nil
		close(x.done)
	}
	return projection
}

// outdated reports that a newer program waits.
func (x *indexer) outdated() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.next != nil
}

// refusedIndexMax is the longest pause before an index is tried again that the database has refused: it may have taken
// long to find that out.
const refusedIndexMax = 10 * time.Minute

// build tries until the indexes are there, or a newer program waits. A worker that runs once tries one that is refused
// once only.
func (x *indexer) build(ctx context.Context, projection *store.Projection) {
	r := x.runner
	retry, waits, refused := r.worker.options.backoff(), false, backoff.Backoff{Min: retryInterval, Max: refusedIndexMax}
	told := map[string]bool{}
	for ctx.Err() == nil {
		err := r.worker.tables.BuildIndexes(ctx, projection, x.teller())
		pause := retry.Pause()
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case !errors.Is(err, store.ErrTransient):
			if !told[err.Error()] {
				told[err.Error()] = true
				r.logger.Error().Err(err).Msg("an index cannot be built, which is tried again now and then")
			}
			if r.worker.options.Once {
				return
			}
			pause = refused.Pause()
		case !waits && errors.Is(err, store.ErrLocked):
			waits = true
			r.logger.Info().Msg("an index is missing, waiting for another host, or for a vacuum of the table")
		case !waits:
			waits = true
			r.logger.Info().Err(err).Msg("an index is not built yet, trying again")
		}
		if !x.sleep(ctx, pause) {
			return
		}
	}
}

// sleep waits for a pause, and reports whether to go on then: it ends early for a newer program.
func (x *indexer) sleep(ctx context.Context, pause time.Duration) bool {
	end := clock.Now().Add(pause)
	for !x.outdated() && clock.Now().Before(end) {
		if !backoff.Sleep(ctx, min(pause, retryInterval)) {
			return false
		}
	}
	return !x.outdated()
}

// teller logs when an index begins to be built and when it is there.
func (x *indexer) teller() func(store.IndexBuild) {
	var began time.Time
	return func(b store.IndexBuild) {
		event := x.runner.logger.Info().Str("table", b.Table).Str("columns", strings.Join(b.Columns, ", "))
		if !b.Done {
			began = clock.Now()
			event.Msg("index is being built, commits go on")
			return
		}
		event.Dur("after", clock.Since(began)).Msg("index is built")
	}
}
