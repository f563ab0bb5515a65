package store

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Stream names one stream of events (an aggregate).
type Stream struct {
	BoundedContext string
	AggregateType  string
	AggregateID    string
}

// String returns "context/type/id".
func (s Stream) String() string {
	return s.BoundedContext + "/" + s.AggregateType + "/" + s.AggregateID
}

// Validate reports the first field that is empty or that a database cannot hold, as an [*InputError].
func (s Stream) Validate() error {
	fields := [...]struct{ name, value string }{
		{"bounded_context", s.BoundedContext},
		{"aggregate_type", s.AggregateType},
		{"aggregate_id", s.AggregateID},
	}
	for _, f := range fields {
		if f.value == "" {
			return &InputError{Field: f.name, Reason: "is required"}
		}
		if err := validateText(f.name, f.value); err != nil {
			return err
		}
	}
	return nil
}

// Event is an event before it is stored. The zero values of ID, Version, Metadata and CreatedAt ask for the
// defaults: a new UUIDv7, 1, {} and the time of the append.
type Event struct {
	ID      UUID
	Type    string
	Version int32 // of the event's schema, not of the stream
	// Payload is any bytes up to the store's limit. The store does not keep the slice.
	Payload []byte
	// Metadata is a JSON object up to [MetadataBytesMax], or empty.
	Metadata      json.RawMessage
	TraceID       string
	CorrelationID string
	CausationID   string
	CreatedAt     time.Time // in the years 1 to 9999 of UTC; microseconds are kept, what is below them is cut off
}

// PayloadBytesMax is the default limit on the payload of one event: 16 MiB.
const PayloadBytesMax = 16 << 20

// TextBytesMax is the limit on every text field of an event: together with the other fields of a key it has to fit into
// an index entry of every database.
const TextBytesMax = 800

// Validate reports the first field that cannot be stored, as an [*InputError]. payloadBytesMax is in bytes.
func (e *Event) Validate(payloadBytesMax int) error {
	if e.Type == "" {
		return &InputError{Field: "event_type", Reason: "is required"}
	}
	fields := [...]struct{ name, value string }{
		{"event_type", e.Type},
		{"trace_id", e.TraceID},
		{"correlation_id", e.CorrelationID},
		{"causation_id", e.CausationID},
	}
	for _, f := range fields {
		if err := validateText(f.name, f.value); err != nil {
			return err
		}
	}
	if e.Version < 0 {
		return &InputError{Field: "event_version", Reason: "must be 1 or more"}
	}
	if len(e.Payload) > payloadBytesMax {
		return &InputError{Field: "payload", Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(e.Payload),
			payloadBytesMax)}
	}
	if err := validateTime(e.CreatedAt); err != nil {
		return err
	}
	return validateMetadata(e.Metadata)
}

// validateTime keeps to the years that every format can write. Year 0 is a year before Christ to databases.
func validateTime(at time.Time) error {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Microsecond)
	if at.Year() < 1 || at.Year() > 9999 {
		return &InputError{Field: "created_at", Reason: fmt.Sprintf("is in the year %d of UTC, the years go from "+
			"1 to 9999", at.Year())}
	}
	if at.IsZero() {
		return &InputError{Field: "created_at", Reason: "is the beginning of the year 1, which means no time: " +
			"leave it out to take the time of the append"}
	}
	return nil
}

func validateText(field, value string) error {
	if len(value) > TextBytesMax {
		return &InputError{Field: field, Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(value), TextBytesMax)}
	}
	if !utf8.ValidString(value) {
		return &InputError{Field: field, Reason: "is not valid UTF-8"}
	}
	for i := range len(value) {
		if value[i] == 0 {
			return &InputError{Field: field, Reason: "contains a NUL character, which databases cannot store as text"}
		}
	}
	return nil
}

// RecordedEvent is one stored event.
type RecordedEvent struct {
	Event
	Stream
	Position         int64 // global position, from 1, with gaps
	AggregateVersion int64 // place within the stream, from 1, without gaps
	PartitionHash    uint32
	// Key is the partition key by which a projection divides its events; nil where that is the stream's id. It is
	// set by the part that divides the events, belongs to them as the payload does, and is not stored.
	Key []byte
}
