package segments

import (
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// divider divides the events of one projection by its partition key, for all of its segments. Where the key is the stream's id, the
// database does that by the stored hash.
type divider struct {
	partition store.Partition
	names     filter // of the subscription, for streams of every range
}

func newDivider(projection *store.Projection) *divider {
	return &divider{partition: projection.Division(), names: newFilter(projection.Subscription, store.FullRange())}
}

// byKey tells whether the events of a range must be found by a key that the database does not know.
func (d *divider) byKey(streams store.HashRange) bool {
	return !d.partition.ByStream() && streams != store.FullRange()
}

// placement is the place of an event among the segments of its projection.
type placement struct {
	key    []byte // nil for the stream's id, and for an event whose key is at fault, which its stream's segment finds out
	hash   uint32
	wanted bool // the projection has subscribed to it
}

// place finds the place of an event that the projection has subscribed to.
func (d *divider) place(event *store.RecordedEvent) placement {
	key, err := d.partition.Key(event)
	if err != nil || key == nil {
		return placement{hash: store.PartitionHash(event.AggregateID), wanted: true}
	}
	return placement{key: key, hash: store.PartitionHashOf(key), wanted: true}
}

// in tells whether the segment of a range gets the event.
func (p *placement) in(keys store.HashRange) bool { return p.wanted && keys.Contains(p.hash) }

// placements are those of a page's events, found once for all segments of a projection.
type placements struct {
	mu    sync.Mutex
	known map[*divider]*placementsOnce
}

type placementsOnce struct {
	once sync.Once
	all  []placement
}

// of returns the placements of the page's events, in their order. They must not be changed.
func (s *placements) of(d *divider, events []store.RecordedEvent) []placement {
	s.mu.Lock()
	found := s.known[d]
	if found == nil {
		if s.known == nil {
			s.known = map[*divider]*placementsOnce{}
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

// only keeps the events of a range, with their keys, in the memory of all. The projection has subscribed to all of them.
func (d *divider) only(keys store.HashRange, events []store.RecordedEvent) []store.RecordedEvent {
	kept := events[:0]
	for i := range events {
		if placed := d.place(&events[i]); placed.in(keys) {
			kept = append(kept, events[i])
			kept[len(kept)-1].Key = placed.key
		}
	}
	return kept
}

// dividedReadsMax bounds how many times its own share a segment reads at once when it reads for itself.
const dividedReadsMax = 8

// dividedReads is how many times more events a segment of a range of keys reads at once, since only its share of them is kept.
func dividedReads(keys store.HashRange) int { return min(int(1/keys.Share()), dividedReadsMax) }

// checkPlaces fails at an event whose stored hash is not that of its stream: the stream's events are in two segments then, which do not
// keep their order. Writers may give the hash, and only we know whether it is right. A projection that does not look at the stream's id
// has no rows that depend on the order.
func (s *segment) checkPlaces(events []store.RecordedEvent) error {
	keys := s.claim.Range
	if keys == store.FullRange() || !s.runner.divider.partition.ByStream() || !s.request.Columns.Has(store.ColumnAggregateID) {
		return nil
	}
	checked := ""
	for i := range events {
		e := &events[i]
		if e.AggregateID == checked {
			continue
		}
		checked = e.AggregateID
		if hash := store.PartitionHash(checked); !keys.Contains(hash) {
			return misplaced(s.runner.program, e, hash)
		}
	}
	return nil
}
