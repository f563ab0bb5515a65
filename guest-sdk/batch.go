package pup

import (
	"unsafe"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// Batch is a run of events in order of their global position. It is a view of the block that the host wrote:
// the batch, its events and every string and slice read from them are valid until Handle returns.
type Batch struct {
	length   int
	segment  uint32
	logLevel Level
	columns  [fieldEnd]column

	at       int // the event that the loop over Events is at, or noEvent
	failure  *Error
	reader   json.Reader
	readerAt int
	results  []byte
	request  Row
}

// column is one column of the block, as far as its encoding goes.
type column struct {
	encoding uint16
	fixed4   []uint32 // encoding 1; the dictionary's indexes in 4; the starts in 5
	fixed8   []int64
	bytes    []byte   // encoding 3; what the starts point into in 5
	entries  []string // the dictionary of 4
}

const (
	magicBatch           = 0x42505550
	abiVersion           = 1
	batchHeaderSize      = 32
	columnDescriptorSize = 16

	encodingFixed4     = 1
	encodingFixed8     = 2
	encodingFixed16    = 3
	encodingDictionary = 4
	encodingStrings    = 5

	noEvent = -1
)

// Len returns the number of events.
func (b *Batch) Len() int { return b.length }

// Event returns the event at an index from 0 to Len()-1.
func (b *Batch) Event(i int) Event {
	if uint(i) >= uint(b.length) {
		misuse("the index is not one of an event of the batch")
	}
	return Event{b, i}
}

// Events iterates over the events in order:
//
//	for e := range b.Events() { … }
//
// An error that Handle returns from within the loop is attributed to the event that the loop is at, unless it
// comes from [At] or [ErrorAt].
func (b *Batch) Events() func(yield func(Event) bool) {
	return func(yield func(Event) bool) {
		for i := range b.length {
			b.at = i
			if !yield(Event{b, i}) {
				return
			}
		}
		b.at = noEvent
	}
}

// Segment returns the number of the projection's segment. It is for log lines only: what a projection writes
// must not depend on it.
func (b *Batch) Segment() int { return int(b.segment) }

// decode points the batch at a block, which is aligned to 8 bytes, and returns what is wrong with it or "".
func (b *Batch) decode(block []byte) string {
	b.length, b.at, b.failure = 0, noEvent, nil
	b.reader.Release()
	b.results = b.results[:0]
	for i := range b.columns {
		b.columns[i].encoding = 0
	}
	if len(block) < batchHeaderSize || u32(block, 0) != magicBatch {
		return "the block is not a batch"
	}
	if u16(block, 4) != abiVersion || int(u32(block, 8)) != len(block) {
		return "the batch has another version or size"
	}
	headerSize, count := int(u16(block, 6)), int(u32(block, 16))
	if headerSize < batchHeaderSize || count > len(block) || headerSize+count*columnDescriptorSize > len(block) {
		return "the batch is too short for its columns"
	}
	b.length = int(u32(block, 12))
	b.segment = u32(block, 20)
	b.logLevel = Level(u32(block, 24))
	for i := range count {
		if !b.decodeColumn(block, block[headerSize+i*columnDescriptorSize:]) {
			return "a column does not fit into the batch"
		}
	}
	return ""
}

// decodeColumn trusts the values within a column, since it is the host who wrote them and Go checks every index anyway.
func (b *Batch) decodeColumn(block, descriptor []byte) bool {
	id, encoding := u16(descriptor, 0), u16(descriptor, 2)
	offset, size, entries := int(u32(descriptor, 4)), int(u32(descriptor, 8)), int(u32(descriptor, 12))
	if id == 0 || id >= uint16(fieldEnd) {
		return true // of a later version
	}
	if offset%8 != 0 || offset < 0 || size < 0 || offset > len(block) || size > len(block)-offset {
		return false
	}
	data := block[offset : offset+size]
	n := b.length
	c := &b.columns[id]
	switch encoding {
	case encodingFixed4, encodingFixed8, encodingFixed16:
		if size>>(encoding+1) < n {
			return false
		}
	case encodingDictionary:
		if entries > size || size/4 < n+entries+1 {
			return false
		}
	case encodingStrings:
		if size/4 < n+1 {
			return false
		}
	default:
		return false
	}
	switch encoding {
	case encodingFixed4:
		c.fixed4 = uint32s(data, n)
	case encodingFixed8:
		c.fixed8 = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(data))), n)
	case encodingFixed16:
		c.bytes = data[:16*n]
	case encodingDictionary:
		c.fixed4 = uint32s(data, n)
		starts := uint32s(data[4*n:], entries+1)
		values := data[4*(n+entries+1):]
		c.entries = c.entries[:0]
		for i := range entries {
			c.entries = append(c.entries, view(values[starts[i]:starts[i+1]]))
		}
	case encodingStrings:
		c.fixed4 = uint32s(data, n+1)
		c.bytes = data[4*(n+1):]
	}
	c.encoding = encoding
	return true
}

// uint32s views aligned bytes as little-endian numbers, which is the order of every machine that this package runs on.
func uint32s(data []byte, n int) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(data))), n)
}

func view(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

func u16(data []byte, at int) uint16 { return uint16(data[at]) | uint16(data[at+1])<<8 }

func u32(data []byte, at int) uint32 {
	return uint32(data[at]) | uint32(data[at+1])<<8 | uint32(data[at+2])<<16 | uint32(data[at+3])<<24
}
