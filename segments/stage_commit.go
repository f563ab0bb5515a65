package segments

import (
	"context"
	"errors"

	"github.com/pupwasm/pupwasm/store"
)

// commit is the third stage: it commits windows in order, one after the other, until there are no more or one fails.
func (f *pipeline) commit(ctx, working context.Context) error {
	for w := range f.groups {
		if err := f.commitGroup(working, w); err != nil {
			close(f.aborted)
			return err
		}
		if pause := f.runner.worker.options.BatchPause; pause > 0 {
			sleep(ctx, pause)
		}
	}
	return nil
}

// commitGroup writes a window's rows and its checkpoint, and gives the window back for other events.
func (f *pipeline) commitGroup(ctx context.Context, w *commitGroup) error {
	commit := store.Commit{Through: w.through, Steps: w.folder.Steps(), Log: f.logID, LastPosition: w.last, LastEvent: w.lastEvent}
	err := f.write(ctx, w, commit)
	for errors.Is(err, store.ErrDeadlock) && ctx.Err() == nil {
		f.deadlocked(err)
		if f.transactional() && w.batches > 0 {
			return &deadlockedGroup{err: err} // the processor may have written in the transaction
		}
		err = f.write(ctx, w, commit)
	}
	if err != nil {
		if isLimit(err) {
			f.limited = w.through
		}
		if (isRejected(err) || isLimit(err)) && w.batches > 1 {
			return &refusedGroup{through: w.through, err: err}
		}
		if isRejected(err) && w.events > 1 {
			return &refusedGroup{through: w.through, events: w.events / 2, err: err}
		}
		return attributeError(err, w.first, w.last)
	}
	f.claim.Position = w.through
	f.runner.moved(f.claim, w.events)
	w.reset()
	f.free <- w // has room for all there are
	return nil
}

// write writes a window in a unit of work: the one in which its guest has asked, or a new one.
func (f *pipeline) write(ctx context.Context, w *commitGroup, commit store.Commit) error {
	if err := f.begin(ctx, w); err != nil {
		return err
	}
	defer f.end(w)
	return w.tx.Commit(ctx, commit)
}

// deadlocked counts a deadlock, and says so once a segment. Of the statements of projections only unordered ones can cause it; sessions of
// others that lock the same rows can, too. What the guest has read stays right: the rows are the segment's own, or the author has promised
// that their order does not matter.
func (f *pipeline) deadlocked(err error) {
	f.runner.deadlocks.Add(1)
	if f.deadlocks++; f.deadlocks == 1 {
		f.at().Warn().Err(err).Msg("deadlock, the commit is tried again: a statement that is marked unordered, or a session of somebody else, locks the same rows")
	}
}

// begin takes a lane and begins the unit of work of a window that has none yet.
func (f *pipeline) begin(ctx context.Context, w *commitGroup) error {
	if w.tx != nil {
		return nil
	}
	if err := f.runner.worker.connections.acquire(ctx, f.runner); err != nil {
		return err
	}
	w.tx = f.runner.catalogue.Begin(f.claim)
	return nil
}

// end gives the unit of work and the lane back.
func (f *pipeline) end(w *commitGroup) {
	w.tx.Rollback()
	w.tx = nil
	f.runner.worker.connections.release(f.runner)
}
