package segments

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// flow is the way of a segment's events from the log to the tables, in three stages that work at the same time:
//
//	          stretches                windows
//	read ───────────────► apply ──────────────────► commit
//	log   ◄─────────────  guest, fold ◄──────────── rows + checkpoint
//	          drained                  free
//
// reading.go reads ahead, up to the horizon, a stretch at a time. applying.go cuts a stretch into batches for the guest and
// folds what it answers into a window. committing.go commits one window after the other, each in one transaction. Stretches and windows
// are few and go round, so that no stage is far ahead of the next.
//
// While the next stage is busy, the one before works on: far behind the head, many batches become one commit; near it, a
// window is committed as soon as the commit before it has ended. What was computed behind a commit that failed is dropped with it.
//
// A projection with queries has one window, since its guest must see what the batch before has written: then the stages behind the
// reading take turns.
type flow struct {
	*segment
	from int64 // the position at which it begins

	stretches chan *stretch
	drained   chan *stretch
	windows   chan *window
	free      chan *window
	broken    chan struct{} // closed when a commit has failed: nothing behind it will be committed

	// What counts in the worker's budget.
	allStretches []*stretch
	allWindows   []*window
}

// readAhead is how many stretches are on their way: one is read while another is applied.
const readAhead = 2

func newFlow(s *segment) *flow {
	windows := 2 // one is committed while the other is filled
	if s.queries() {
		windows = 1
	}
	f := &flow{
		segment: s, from: s.claim.Position,
		stretches: make(chan *stretch, readAhead), drained: make(chan *stretch, readAhead),
		windows: make(chan *window), free: make(chan *window, windows), broken: make(chan struct{}),
	}
	for range readAhead {
		to := &stretch{}
		f.allStretches = append(f.allStretches, to)
		f.drained <- to
	}
	for range windows {
		w := newWindow(s)
		f.allWindows = append(f.allWindows, w)
		f.free <- w
	}
	return f
}

// drain gives a stretch back for the next read. Where others wait for its bytes, its memory goes too.
func (f *flow) drain(to *stretch) {
	held := to.held
	to.held = 0
	if f.runner.worker.budget.scarce() {
		f.runner.worker.feed.release(to.pages...)
		*to = stretch{}
	}
	f.runner.worker.budget.change(-held)
	f.drained <- to
}

// forget takes what is left of the flow out of the budget.
func (f *flow) forget() {
	bytes := 0
	for _, s := range f.allStretches {
		bytes += s.held
	}
	for _, w := range f.allWindows {
		bytes += w.held
	}
	f.runner.worker.budget.change(-bytes)
}

// queries tells whether the guest may ask for what it has written.
func (s *segment) queries() bool { return len(s.runner.module.Description.Queries) > 0 }

// run ends when ctx does, at the segment's end, or at the first error in the order of the events. Calls that are under way
// are given the time of working.
func (f *flow) run(ctx, working context.Context) error {
	waiting, stopWaiting := context.WithCancel(ctx)
	reading, stopReading := context.WithCancel(working)
	defer stopWaiting()
	defer stopReading()
	var stages sync.WaitGroup
	var readError, commitError error
	stages.Go(func() {
		defer close(f.stretches)
		readError = f.read(waiting, reading)
	})
	stages.Go(func() { commitError = f.commit(ctx, working) })
	applyError := f.apply(ctx, working)
	stopWaiting()
	if applyError != nil || f.isBroken() {
		stopReading() // its result is of no use any more
	}
	close(f.windows)
	stages.Wait()
	f.forget()
	switch {
	case commitError != nil:
		return commitError
	case applyError != nil:
		return applyError
	case ctx.Err() != nil && errors.Is(readError, context.Canceled):
		return nil
	}
	return readError
}

func (f *flow) isBroken() bool {
	select {
	case <-f.broken:
		return true
	default:
		return false
	}
}

// refusedWindow says that the database has refused what came of several events. Their batches are tried one by one, and then in smaller
// ones, so that all before the event at fault are applied, whatever was folded with them.
type refusedWindow struct {
	through int64
	events  int // the most in a batch from now on, 0 for as many as before
	err     error
}

func (e *refusedWindow) Error() string {
	return fmt.Sprintf("several events up to position %d: %s", e.through, e.err)
}

func isRejected(err error) bool {
	var rejected *store.RejectedError
	return errors.As(err, &rejected)
}
