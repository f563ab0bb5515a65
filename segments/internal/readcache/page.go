package readcache

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/pupwasm/pupwasm/store"
)

// page is a part of the log, After < position ≤ Through, that many segments read and none changes.
type page struct {
	store.Page
	after      int64
	readSet    readSet // what it was read for
	generation uint64  // of the log, in which it was read
	size       int     // in bytes
	used       uint64  // when, by the cache's count
	users      int     // the cache itself, and who reads in it; under the cache's lock
	placements placements
}

// has reports whether a segment that wants this goes on from position in the page.
func (p *page) has(position int64, want readSet) bool {
	return p.after <= position && position < p.Through && p.readSet.cover(want)
}

// from returns the events behind position.
func (p *page) from(position int64) []store.RecordedEvent {
	at, _ := slices.BinarySearchFunc(p.Events, position+1, func(e store.RecordedEvent, position int64) int {
		return cmp.Compare(e.Position, position)
	})
	return p.Events[at:]
}

// measure sets the size, without names, of which there are few.
func (p *page) measure() {
	p.size = cap(p.Events) * int(unsafe.Sizeof(store.RecordedEvent{}))
	for i := range p.Events {
		e := &p.Events[i]
		p.size += len(e.Payload) + len(e.Metadata) + len(e.AggregateID)
		p.size += len(e.TraceID) + len(e.CorrelationID) + len(e.CausationID)
	}
}
