package segments

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// sentWindow is a window on its way to the database.
type sentWindow struct {
	*window
	err error // it was not sent
}

// commit is the third stage: it commits windows in order until there are no more, or one fails.
func (f *flow) commit(ctx, working context.Context) error {
	defer f.endCommits()
	if f.queries() || f.runner.worker.options.BatchPause > 0 {
		return f.commitOneByOne(ctx, working)
	}
	return f.commitInARow(working)
}

// commitOneByOne sends a window when the one before it is committed, and has rested where it was asked to.
func (f *flow) commitOneByOne(ctx, working context.Context) error {
	for w := range f.windows {
		if err := f.settle(working, sentWindow{w, f.send(working, w)}); err != nil {
			close(f.broken)
			return err
		}
		if pause := f.runner.worker.options.BatchPause; pause > 0 {
			sleep(ctx, pause)
		}
	}
	return nil
}

// commitInARow sends the next window while the database is at work on one.
func (f *flow) commitInARow(ctx context.Context) error {
	sent := make(chan sentWindow) // without room: one is waited for, and one is behind it
	settled := make(chan error, 1)
	go func() { settled <- f.settleAll(ctx, sent) }()
	f.sendAll(ctx, sent)
	return <-settled
}

// sendAll sends one window after the other, until one was not sent: what is behind it has no use.
func (f *flow) sendAll(ctx context.Context, sent chan<- sentWindow) {
	defer close(sent)
	for w := range f.windows {
		err := f.send(ctx, w)
		select {
		case sent <- sentWindow{w, err}:
		case <-f.broken:
			return
		}
		if err != nil {
			return
		}
	}
}

// settleAll waits for one window after the other, until one was not committed.
func (f *flow) settleAll(ctx context.Context, windows <-chan sentWindow) error {
	for sent := range windows {
		if err := f.settle(ctx, sent); err != nil {
			close(f.broken)
			return err
		}
	}
	return nil
}

// send sends a window's rows and its checkpoint. One whose unit of work is begun is written when it is settled.
func (f *flow) send(ctx context.Context, w *window) error {
	if f.queries() {
		if err := f.begin(ctx, w); err != nil {
			return err
		}
		return f.sameLog(w)
	}
	steps := w.folder.Steps()
	if err := f.enterLane(ctx); err != nil {
		return err
	}
	err := f.sameLog(w)
	if err == nil {
		err = f.commits.Send(ctx, w.after, w.through, steps)
	}
	if err != nil {
		f.leaveLane()
	}
	return err
}

// sameLog refuses a window whose events may be of another log than the database has now.
func (f *flow) sameLog(w *window) error {
	if f.runner.worker.head.log() != w.log {
		return fmt.Errorf("%w: another server may have taken its place while the batch was at work", store.ErrTransient)
	}
	return nil
}

// settle waits until a window is committed, and gives it back for other events.
func (f *flow) settle(ctx context.Context, sent sentWindow) error {
	w, err := sent.window, sent.err
	switch {
	case w.tx != nil:
		if err == nil {
			err = w.tx.Commit(ctx, w.through, w.folder.Steps())
		}
		f.end(w)
	case err == nil:
		err = f.commits.Wait(ctx)
		f.leaveLane()
	}
	if err != nil {
		if w.batches > 1 && isRejected(err) {
			return &refusedWindow{through: w.through, err: err}
		}
		return blame(err, w.first, w.last)
	}
	f.claim.Position = w.through
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

func (f *flow) end(w *window) {
	w.tx.Rollback()
	w.tx = nil
	f.runner.worker.lanes.leave(f.runner)
}

// endCommits drops what was sent behind a window that was not committed.
func (f *flow) endCommits() {
	f.commits.Close()
	if f.underWay.windows > 0 {
		f.runner.worker.lanes.leave(f.runner)
	}
}
