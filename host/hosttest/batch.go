package hosttest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Event is one event of a batch.
type Event struct {
	GlobalPosition   int64
	AggregateVersion int64
	BoundedContext   string
	AggregateType    string
	AggregateID      string
	EventID          [16]byte
	EventType        string
	EventVersion     uint32
	Payload          []byte
	Metadata         []byte
	TraceID          string
	CorrelationID    string
	CausationID      string
	CreatedAt        int64  // microseconds since 1970-01-01 UTC
	PartitionKey     string // defaults to AggregateID
}

// SampleEvents are events that mean nothing to any projection, in two streams.
func SampleEvents(count int) []Event {
	events := make([]Event, count)
	for i := range events {
		events[i] = Event{
			GlobalPosition:   int64(10 + 3*i),
			AggregateVersion: int64(i/2 + 1),
			BoundedContext:   "hosttest",
			AggregateType:    "thing",
			AggregateID:      fmt.Sprintf("thing-%d", i%2),
			EventID:          [16]byte{0: 1, 6: 0x70, 8: 0x80, 15: byte(i)},
			EventType:        "ThingHappened",
			EventVersion:     1,
			Payload:          fmt.Appendf(nil, `{"n":%d}`, i),
			Metadata:         []byte("{}"),
			CreatedAt:        1_714_557_600_000_000 + int64(i),
		}
	}
	return events
}

// Layout is how a batch is laid out, within what the specification lets a host choose. Its zero value is the plain one.
type Layout struct {
	// Strings lays out texts that usually come as a dictionary as strings, and the other way about.
	Strings bool
	// Reversed turns the order of the columns round.
	Reversed bool
	// Later adds what a host of a later version may add: a longer header, and columns of unknown id and encoding.
	Later bool
	// Segment and LogLevel are for log lines only.
	Segment, LogLevel uint32
}

// Batch lays out events as a block with the columns.
func Batch(events []Event, columns []abi.Column, layout Layout) ([]byte, error) {
	columns = slices.Clone(columns)
	if layout.Reversed {
		slices.Reverse(columns)
	}
	e := &abi.BatchEncoder{}
	e.Begin(abi.BatchHeader{Count: len(events), Segment: layout.Segment, LogLevel: layout.LogLevel}, len(columns))
	for _, column := range columns {
		addColumn(e, events, column, layout.Strings)
	}
	block, err := e.Finish()
	if err == nil && layout.Later {
		block = later(block)
	}
	return block, err
}

func addColumn(e *abi.BatchEncoder, events []Event, column abi.Column, swapped bool) {
	repeated, seldom := e.Repeated, e.Texts
	if swapped {
		repeated, seldom = seldom, repeated
	}
	switch column {
	case abi.GlobalPosition:
		e.Int64s(column, func(i int) int64 { return events[i].GlobalPosition })
	case abi.AggregateVersion:
		e.Int64s(column, func(i int) int64 { return events[i].AggregateVersion })
	case abi.BoundedContext:
		repeated(column, func(i int) string { return events[i].BoundedContext })
	case abi.AggregateType:
		repeated(column, func(i int) string { return events[i].AggregateType })
	case abi.AggregateID:
		seldom(column, func(i int) string { return events[i].AggregateID })
	case abi.EventID:
		e.UUIDs(column, func(i int) [16]byte { return events[i].EventID })
	case abi.EventType:
		repeated(column, func(i int) string { return events[i].EventType })
	case abi.EventVersion:
		e.Uint32s(column, func(i int) uint32 { return events[i].EventVersion })
	case abi.Payload:
		e.Bytes(column, func(i int) []byte { return events[i].Payload })
	case abi.Metadata:
		e.Bytes(column, func(i int) []byte { return events[i].Metadata })
	case abi.TraceID:
		seldom(column, func(i int) string { return events[i].TraceID })
	case abi.CorrelationID:
		seldom(column, func(i int) string { return events[i].CorrelationID })
	case abi.CausationID:
		seldom(column, func(i int) string { return events[i].CausationID })
	case abi.CreatedAt:
		e.Int64s(column, func(i int) int64 { return events[i].CreatedAt })
	case abi.PartitionHash:
		e.Uint32s(column, func(i int) uint32 { return partitionHash(events[i].AggregateID) })
	case abi.PartitionKey:
		seldom(column, func(i int) string { return cmp.Or(events[i].PartitionKey, events[i].AggregateID) })
	default:
		panic(fmt.Sprintf("hosttest: column %d is unknown", column))
	}
}

// partitionHash is FNV-1a 32.
func partitionHash(id string) uint32 {
	hash := uint32(2166136261)
	for i := range len(id) {
		hash = (hash ^ uint32(id[i])) * 16777619
	}
	return hash
}

// later gives a block a header of 48 bytes and two columns more, before and after the others.
func later(block []byte) []byte {
	const longer, more = 16, 2
	count := int(binary.LittleEndian.Uint32(block[16:]))
	end := abi.BatchHeaderSize + count*abi.ColumnDescriptorSize
	shift := uint32(longer + more*abi.ColumnDescriptorSize)
	unknown := func(dst []byte, id, encoding uint16) []byte {
		dst = binary.LittleEndian.AppendUint16(dst, id)
		dst = binary.LittleEndian.AppendUint16(dst, encoding)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(block))+shift)
		dst = binary.LittleEndian.AppendUint32(dst, 5)
		return binary.LittleEndian.AppendUint32(dst, 0)
	}
	out := append(slices.Clone(block[:abi.BatchHeaderSize]), make([]byte, longer)...)
	out = unknown(out, 0x7FFF, 99)
	for at := abi.BatchHeaderSize; at < end; at += abi.ColumnDescriptorSize {
		offset := binary.LittleEndian.Uint32(block[at+4:])
		out = append(out, put(block[at:at+abi.ColumnDescriptorSize], 4, offset+shift)...)
	}
	out = unknown(out, 0x7FFE, uint16(abi.Fixed4))
	out = append(append(out, block[end:]...), "later   "...)
	out = put(out, 6, uint16(abi.BatchHeaderSize+longer))
	out = put(out, 8, uint32(len(out)))
	return put(out, 16, uint32(count+more))
}
