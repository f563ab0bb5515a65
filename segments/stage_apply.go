package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// apply is the second stage: it gives stretches to the guest, batch by batch, and windows to the third stage. It ends when there
// are no more stretches, or ctx does; what is applied then is handed on.
func (f *pipeline) apply(ctx, working context.Context) error {
	w := <-f.free
	for {
		if w.due() && f.trySubmit(w) {
			if w = f.next(); w == nil {
				return nil
			}
		}
		stretches, hand := f.chunks, chan<- *commitGroup(nil)
		if w.full() {
			stretches = nil
		}
		if w.due() {
			hand = f.groups
		}
		select {
		case hand <- w:
			if w = f.next(); w == nil {
				return nil
			}
		case from, more := <-stretches:
			if !more {
				f.submit(w)
				return nil
			}
			var err error
			if w, err = f.applyChunk(ctx, working, from, w); err != nil || w == nil {
				return err
			}
		case <-w.expired():
		case <-f.aborted:
			return nil
		case <-ctx.Done():
			f.submit(w)
			return nil
		}
	}
}

// expired fires when a window that waits for more has to go.
func (w *commitGroup) expired() <-chan time.Time {
	if !w.filled || w.due() {
		return nil
	}
	return time.After(w.left())
}

// trySubmit hands a window on if the third stage waits for one.
func (f *pipeline) trySubmit(w *commitGroup) bool {
	select {
	case f.groups <- w:
		return true
	default:
		return false
	}
}

// submit hands a window on, if there is anything in it, as soon as the third stage takes it.
func (f *pipeline) submit(w *commitGroup) {
	if !w.filled {
		return
	}
	select {
	case f.groups <- w:
	case <-f.aborted:
	}
}

// next returns a window to fill, or nil when there is no use in it.
func (f *pipeline) next() *commitGroup {
	select {
	case w := <-f.free:
		w.before = clock.Now()
		return w
	case <-f.aborted:
		return nil
	}
}

// applyChunk folds a stretch into w and, when that is full, into further windows. It returns the window to go on with, or nil when
// a commit has failed. When the guest is to blame, what came before its batch is handed on.
func (f *pipeline) applyChunk(ctx, working context.Context, from *chunk, w *commitGroup) (*commitGroup, error) {
	batches := f.cut(from)
	for i, batch := range batches {
		if w.full() {
			f.submit(w)
			if w = f.next(); w == nil {
				return nil, nil
			}
		}
		if ctx.Err() != nil {
			return w, nil
		}
		mutations, err := f.process(working, batch.events, w)
		if err != nil {
			f.submit(w)
			var fault *Fault
			if errors.As(err, &fault) && fault.Divide && len(batch.events) > 1 {
				return nil, &refusedGroup{through: batch.through, events: len(batch.events) / 2, err: err}
			}
			return nil, attributeError(err, batch.events[0].Position, batch.events[len(batch.events)-1].Position)
		}
		w.reaches = from.reaches && i == len(batches)-1
		w.add(batch, mutations)
	}
	f.drain(from)
	return w, nil
}

// batch is what the guest gets in one call: the segment's next events, up to through.
type batch struct {
	events  []store.RecordedEvent
	through int64
}

// cut divides a stretch into batches. One that has no events is a batch without events.
func (f *pipeline) cut(from *chunk) []batch {
	limit := f.runner.batchEvents()
	if f.isolateEvents > 0 && from.after < f.isolateThrough {
		limit = min(limit, f.isolateEvents)
	}
	batches := make([]batch, 0, len(from.events)/limit+1)
	events := from.events
	for len(events) > limit {
		batches = append(batches, batch{events: events[:limit], through: events[limit-1].Position})
		events = events[limit:]
	}
	return append(batches, batch{events: events, through: from.through})
}

// process has the processor apply a batch. A transactional program takes its connection for it, which the commit of g gives back.
func (f *pipeline) process(ctx context.Context, events []store.RecordedEvent, g *commitGroup) ([]store.Mutation, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if !f.transactional() {
		return f.processor.Process(ctx, events, nil)
	}
	if err := f.begin(ctx, g); err != nil {
		return nil, err
	}
	mutations, err := f.processor.Process(ctx, events, g.tx)
	if err != nil {
		f.end(g)
	}
	return mutations, err
}

// attributeError adds to an error of the guest or its SQL which events it came with, unless it names one itself.
func attributeError(err error, first, last int64) error {
	if !isFailure(err) && !isLimit(err) || faultPosition(err) > 0 {
		return err
	}
	if first == last {
		return fmt.Errorf("event %d: %w", first, err)
	}
	return fmt.Errorf("events %d to %d: %w", first, last, err)
}
