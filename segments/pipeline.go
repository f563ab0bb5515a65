package segments

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// pipeline is the way of a segment's events from the log to the tables, in three stages that work at the same time:
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
type pipeline struct {
	*segment
	from int64 // the position at which it begins

	chunks  chan *chunk
	drained chan *chunk
	groups  chan *commitGroup
	free    chan *commitGroup
	aborted chan struct{} // closed when a commit has failed: nothing behind it will be committed

	// What counts in the worker's budget.
	allChunks []*chunk
	allGroups []*commitGroup
}

// readAhead is how many stretches are on their way: one is read while another is applied.
const readAhead = 2

func newPipeline(s *segment) *pipeline {
	windows := 2 // one is committed while the other is filled
	if s.transactional() {
		windows = 1
	}
	f := &pipeline{
		segment: s, from: s.claim.Position,
		chunks: make(chan *chunk, readAhead), drained: make(chan *chunk, readAhead),
		groups: make(chan *commitGroup), free: make(chan *commitGroup, windows), aborted: make(chan struct{}),
	}
	for range readAhead {
		to := &chunk{}
		f.allChunks = append(f.allChunks, to)
		f.drained <- to
	}
	for range windows {
		w := newCommitGroup(s)
		f.allGroups = append(f.allGroups, w)
		f.free <- w
	}
	return f
}

// drain gives a stretch back for the next read. Where others wait for its bytes, its memory goes too.
func (f *pipeline) drain(to *chunk) {
	held := to.held
	to.held = 0
	if f.runner.worker.memory.scarce() {
		f.runner.worker.cache.release(to.pages...)
		*to = chunk{}
	}
	f.runner.worker.memory.change(-held)
	f.drained <- to
}

// forget takes what is left of the flow out of the budget.
func (f *pipeline) forget() {
	bytes := 0
	for _, s := range f.allChunks {
		bytes += s.held
	}
	for _, w := range f.allGroups {
		bytes += w.held
	}
	f.runner.worker.memory.change(-bytes)
}

// transactional reports that a batch is processed in the transaction in which it is committed.
func (s *segment) transactional() bool { return s.runner.program.Transactional() }

// run ends when ctx does, at the segment's end, or at the first error in the order of the events. Calls that are under way
// are given the time of working.
func (f *pipeline) run(ctx, working context.Context) error {
	waiting, stopWaiting := context.WithCancel(ctx)
	reading, stopReading := context.WithCancel(working)
	defer stopWaiting()
	defer stopReading()
	var stages sync.WaitGroup
	var readError, commitError error
	stages.Go(func() {
		defer close(f.chunks)
		readError = f.read(waiting, reading)
	})
	stages.Go(func() { commitError = f.commit(ctx, working) })
	applyError := f.apply(ctx, working)
	stopWaiting()
	if applyError != nil || f.isAborted() {
		stopReading() // its result is of no use any more
	}
	close(f.groups)
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

func (f *pipeline) isAborted() bool {
	select {
	case <-f.aborted:
		return true
	default:
		return false
	}
}

// refusedGroup says that the database has refused what came of several events. Their batches are tried one by one, and then in smaller
// ones, so that all before the event at fault are applied, whatever was folded with them.
type refusedGroup struct {
	through int64
	events  int // the most in a batch from now on, 0 for as many as before
	err     error
}

// deadlockedGroup says that a deadlock has undone what was written while the group was processed. It is processed again.
type deadlockedGroup struct{ err error }

func (e *deadlockedGroup) Error() string { return e.err.Error() }

func (e *deadlockedGroup) Unwrap() error { return e.err }

func (e *refusedGroup) Error() string {
	return fmt.Sprintf("several events up to position %d: %s", e.through, e.err)
}

func isRejected(err error) bool {
	var rejected *store.RejectedError
	return errors.As(err, &rejected)
}
