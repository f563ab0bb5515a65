package segments

import (
	"context"
	"errors"

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
	commit := store.Commit{Through: w.through, Steps: w.folder.Steps(), Log: f.logID, LastPosition: w.last, LastEvent: w.lastEvent}
	err := f.write(ctx, w, commit)
	for errors.Is(err, store.ErrDeadlock) && ctx.Err() == nil {
		f.deadlocked(err)
		err = f.write(ctx, w, commit)
	}
	if err != nil {
		if isLimit(err) {
			f.limited = w.through
		}
		if (isRejected(err) || isLimit(err)) && w.batches > 1 {
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

// write writes a window in a unit of work: the one in which its guest has asked, or a new one.
func (f *flow) write(ctx context.Context, w *window, commit store.Commit) error {
	if err := f.begin(ctx, w); err != nil {
		return err
	}
	defer f.end(w)
	return w.tx.Commit(ctx, commit)
}

// deadlocked counts a deadlock, and says so once a segment. Of the statements of projections only unordered ones can cause it; sessions of
// others that lock the same rows can, too. What the guest has read stays right: the rows are the segment's own, or the author has promised
// that their order does not matter.
func (f *flow) deadlocked(err error) {
	f.runner.deadlocks.Add(1)
	if f.deadlocks++; f.deadlocks == 1 {
		f.at().Warn().Err(err).Msg("deadlock, the commit is tried again: a statement that is marked unordered, or a session of somebody else, locks the same rows")
	}
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
