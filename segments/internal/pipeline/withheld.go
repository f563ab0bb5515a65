package pipeline

import (
	"context"
	"maps"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// Withheld is what a segment passes without applying it: the events of parked keys, and events that are skipped.
// The segment's pipeline and its retries use it at the same time.
type Withheld struct {
	mu      sync.Mutex
	keys    map[string]*HeldKey
	skipped map[int64]store.SkippedEvent
	some    chan struct{} // holds one sign that a key was added

	unparked int
}

// HeldKey is a key from some position on.
type HeldKey struct {
	bytes []byte
	from  int64
	fault *store.ParkedFault // of a key that the database does not know yet
}

// NewWithheld returns the keys that are parked in the database.
func NewWithheld(parked []store.ParkedKey) *Withheld {
	w := &Withheld{some: make(chan struct{}, 1)}
	w.Renew(parked)
	return w
}

// Renew replaces the keys by those that are parked in the database. What was to be parked is found again.
func (w *Withheld) Renew(parked []store.ParkedKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.keys
	w.keys, w.skipped = map[string]*HeldKey{}, map[int64]store.SkippedEvent{}
	for i := range parked {
		w.keys[string(parked[i].Key)] = &HeldKey{bytes: parked[i].Key}
	}
	for key := range before {
		if w.keys[key] == nil {
			w.unparked++
		}
	}
	w.signal()
}

// Park keeps back a key from the event at fault on. The commit that passes this event parks it.
func (w *Withheld) Park(key []byte, fault store.ParkedFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[string(key)] = &HeldKey{bytes: key, from: fault.Position, fault: &fault}
	w.signal()
}

// Skip leaves out an event.
func (w *Withheld) Skip(event store.SkippedEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skipped[event.Position] = event
}

// passed forgets the skipped events up to a checkpoint.
func (w *Withheld) passed(checkpoint int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.skipped, func(position int64, _ store.SkippedEvent) bool { return position <= checkpoint })
}

// Find returns a key as it is withheld now, for Unpark.
func (w *Withheld) Find(key []byte) *HeldKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keys[string(key)]
}

// Unpark gives a key's events to the processor again, from those on that the pipeline applies next. It does nothing
// when the key has been parked again since Find: the pipeline may have found out first that it was parked no longer.
func (w *Withheld) Unpark(key *HeldKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key != nil && w.keys[string(key.bytes)] == key {
		delete(w.keys, string(key.bytes))
		w.unparked++
	}
}

// Unparked is how many keys have been withheld and are no longer, since the beginning.
func (w *Withheld) Unparked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unparked
}

func (w *Withheld) signal() {
	if len(w.keys) == 0 {
		return
	}
	select {
	case w.some <- struct{}{}:
	default:
	}
}

// Await waits until a key is parked, or reports false when ctx ends first.
func (w *Withheld) Await(ctx context.Context) bool {
	for {
		w.mu.Lock()
		parked := len(w.keys) > 0
		w.mu.Unlock()
		if parked || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		select {
		case <-w.some:
		case <-ctx.Done():
		}
	}
}

// Any reports that something is withheld: the events' keys have to be known.
func (w *Withheld) Any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys) > 0 || len(w.skipped) > 0
}

// parking is what a commit does with the events that it passes and does not apply.
type parking struct {
	parked  []store.NewParked
	noted   []store.ParkedEvent
	skipped []store.SkippedEvent
}

func (p *parking) events() int { return len(p.noted) + len(p.skipped) }

// take notes an event that is withheld, or reports false.
func (w *Withheld) take(event *store.RecordedEvent, key []byte, to *parking) bool {
	if skipped, is := w.skipped[event.Position]; is {
		to.skipped = append(to.skipped, skipped)
		return true
	}
	parked, is := w.keys[string(key)]
	if !is || event.Position < parked.from {
		return false
	}
	if parked.fault != nil && event.Position == parked.from {
		to.parked = append(to.parked, store.NewParked{Key: parked.bytes, Fault: *parked.fault})
	}
	to.noted = append(to.noted, store.ParkedEvent{Key: parked.bytes, Position: event.Position})
	return true
}

// separate takes the withheld events of a batch out, in place, and notes them.
func (p *Pipeline) separate(events []store.RecordedEvent, to *parking) []store.RecordedEvent {
	if !p.Withheld.Any() {
		return events
	}
	p.Withheld.mu.Lock()
	defer p.Withheld.mu.Unlock()
	kept := events[:0]
	for i := range events {
		if !p.Withheld.take(&events[i], p.KeyOf(&events[i]), to) {
			kept = append(kept, events[i])
		}
	}
	return kept
}
