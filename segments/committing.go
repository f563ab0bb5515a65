package segments

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// commit is the third stage: it commits windows in order, one after the other, until there are no more or one fails.
func (f *flow) commit(ctx, working context.Context) error {
	for w := range f.windows {
		if err := f.commitWindow(working, w); err != nil {
			close(f.broken)
			return err
		}
		if pause := f.runner.worker.options.BatchPause; pause > 0 {
			sleep(ctx, pause)
		}
	}
	return nil
}

// commitWindow writes a window's rows and its checkpoint, and gives the window back for other events.
func (f *flow) commitWindow(ctx context.Context, w *window) error {
	commit := store.Commit{Through: w.through, Steps: w.folder.Steps(), Log: f.of, LastPosition: w.last, LastEvent: w.lastEvent}
	if err := f.begin(ctx, w); err != nil {
		return err
	}
	err := w.tx.Commit(ctx, commit)
	f.end(w)
	if err != nil {
		if w.batches > 1 && isRejected(err) {
			return &refusedWindow{through: w.through, err: err}
		}
		return blame(err, w.first, w.last)
	}
	f.claim.Position, f.claim.Applied = w.through, commit.Applied(&f.claim)
	f.runner.moved(f.claim, w.events)
	w.reset()
	f.free <- w // has room for all there are
	return nil
}

// begin takes a lane and begins the unit of work of a window that has none yet.
func (f *flow) begin(ctx context.Context, w *window) error {
	if w.tx != nil {
		return nil
	}
	if err := f.runner.worker.lanes.enter(ctx, f.runner); err != nil {
		return err
	}
	w.tx = f.runner.catalogue.Begin(f.claim)
	return nil
}

// end gives the unit of work and the lane back.
func (f *flow) end(w *window) {
	w.tx.Rollback()
	w.tx = nil
	f.runner.worker.lanes.leave(f.runner)
}
