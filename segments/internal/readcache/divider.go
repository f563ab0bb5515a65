package readcache

import (
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// Divider divides the events of one projection by its partition key, for all of its segments. Where the key is
// the stream's id, the database does that by the stored hash.
type Divider struct {
	partition store.Partition
	names     filter // of the subscription, for streams of every range
}

// NewDivider makes the divider of a projection.
func NewDivider(projection *store.Projection) *Divider {
	return &Divider{partition: projection.Division(), names: newFilter(projection.Subscription, store.FullRange())}
}

// ByStream reports that events are divided by the stream's id.
func (d *Divider) ByStream() bool { return d.partition.ByStream() }

// Columns are the fields of an event that its key depends on.
func (d *Divider) Columns() store.Columns { return d.partition.Columns() }

// Key returns the partition key of an event, which is valid as long as the event is. One with a faulty key has
// that of its stream.
func (d *Divider) Key(event *store.RecordedEvent) []byte {
	if placed := d.place(event); placed.key != nil {
		return placed.key
	}
	return event.StreamKey()
}

// byKey reports that the events of a range must be found by a key that the database does not know.
func (d *Divider) byKey(streams store.HashRange) bool {
	return !d.partition.ByStream() && streams != store.FullRange()
}

// placement is the place of an event among the segments of its projection.
type placement struct {
	key    []byte // nil for the stream's id, and for an event with a faulty key, which its stream's segment gets
	hash   uint32
	wanted bool // the projection has subscribed to it
}

// place finds the place of an event that the projection has subscribed to.
func (d *Divider) place(event *store.RecordedEvent) placement {
	key, err := d.partition.Key(event)
	if err != nil || key == nil {
		return placement{hash: store.PartitionHash(event.AggregateID), wanted: true}
	}
	return placement{key: key, hash: store.PartitionHashOf(key), wanted: true}
}

// in reports that the segment of a range gets the event.
func (p *placement) in(keys store.HashRange) bool { return p.wanted && keys.Contains(p.hash) }

// placements are those of a page's events, found once for all segments of a projection.
type placements struct {
	mu    sync.Mutex
	known map[*Divider]*placementsOnce
}

type placementsOnce struct {
	once sync.Once
	all  []placement
}

// of returns the placements of the page's events, in their order. They must not be changed.
func (s *placements) of(d *Divider, events []store.RecordedEvent) []placement {
	s.mu.Lock()
	found := s.known[d]
	if found == nil {
		if s.known == nil {
			s.known = map[*Divider]*placementsOnce{}
		}
		found = &placementsOnce{}
		s.known[d] = found
	}
	s.mu.Unlock()
	found.once.Do(func() {
		found.all = make([]placement, len(events))
		for i := range events {
			if d.names.match(&events[i]) {
				found.all[i] = d.place(&events[i])
			}
		}
	})
	return found.all
}

// only keeps the events of a range, with their keys, in the memory of all. The projection has subscribed to all
// of them.
func (d *Divider) only(keys store.HashRange, events []store.RecordedEvent) []store.RecordedEvent {
	kept := events[:0]
	for i := range events {
		if placed := d.place(&events[i]); placed.in(keys) {
			kept = append(kept, events[i])
			kept[len(kept)-1].Key = placed.key
		}
	}
	return kept
}

// dividedReads is how many times more events a segment of a range of keys reads at once, since only its share
// of them is kept.
func dividedReads(keys store.HashRange) int { return min(int(1/keys.Share()), dividedReadsMax) }
