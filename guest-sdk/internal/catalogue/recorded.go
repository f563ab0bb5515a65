package catalogue

import "encoding/json"

// Subscription is which events a projection sees.
type Subscription struct {
	BoundedContexts []string `json:"bounded_contexts,omitempty"`
	AggregateTypes  []string `json:"aggregate_types,omitempty"`
	EventTypes      []string `json:"event_types,omitempty"`
}

// RecordedEvent is what a partition key is read from.
type RecordedEvent struct {
	AggregateID   string
	Payload       []byte
	Metadata      json.RawMessage
	CorrelationID string
	Key           []byte
}

// Columns is a set of the fields of an event.
type Columns uint32

// The fields that a partition key is read from.
const (
	ColumnAggregateID Columns = 1 << iota
	ColumnPayload
	ColumnMetadata
	ColumnCorrelationID
)

// CatalogueError says what of a declaration a host refuses.
type CatalogueError struct {
	Item   string
	Reason string
}

// Error names the part and the reason in one line.
func (e *CatalogueError) Error() string { return e.Item + ": " + e.Reason }
