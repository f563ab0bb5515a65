package store

import (
	"context"
	"slices"
)

// Subscription is the set of events that a projection wants. An empty list means all.
type Subscription struct {
	BoundedContexts []string `json:"bounded_contexts,omitempty"`
	AggregateTypes  []string `json:"aggregate_types,omitempty"`
	EventTypes      []string `json:"event_types,omitempty"`
}

// Matches reports whether the subscription has events of this type in the stream.
func (s *Subscription) Matches(stream Stream, eventType string) bool {
	has := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return has(s.BoundedContexts, stream.BoundedContext) && has(s.AggregateTypes, stream.AggregateType) &&
		has(s.EventTypes, eventType)
}

// UnionOf is a subscription that has the events of both, and may have more.
func UnionOf(a, b *Subscription) *Subscription {
	join := func(a, b []string) []string {
		if len(a) == 0 || len(b) == 0 {
			return nil
		}
		all := slices.Sorted(slices.Values(append(slices.Clone(a), b...)))
		return slices.Compact(all)
	}
	return &Subscription{
		BoundedContexts: join(a.BoundedContexts, b.BoundedContexts),
		AggregateTypes:  join(a.AggregateTypes, b.AggregateTypes),
		EventTypes:      join(a.EventTypes, b.EventTypes),
	}
}

// HashRange is a share of the streams: those whose spread hash ([Spread]) is between First and Last, inclusive.
type HashRange struct {
	First uint32
	Last  uint32
}

// FullRange holds every stream.
func FullRange() HashRange { return HashRange{First: 0, Last: 1<<32 - 1} }

// SpreadFactor is what a partition hash is multiplied by, modulo 2^32, before ranges are told apart: FNV-1a puts
// short ids that only count up close together. The factor is odd, so that different hashes stay different, and
// below 2^31, so that the product fits the signed integers of databases.
const SpreadFactor = 1640531527

// Spread returns the place of a partition hash among ranges.
func Spread(partitionHash uint32) uint32 { return partitionHash * SpreadFactor }

// Contains reports whether the range has the streams with this partition hash.
func (r HashRange) Contains(partitionHash uint32) bool {
	spread := Spread(partitionHash)
	return r.First <= spread && spread <= r.Last
}

// Share returns the fraction of all streams that the range has, from 0 to 1.
func (r HashRange) Share() float64 { return (float64(r.Last) - float64(r.First) + 1) / (1 << 32) }

// SplitRange divides all streams into n ranges of nearly equal width, in order. n is at least 1.
func SplitRange(n int) []HashRange {
	ranges := make([]HashRange, n)
	for i := range ranges {
		ranges[i] = HashRange{
			First: uint32(uint64(i) << 32 / uint64(n)),
			Last:  uint32(uint64(i+1)<<32/uint64(n) - 1),
		}
	}
	return ranges
}

// Columns is a set of the fields of an event. Position and the stream's version are always read.
type Columns uint32

// The fields that a reader fetches only when asked.
const (
	ColumnBoundedContext Columns = 1 << iota
	ColumnAggregateType
	ColumnAggregateID
	ColumnEventID
	ColumnEventType
	ColumnEventVersion
	ColumnPayload
	ColumnMetadata
	ColumnTraceID
	ColumnCorrelationID
	ColumnCausationID
	ColumnCreatedAt
	ColumnPartitionHash

	AllColumns = ColumnPartitionHash<<1 - 1
)

// Has reports whether every field of other is in the set.
func (c Columns) Has(other Columns) bool { return c&other == other }

// ReadRequest asks for events with After < position ≤ Through, in order of position.
type ReadRequest struct {
	After        int64
	Through      int64 // at most the horizon, or events may be missed
	Limit        int   // events, at least 1
	Bytes        int   // maximum of payload and metadata, which a single event may exceed; 0 for no limit
	Subscription Subscription
	Range        HashRange // of the wanted streams: FullRange for all, and not the zero value
	Columns      Columns   // that are read, AllColumns for all; the others are zero
	// Positions are those of the wanted events, in order; nil for all.
	Positions []int64
}

// Page is the result of a read. It is made for reuse: the next Read overwrites it, with the payloads and metadata
// of its events. Strings may be kept.
type Page struct {
	Events []RecordedEvent
	// Through is the position up to which nothing of the subscription is left: the last event's when a limit was
	// reached, and the request's Through otherwise. The checkpoint moves there, past events outside of the
	// subscription.
	Through int64
	// Log is the log of the events, as the connection that read them saw it before it read.
	Log LogID
	// Bytes is how many bytes of payload and metadata the events have.
	Bytes int
	// Buffer is the store's: it holds payloads and metadata, and memory for those of the next Read.
	Buffer []byte
}

// Horizon is how far it is safe to read: the high-water mark of the log.
type Horizon struct {
	// Position is the position up to which no event can still appear.
	Position int64
	// Head is the last position handed out; on MariaDB the last one of an event that is committed. It is above Position
	// while an append is in flight.
	Head int64
	// Holder is the process whose append holds Position below Head, or 0. On MariaDB it is the likely one, and 0 where the
	// user may not see it.
	Holder int
	// Prepared is set when a prepared transaction, which has no process, holds Position back. It names the
	// transaction and says how to end it.
	Prepared string
	// Log is the log of the horizon.
	Log LogID
}

// Reader reads events.
type Reader interface {
	// Horizon returns how far it is safe to read now. It takes one round trip.
	Horizon(ctx context.Context) (Horizon, error)

	// Read fills page, which the caller owns and may reuse, with the events that request asks for. A request above the
	// horizon may miss events.
	//
	// # Errors
	//
	// One for a Limit below 1; [ErrTransient], [ErrNotMigrated].
	Read(ctx context.Context, request ReadRequest, page *Page) error

	// Locate returns how far the log may be read, and what it has at the given positions. It takes one round trip and
	// no more than an index search for each position.
	Locate(ctx context.Context, positions ...int64) (LogState, error)

	// AppliedAt returns what a checkpoint at a position notes of the log: its identity, and the last event up to
	// there. The position must be at most the horizon.
	AppliedAt(ctx context.Context, position int64) (Applied, error)

	// ReadStream returns the events of one stream with versions from first to last, both included; last 0 means
	// the end. The caller owns the result. A stream that has no event at all is [ErrStreamNotFound]; a range
	// without events is an empty result.
	ReadStream(ctx context.Context, stream Stream, first, last int64) ([]RecordedEvent, error)
}
