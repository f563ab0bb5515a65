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

// Event is one event before it is stored. The zero values of ID, Version, Metadata and CreatedAt ask for the defaults: a
// new UUIDv7, 1, {} and the time of the append.
type Event struct {
	ID      UUID
	Type    string
	Version int32 // of the event's schema, not of the stream
	// Payload is any bytes up to the store's limit. The store does not keep the slice.
	Payload []byte
	// Metadata is a JSON object or empty.
	Metadata      json.RawMessage
	TraceID       string
	CorrelationID string
	CausationID   string
	CreatedAt     time.Time // microseconds are kept
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
		return &InputError{Field: "payload", Reason: fmt.Sprintf("has %d bytes, the limit is %d", len(e.Payload), payloadBytesMax)}
	}
	return validateMetadata(e.Metadata)
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

func validateMetadata(metadata json.RawMessage) error {
	if len(metadata) == 0 {
		return nil
	}
	var object map[string]any
	if !utf8.Valid(metadata) || json.Unmarshal(metadata, &object) != nil || object == nil {
		return &InputError{Field: "metadata", Reason: "is not a JSON object"}
	}
	if HasEscapedNUL(metadata) {
		return &InputError{Field: "metadata", Reason: `contains \u0000, which databases cannot store as text`}
	}
	return nil
}

// HasEscapedNUL tells whether JSON text spells the character NUL, which PostgreSQL's jsonb refuses.
func HasEscapedNUL(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i+6 <= len(text) && string(text[i:i+6]) == `\u0000` {
			return true
		}
		i++ // the escaped character, which may itself be a backslash
	}
	return false
}

// Recorded is one stored event.
type Recorded struct {
	Event
	Stream
	Position         int64 // global position, from 1, with gaps
	AggregateVersion int64 // place within the stream, from 1, without gaps
	PartitionHash    uint32
	// Key is the partition key by which a projection divides its events; nil where that is the stream's id. It is set by
	// the part that divides the events, belongs to them as the payload does, and is not stored.
	Key []byte
}
