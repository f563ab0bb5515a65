package segments

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// commitGroup is what becomes one commit: one batch or several in a row, folded.
type commitGroup struct {
	segment *segment
	folder  *store.Folder
	tx      store.Tx // begun already, for a projection with queries

	filled      bool
	batches     int
	events      int
	first, last int64 // positions of its events
	lastEvent   store.UUID
	through     int64     // where the checkpoint goes
	reaches     bool      // up to the horizon as it was known when they were read: nothing waits behind
	since       time.Time // when it was begun
	before      time.Time // when the window before it was handed on
	held        int       // of the worker's budget
}

// Bounds of a window besides [Options.CommitEvents]. A window that has as many rows gains nothing from more events, since a
// statement of so many rows is as fast by the row as it gets.
const (
	groupRowsMax  = 8192
	groupBytesMax = 16 << 20
	// groupBytesScarce bounds it while a read waits for memory.
	groupBytesScarce = 1 << 20
	groupAgeMax      = 250 * time.Millisecond
)

func newCommitGroup(s *segment) *commitGroup {
	return &commitGroup{segment: s, folder: store.NewFolder(s.runner.program.Projection())}
}

// add folds what a batch came to, which goes on where the one before it ended. It may have no events: then only the checkpoint moves.
func (w *commitGroup) add(b batch, mutations []store.Mutation) {
	if !w.filled {
		w.filled, w.since = true, clock.Now()
	}
	if len(b.events) > 0 {
		if w.batches == 0 {
			w.first = b.events[0].Position
		}
		last := &b.events[len(b.events)-1]
		w.last, w.lastEvent = last.Position, last.ID
		w.batches++
		w.events += len(b.events)
	}
	w.through = b.through
	w.folder.Add(mutations)
	w.hold(w.folder.Bytes())
}

// hold counts so many bytes in the worker's budget.
func (w *commitGroup) hold(bytes int) {
	w.segment.runner.worker.memory.change(bytes - w.held)
	w.held = bytes
}

// restingBytesMax is the size of the plan that a segment keeps memory for while it is at the head. See restingEventsMax.
const restingBytesMax = 256 << 10

func (w *commitGroup) reset() {
	w.hold(0)
	if w.reaches && w.folder.Bytes() > restingBytesMax {
		*w = *newCommitGroup(w.segment)
		return
	}
	w.folder.Reset()
	*w = commitGroup{segment: w.segment, folder: w.folder}
}

// full tells that no further batch may be added.
func (w *commitGroup) full() bool {
	s := w.segment
	options := &s.runner.worker.options
	alone := s.transactional() || options.BatchPause > 0 || w.through <= s.isolateThrough
	return w.filled && alone || w.events > 0 && w.events+s.runner.batchEvents() > options.CommitEvents ||
		w.folder.Rows() >= groupRowsMax || w.folder.Bytes() >= groupBytesMax ||
		w.folder.Bytes() >= groupBytesScarce && s.runner.worker.memory.scarce()
}

// due tells that the window should be committed as soon as may be.
func (w *commitGroup) due() bool {
	return w.filled && (w.reaches && !w.mayLag() || w.full() || w.left() <= 0)
}

// mayLag tells that the window has nothing but a checkpoint to move, for which nobody waits.
//
// Each event at the head passes all segments and concerns one: if each of them committed at once that it has passed, their
// transactions would compete with the one that matters, and make its event wait. A checkpoint that is behind is always right. It
// goes along with the next batch that has events, or by itself soon.
func (w *commitGroup) mayLag() bool {
	s := w.segment
	return w.events == 0 && s.claim.MergeAt == 0 && !s.runner.worker.options.Once
}

const (
	// lagMin is how long a checkpoint lags after a rest: the batch that has the event has committed by then.
	lagMin = 10 * time.Millisecond
	// lagMax is the interval at which it follows while events come all the time.
	lagMax = 100 * time.Millisecond
)

// left is how long the window may wait for more.
func (w *commitGroup) left() time.Duration {
	now := clock.Now()
	if !w.mayLag() {
		return groupAgeMax - now.Sub(w.since)
	}
	return max(lagMin-now.Sub(w.since), lagMax-now.Sub(w.before))
}
