package segments

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// window is what becomes one commit: one batch or several in a row, folded.
type window struct {
	segment *segment
	folder  *store.Folder
	tx      store.Tx // begun already, for a projection with queries

	filled      bool
	batches     int
	events      int
	first, last int64 // positions of its events
	through     int64 // where the checkpoint goes
	log         int   // whose events they are
	reaches     bool  // up to the horizon as it was known when they were read: nothing waits behind
	since       time.Time
}

// Bounds of a window besides [Options.CommitEvents]. A window that has as many rows gains nothing from more events, since a
// statement of so many rows is as fast by the row as it gets.
const (
	windowRowsMax  = 8192
	windowBytesMax = 16 << 20
	windowAgeMax   = 250 * time.Millisecond
)

func newWindow(s *segment) *window {
	return &window{segment: s, folder: store.NewFolder(&s.runner.module.Description.Projection)}
}

// add folds what a batch up to position through came to. The batch may be empty: then only the checkpoint moves.
func (w *window) add(batch []store.Recorded, mutations []store.Mutation, through int64) {
	if !w.filled {
		w.filled, w.since = true, clock.Now()
	}
	if len(batch) > 0 {
		if w.batches == 0 {
			w.first = batch[0].Position
		}
		w.last = batch[len(batch)-1].Position
		w.batches++
		w.events += len(batch)
	}
	w.through = through
	w.folder.Add(mutations)
}

// restingBytesMax is the size of the plan that a segment keeps memory for while it is at the head. See restingEventsMax.
const restingBytesMax = 256 << 10

func (w *window) reset() {
	if w.reaches && w.folder.Bytes() > restingBytesMax {
		*w = *newWindow(w.segment)
		return
	}
	w.folder.Reset()
	*w = window{segment: w.segment, folder: w.folder}
}

// full tells that no further batch may be added.
func (w *window) full() bool {
	s := w.segment
	options := &s.runner.worker.options
	alone := s.queries() || options.BatchPause > 0 || w.through <= s.careful
	return w.filled && alone || w.events > 0 && w.events+s.runner.batchEvents() > options.CommitEvents ||
		w.folder.Rows() >= windowRowsMax || w.folder.Bytes() >= windowBytesMax
}

// due tells that the window should be committed as soon as may be.
func (w *window) due() bool { return w.filled && (w.reaches || w.full() || w.left() <= 0) }

// left is how long the window may wait for more.
func (w *window) left() time.Duration { return windowAgeMax - clock.Since(w.since) }
