package segments

import (
	"context"
	"fmt"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// sentWindow is a window on its way to the database.
type sentWindow struct {
	*window
	err error // it was not sent
}

// commit is the third stage: it commits windows in order until there are no more, or one fails. While the database is at work on one,
// the next one is sent behind it.
func (f *flow) commit(ctx, working context.Context) error {
	sent := make(chan sentWindow) // without room: one is waited for, and one is behind it
	var settleError error
	var settling sync.WaitGroup
	settling.Go(func() {
		if settleError = f.settleAll(working, sent); settleError != nil {
			close(f.broken)
		}
	})
	for w := range f.windows {
		if f.alone() {
			if settleError = f.commitAlone(ctx, working, w); settleError != nil {
				close(f.broken)
				break
			}
			continue
		}
		select {
		case sent <- sentWindow{w, f.send(working, w)}:
			continue
		case <-f.broken:
		}
		break
	}
	close(sent)
	settling.Wait()
	f.endCommits()
	return settleError
}

// alone tells that a window must have been committed before the next one is sent.
func (f *flow) alone() bool { return f.queries() || f.runner.worker.options.BatchPause > 0 }

// commitAlone commits a window, and rests where it was asked to.
func (f *flow) commitAlone(ctx, working context.Context, w *window) error {
	err := f.send(working, w)
	if err = f.settle(working, sentWindow{w, err}); err != nil {
		return err
	}
	if pause := f.runner.worker.options.BatchPause; pause > 0 {
		sleep(ctx, pause)
	}
	return nil
}

// settleAll waits for one window after the other, until one was not committed.
func (f *flow) settleAll(ctx context.Context, windows <-chan sentWindow) error {
	for sent := range windows {
		if err := f.settle(ctx, sent); err != nil {
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
		err = f.commits.Send(ctx, w.through, steps)
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

// underWay counts the windows that were sent. They share a connection, and so a lane.
type underWay struct {
	mu      sync.Mutex
	windows int
}

// enterLane counts a window in, and takes the lane for the first one. One goroutine enters.
func (f *flow) enterLane(ctx context.Context) error {
	if f.underWay.joined() {
		return nil
	}
	if err := f.runner.worker.lanes.enter(ctx, f.runner); err != nil {
		return err
	}
	f.underWay.add(1)
	return nil
}

// leaveLane counts a window out, and gives the lane back behind the last one.
func (f *flow) leaveLane() {
	if f.underWay.add(-1) == 0 {
		f.runner.worker.lanes.leave(f.runner)
	}
}

// joined counts one more in, unless there is none.
func (u *underWay) joined() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.windows == 0 {
		return false
	}
	u.windows++
	return true
}

func (u *underWay) add(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.windows += n
	return u.windows
}

// endCommits drops what was sent behind a window that was not committed.
func (f *flow) endCommits() {
	f.commits.Close()
	if f.underWay.windows > 0 {
		f.runner.worker.lanes.leave(f.runner)
	}
}
