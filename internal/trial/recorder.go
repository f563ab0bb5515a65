package trial

import (
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Recorder gives events the values that they have as the first of a log. What a log would take from the clock is the
// same each time.
type Recorder struct {
	position int64 // of the last event
	versions map[store.Stream]int64
}

// Events is how many were recorded.
func (l *Recorder) Events() int64 { return l.position }

// Record returns the next event of the log.
func (l *Recorder) Record(stream store.Stream, event store.Event) store.RecordedEvent {
	if l.versions == nil {
		l.versions = map[store.Stream]int64{}
	}
	l.position++
	l.versions[stream]++
	r := store.RecordedEvent{
		Event: event, Stream: stream, Position: l.position, AggregateVersion: l.versions[stream],
		PartitionHash: store.PartitionHash(stream.AggregateID),
	}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = time.Unix(l.position, 0).UTC()
	}
	if r.Metadata == nil {
		r.Metadata = []byte("{}")
	}
	r.Event.Version = max(r.Event.Version, 1)
	return r
}
