package segments

import (
	"context"
	"fmt"

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
	steps := w.folder.Steps()
	if err := f.begin(ctx, w); err != nil {
		return err
	}
	err := f.sameLog(w)
	if err == nil {
		err = w.tx.Commit(ctx, w.through, steps)
	}
	f.end(w)
	if err != nil {
		if isRejected(err) && w.batches > 1 {
			return &refusedWindow{through: w.through, err: err}
		}
		if isRejected(err) && w.events > 1 {
			return &refusedWindow{through: w.through, events: w.events / 2, err: err}
		}
		return blame(err, w.first, w.last)
	}
	f.claim.Position = w.through
	f.runner.moved(f.claim, w.events)
	w.reset()
	f.free <- w // has room for all there are
	return nil
}

// sameLog refuses a window whose events may be of another log than the database has now.
func (f *flow) sameLog(w *window) error {
	if f.runner.worker.head.log() != w.log {
		return fmt.Errorf("%w: another server may have taken its place while the batch was at work", store.ErrTransient)
	}
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
