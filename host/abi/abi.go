package abi

import "errors"

// Version is the version of the interface that this package speaks.
const Version = 1

// The fixed numbers of the blocks.
const (
	MagicBatch = 0x42505550
	MagicReply = 0x52505550

	BatchHeaderSize      = 32
	ColumnDescriptorSize = 16
	ReplyHeaderSize      = 24
	MutationHeaderSize   = 8
	QueryHeaderSize      = 8
	RowsHeaderSize       = 8

	// NoEvent is the event index of an error that concerns no single event.
	NoEvent = 1<<32 - 1
)

// Column identifies a column of a batch.
type Column uint16

// The columns of version 1.
const (
	GlobalPosition Column = 1 + iota
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

	columnEnd
)

var columnNames = [columnEnd]string{
	"", "global_position", "aggregate_version", "bounded_context", "aggregate_type", "aggregate_id", "event_id",
	"event_type", "event_version", "payload", "metadata", "trace_id", "correlation_id", "causation_id", "created_at",
	"partition_hash",
	"partition_key",
}

// String returns the column's name in a description.
func (c Column) String() string {
	if c < columnEnd {
		return columnNames[c]
	}
	return ""
}

// ColumnByName returns the column with a name of the description, or false.
func ColumnByName(name string) (Column, bool) {
	for c := GlobalPosition; c < columnEnd; c++ {
		if columnNames[c] == name {
			return c, true
		}
	}
	return 0, false
}

// Encoding is how the values of a column are laid out.
type Encoding uint16

// The encodings of version 1.
const (
	Fixed4 Encoding = 1 + iota
	Fixed8
	Fixed16
	Dictionary
	Strings
)

// Kind is the type of a value.
type Kind uint8

// The kinds of version 1. ArrayBit is added for an array of a kind.
const (
	KindNull Kind = iota
	KindBool
	KindI64
	KindF64
	KindNumeric
	KindText
	KindBytes
	KindJSON
	KindTimestamp
	KindUUID

	kindEnd

	ArrayBit = 0x80
)

// Status says what a reply holds.
type Status uint16

// The statuses of a reply.
const (
	StatusMutations Status = iota
	StatusError
)

// ErrFormat is wrapped by every error of a decoder: the block breaks a rule of the specification.
var ErrFormat = errors.New("breaks the ABI")
