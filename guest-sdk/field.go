package pup

// Field is a column of the batch: a property of events that a projection can ask for.
type Field uint8

// The fields. GlobalPosition and AggregateVersion come always.
const (
	GlobalPosition Field = 1 + iota
	AggregateVersion
	BoundedContext
	AggregateType
	AggregateID
	EventID
	EventType
	EventVersion
	Payload
	Metadata
	TraceID
	CorrelationID
	CausationID
	CreatedAt
	PartitionHash
	PartitionKey

	fieldEnd
)

var fieldNames = [fieldEnd]string{
	"", "global_position", "aggregate_version", "bounded_context", "aggregate_type", "aggregate_id", "event_id", "event_type",
	"event_version", "payload", "metadata", "trace_id", "correlation_id", "causation_id", "created_at", "partition_hash",
	"partition_key",
}

// defaultFields are what most projections read. The rest is not fetched unless it is asked for.
var defaultFields = []Field{AggregateID, EventType, Payload, CreatedAt}

// String returns the name of the batch column, such as "aggregate_id".
func (f Field) String() string {
	if f < fieldEnd {
		return fieldNames[f]
	}
	return ""
}
