package pup

import (
	"time"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// Event is one event of a batch: two words, to be passed by value. What its methods return points into the
// batch and is valid until Handle returns; reading costs nothing and allocates nothing.
//
// A method panics when its field is not in the batch, since [Projection].Fields did not ask for it.
type Event struct {
	batch *Batch
	index int
}

// Index returns the event's place in the batch, from 0.
func (e Event) Index() int { return e.index }

// Position returns the global position: it grows within a batch, with gaps.
func (e Event) Position() int64 { return e.fixed8(GlobalPosition) }

// AggregateVersion returns the event's place in its stream, from 1.
func (e Event) AggregateVersion() int64 { return e.fixed8(AggregateVersion) }

// BoundedContext returns the bounded context.
func (e Event) BoundedContext() string { return e.text(BoundedContext) }

// AggregateType returns the aggregate's type.
func (e Event) AggregateType() string { return e.text(AggregateType) }

// AggregateID returns the aggregate's id.
func (e Event) AggregateID() string { return e.text(AggregateID) }

// ID returns the event's UUID.
func (e Event) ID() [16]byte {
	c := e.column(EventID, encodingFixed16)
	return [16]byte(c.bytes[16*e.index:])
}

// Type returns the event's type. It comes from a dictionary, so that a switch over it compares short strings only.
func (e Event) Type() string { return e.text(EventType) }

// Version returns the version of the event's schema.
func (e Event) Version() int32 { return int32(e.fixed4(EventVersion)) }

// Payload returns the payload, which must not be changed.
func (e Event) Payload() []byte { return e.bytes(Payload) }

// Metadata returns the metadata, a JSON object, which must not be changed.
func (e Event) Metadata() []byte { return e.bytes(Metadata) }

// TraceID returns the trace id, or "" when there is none.
func (e Event) TraceID() string { return e.text(TraceID) }

// CorrelationID returns the correlation id, or "" when there is none.
func (e Event) CorrelationID() string { return e.text(CorrelationID) }

// CausationID returns the causation id, or "" when there is none.
func (e Event) CausationID() string { return e.text(CausationID) }

// CreatedAt returns when the event was appended, in microseconds since 1970-01-01 UTC: the form that
// [Row.Timestamp] takes.
func (e Event) CreatedAt() int64 { return e.fixed8(CreatedAt) }

// CreatedTime returns CreatedAt as a time in UTC. It links package time into the module.
func (e Event) CreatedTime() time.Time { return time.UnixMicro(e.CreatedAt()).UTC() }

// PartitionHash returns FNV-1a 32 of the aggregate's id.
func (e Event) PartitionHash() uint32 { return e.fixed4(PartitionHash) }

// PartitionKey returns the key by which [Projection].Partition divides the events: what a column that is marked by
// [Column.Partition] holds in a row that e causes.
func (e Event) PartitionKey() string { return e.text(PartitionKey) }

// JSON returns a reader at the start of the payload. The reader belongs to the batch: the next call of JSON, on
// any event, moves it there. An error of the reader that was not checked with Err fails the batch after Handle
// has returned, and is attributed to the event.
func (e Event) JSON() *json.Reader {
	b := e.batch
	payload := e.bytes(Payload)
	b.noteReader()
	b.reader.Reset(payload)
	b.readerAt = e.index
	return &b.reader
}

// noteReader keeps the first error of the shared reader that the projection did not look at.
func (b *Batch) noteReader() {
	if err := b.reader.Unchecked(); err != nil {
		b.fail(b.readerAt, err.Error())
	}
}

// fail keeps the first failure of the batch.
func (b *Batch) fail(event int, message string) {
	if b.failure == nil {
		b.failure = &Error{Event: event, Message: message}
	}
}

func (e Event) column(f Field, encoding uint16) *column {
	c := &e.batch.columns[f]
	if c.encoding != encoding {
		missing(f)
	}
	return c
}

func (e Event) fixed4(f Field) uint32 { return e.column(f, encodingFixed4).fixed4[e.index] }

func (e Event) fixed8(f Field) int64 { return e.column(f, encodingFixed8).fixed8[e.index] }

func (e Event) text(f Field) string {
	c := &e.batch.columns[f]
	switch c.encoding {
	case encodingDictionary:
		return c.entries[c.fixed4[e.index]]
	case encodingStrings:
		return view(c.bytes[c.fixed4[e.index]:c.fixed4[e.index+1]])
	}
	missing(f)
	return ""
}

func (e Event) bytes(f Field) []byte {
	c := e.column(f, encodingStrings)
	start, end := c.fixed4[e.index], c.fixed4[e.index+1]
	return c.bytes[start:end:end]
}

//go:noinline
func missing(f Field) {
	misuse("the batch has no " + f.String() + ": add it to the Fields of the Projection")
}
