// Package logstate answers for all parts of a worker: which log does the database have, how far may it be read,
// and is what was read of it still right?
package logstate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Log is the log of the database as polls of its horizon have found it.
//
// After a failover or a restore positions are handed out again: what was read before may no longer be in the
// log. A part that sees a sign of that calls Invalidate: from then on what was read in an earlier generation is
// not used.
type Log struct {
	generation atomic.Uint64

	mu      sync.Mutex
	horizon store.Horizon // of no log while it is not known
	polls   int           // how many horizons were published
	moved   chan struct{} // closed when the horizon moves, is known again or of another log, or was doubted
	doubted bool          // a segment is beyond the log as it is known: the next poll tells whether the log is another
	waiting int           // how many segments are at the horizon
	demand  chan struct{} // holds one sign that a segment has come there
}

// New returns a log of which nothing is known.
func New() *Log { return &Log{moved: make(chan struct{}), demand: make(chan struct{}, 1)} }

// Joined is a log as a segment has found it when it began to read.
type Joined struct {
	ID    store.LogID
	polls int // a log that is too short is believed after so many: one poll may be in flight, from before
}

// Join returns the log with an id, which the caller has read from the database just now.
func (l *Log) Join(id store.LogID) Joined {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Joined{ID: id, polls: l.polls + 2}
}

// Generation counts how often what was read may have become wrong.
func (l *Log) Generation() uint64 { return l.generation.Load() }

// Invalidate begins a new generation.
func (l *Log) Invalidate() { l.generation.Add(1) }

// Await waits until the horizon of a log is beyond position and returns it, or ctx's error. It is
// [store.ErrOtherLog] when the database has another log, or one that ends before the position. The latter takes
// a poll from after the segment joined, since another host may have applied more than this one has seen.
func (l *Log) Await(ctx context.Context, joined Joined, position int64) (horizon int64, err error) {
	for {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		l.mu.Lock()
		now := l.horizon
		short := now.Head < position
		if now.Log != (store.LogID{}) && (now.Log != joined.ID || short && l.polls >= joined.polls) {
			l.mu.Unlock()
			return 0, store.ErrOtherLog
		}
		l.doubted = l.doubted || short
		if now.Position > position {
			l.mu.Unlock()
			return now.Position, nil
		}
		moved := l.moved
		l.waiting++
		l.mu.Unlock()
		select {
		case l.demand <- struct{}{}:
		default:
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
		l.mu.Lock()
		l.waiting--
		l.mu.Unlock()
	}
}

// AwaitDemand waits until a segment is at the horizon, or for some time: those that have plenty to read need no
// newer one.
func (l *Log) AwaitDemand(ctx context.Context, timeout time.Duration) {
	if timeout <= 0 {
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		if _, waiting := l.Waiting(); waiting > 0 {
			return
		}
		select {
		case <-l.demand:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Waiting returns the horizon, 0 while it is not known, and how many segments wait there.
func (l *Log) Waiting() (position int64, segments int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.horizon.Position, l.waiting
}

// Head returns the last position of the log, and whether it is known.
func (l *Log) Head() (position int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.horizon.Head, l.horizon.Log != (store.LogID{})
}

// Reached reports that nothing is to be read beyond position, as far as is known.
func (l *Log) Reached(position int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.horizon.Log != (store.LogID{}) && position >= l.horizon.Position
}

// Beyond reports whether the horizon is beyond position.
func (l *Log) Beyond(position int64) bool {
	horizon, _ := l.Waiting()
	return horizon > position
}

// Publish tells the segments what a poll has found, and returns by how many positions the horizon moved on.
func (l *Log) Publish(horizon store.Horizon) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := max(horizon.Position-l.horizon.Position, 0)
	known := l.horizon.Log != (store.LogID{})
	// The log may also be another one, or shorter than it was: the server was restored or failed over.
	other := known && (horizon.Log != l.horizon.Log || horizon.Head < l.horizon.Head)
	if other {
		l.Invalidate()
	}
	l.horizon = horizon
	l.polls++
	if moved > 0 || other || !known || l.doubted {
		l.doubted = false
		close(l.moved)
		l.moved = make(chan struct{})
	}
	return moved
}

// Forget drops what is known: after a lost connection another server may answer.
func (l *Log) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.horizon = store.Horizon{}
	l.Invalidate()
}
