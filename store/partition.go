package store

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// Partition says by what the events of a projection are divided. Events of one key reach the projection in order
// of position, whatever streams they are in; a segment is a share of the keys. The zero value divides by stream.
type Partition struct {
	By PartitionBy `json:"by"`
	// of PartitionJSON and PartitionMetadata: names of members, from the outside in
	Path []string `json:"path,omitempty"`
}

// PartitionBy is where the key of an event comes from.
type PartitionBy string

// The sources of a key. An event without the key there has the key of its stream.
const (
	PartitionStream      PartitionBy = "stream"      // the stream's id: aggregate_id, whatever its type and context
	PartitionJSON        PartitionBy = "json"        // a member of the payload
	PartitionMetadata    PartitionBy = "metadata"    // a member of the metadata
	PartitionCorrelation PartitionBy = "correlation" // correlation_id
)

// KeyBytesMax is the limit on a partition key that comes from JSON.
const KeyBytesMax = 1024

// partitionPathMax bounds how many names a path has.
const partitionPathMax = 16

// ByStream reports whether the key is the stream's id.
func (p Partition) ByStream() bool { return p.By == "" || p.By == PartitionStream }

// Key returns the partition key of an event, or nil where that is the stream's id, which is then AggregateID. An
// empty key that is not nil is a key. The partition must be valid, and the event must have the columns of
// [Partition.Columns]. The key must not be changed, and is valid as long as the event's payload and metadata are.
//
// A JSON key is found in one scan that stops behind it. It is the first member of each name along the path;
// escapes are decoded. Strings, booleans, and integers by their exact spelling can be keys. Without such a member
// the key is the stream's id, also when the text is empty or does not begin as an object.
//
// # Errors
//
// The text says what is wrong with the event: the value cannot be a key, or the JSON is malformed before the key.
// Such an event is routed by its stream, and the batch that contains it fails.
func (p Partition) Key(e *RecordedEvent) ([]byte, error) {
	switch p.By {
	case PartitionJSON:
		return jsonKey("payload", e.Payload, p.Path)
	case PartitionMetadata:
		return jsonKey("metadata", e.Metadata, p.Path)
	case PartitionCorrelation:
		if e.CorrelationID != "" {
			return textBytes(e.CorrelationID), nil
		}
	}
	return nil, nil
}

// Columns returns the fields that must be read of an event to know its key.
func (p Partition) Columns() Columns {
	switch p.By {
	case PartitionJSON:
		return ColumnAggregateID | ColumnPayload
	case PartitionMetadata:
		return ColumnAggregateID | ColumnMetadata
	case PartitionCorrelation:
		return ColumnAggregateID | ColumnCorrelationID
	default:
		return ColumnAggregateID
	}
}

// String returns the partition as a person reads it, such as "json customer.id".
func (p Partition) String() string {
	if p.ByStream() {
		return string(PartitionStream)
	}
	if len(p.Path) == 0 {
		return string(p.By)
	}
	return string(p.By) + " " + pathText(p.Path)
}

func (p Partition) validate() error {
	switch p.By {
	case "", PartitionStream, PartitionCorrelation:
		if len(p.Path) > 0 {
			return fmt.Errorf("by %q has a path, which only by %q and %q have", p.By, PartitionJSON, PartitionMetadata)
		}
		return nil
	case PartitionJSON, PartitionMetadata:
	default:
		return fmt.Errorf("is by %.60q, must be by %q, %q, %q or %q", p.By,
			PartitionStream, PartitionJSON, PartitionMetadata, PartitionCorrelation)
	}
	if len(p.Path) == 0 || len(p.Path) > partitionPathMax {
		return fmt.Errorf("by %q has a path of %d names, must be 1 to %d: the member that holds the key, and "+
			"those around it before it",
			p.By, len(p.Path), partitionPathMax)
	}
	if slices.ContainsFunc(p.Path, func(name string) bool {
		return name == "" || len(name) > KeyBytesMax ||
			!utf8.ValidString(name)
	}) {
		return errors.New("has a name in its path that is empty, too long or not UTF-8")
	}
	return nil
}

// PartitionHash is FNV-1a 32 of an aggregate id. It is unsigned on every platform, so that a segment is a range.
func PartitionHash(aggregateID string) uint32 { return fnv1a(aggregateID) }

// PartitionHashOf is FNV-1a 32 of a partition key: that of a stream's id is [PartitionHash].
func PartitionHashOf(key []byte) uint32 { return fnv1a(key) }

func fnv1a[T string | []byte](text T) uint32 {
	hash := uint32(2166136261)
	for i := range len(text) {
		hash ^= uint32(text[i])
		hash *= 16777619
	}
	return hash
}

// KeyBytes returns the partition key of the event: Key, or the stream's id where that is nil. It must not be changed.
func (e *RecordedEvent) KeyBytes() []byte {
	if e.Key != nil {
		return e.Key
	}
	return e.StreamKey()
}

// StreamKey returns the partition key of the event's stream, which is its id. It must not be changed.
func (e *RecordedEvent) StreamKey() []byte { return textBytes(e.AggregateID) }

// textBytes returns the bytes of a string without a copy. They must not be changed.
func textBytes(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }
