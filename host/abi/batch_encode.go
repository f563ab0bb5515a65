package abi

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// BatchHeader is what a batch says besides its columns.
type BatchHeader struct {
	Count    int // events
	Segment  uint32
	LogLevel uint32
}

// BatchEncoder lays out one batch after the other in a buffer of its own, which grows to the largest batch
// and stays. It is used by one goroutine: Begin, then one call a column, then Finish.
type BatchEncoder struct {
	buffer     []byte
	count      int
	columns    int
	described  int
	dictionary map[string]uint32
	entries    []string
	overflow   bool
}

var errBatchTooLarge = errors.New("the batch does not fit into 2 GiB")

// Begin starts a batch with room for a number of columns.
func (e *BatchEncoder) Begin(header BatchHeader, columns int) {
	e.count, e.columns, e.described, e.overflow = header.Count, columns, 0, false
	e.buffer = append(e.buffer[:0], make([]byte, BatchHeaderSize+columns*ColumnDescriptorSize)...)
	binary.LittleEndian.PutUint32(e.buffer[0:], MagicBatch)
	binary.LittleEndian.PutUint16(e.buffer[4:], Version)
	binary.LittleEndian.PutUint16(e.buffer[6:], BatchHeaderSize)
	binary.LittleEndian.PutUint32(e.buffer[12:], uint32(header.Count))
	binary.LittleEndian.PutUint32(e.buffer[16:], uint32(columns))
	binary.LittleEndian.PutUint32(e.buffer[20:], header.Segment)
	binary.LittleEndian.PutUint32(e.buffer[24:], header.LogLevel)
}

// Int64s adds a column of 8 bytes a value.
func (e *BatchEncoder) Int64s(id Column, value func(i int) int64) {
	start := e.align()
	for i := range e.count {
		e.buffer = binary.LittleEndian.AppendUint64(e.buffer, uint64(value(i)))
	}
	e.describe(id, Fixed8, start, 0)
}

// Uint32s adds a column of 4 bytes a value.
func (e *BatchEncoder) Uint32s(id Column, value func(i int) uint32) {
	start := e.align()
	for i := range e.count {
		e.buffer = binary.LittleEndian.AppendUint32(e.buffer, value(i))
	}
	e.describe(id, Fixed4, start, 0)
}

// UUIDs adds a column of 16 bytes a value.
func (e *BatchEncoder) UUIDs(id Column, value func(i int) [16]byte) {
	start := e.align()
	for i := range e.count {
		v := value(i)
		e.buffer = append(e.buffer, v[:]...)
	}
	e.describe(id, Fixed16, start, 0)
}

// Bytes adds a column of byte strings.
func (e *BatchEncoder) Bytes(id Column, value func(i int) []byte) {
	addStrings(e, id, value)
}

// Texts adds a column of strings that seldom repeat.
func (e *BatchEncoder) Texts(id Column, value func(i int) string) {
	addStrings(e, id, value)
}

// Repeated adds a column of strings that repeat, as a dictionary.
func (e *BatchEncoder) Repeated(id Column, value func(i int) string) {
	start := e.align()
	if e.dictionary == nil {
		e.dictionary = map[string]uint32{}
	}
	clear(e.dictionary)
	e.entries = e.entries[:0]
	last, lastIndex := "", uint32(math.MaxUint32)
	for i := range e.count {
		v := value(i)
		if lastIndex == math.MaxUint32 || v != last {
			index, known := e.dictionary[v]
			if !known {
				index = uint32(len(e.entries))
				e.dictionary[v] = index
				e.entries = append(e.entries, v)
			}
			last, lastIndex = v, index
		}
		e.buffer = binary.LittleEndian.AppendUint32(e.buffer, lastIndex)
	}
	end := uint64(0)
	for _, entry := range e.entries {
		e.buffer = binary.LittleEndian.AppendUint32(e.buffer, uint32(end))
		end += uint64(len(entry))
	}
	e.buffer = binary.LittleEndian.AppendUint32(e.buffer, uint32(end))
	if e.fits(end) {
		for _, entry := range e.entries {
			e.buffer = append(e.buffer, entry...)
		}
	}
	e.describe(id, Dictionary, start, len(e.entries))
}

// Finish returns the block. It belongs to the encoder and is valid until the next Begin. A block of 2 GiB or
// more is an error.
func (e *BatchEncoder) Finish() ([]byte, error) {
	if e.described != e.columns {
		panic("abi: the batch has another number of columns than Begin was told")
	}
	e.align()
	if e.overflow || len(e.buffer) > math.MaxInt32 {
		return nil, errBatchTooLarge
	}
	binary.LittleEndian.PutUint32(e.buffer[8:], uint32(len(e.buffer)))
	return e.buffer, nil
}

// addStrings lays out encoding 5 in one pass: the starts are filled in while the bytes behind them grow.
func addStrings[T ~string | ~[]byte](e *BatchEncoder, id Column, value func(i int) T) {
	start := e.align()
	starts := 4 * (e.count + 1)
	e.buffer = slices.Grow(e.buffer, starts)[:start+starts]
	end := uint64(0)
	for i := range e.count {
		binary.LittleEndian.PutUint32(e.buffer[start+4*i:], uint32(end))
		v := value(i)
		end += uint64(len(v))
		if e.fits(end) {
			e.buffer = append(e.buffer, v...)
		}
	}
	binary.LittleEndian.PutUint32(e.buffer[start+4*e.count:], uint32(end))
	e.describe(id, Strings, start, 0)
}

// fits tells whether a column may hold so many bytes of values. A batch that is too large anyway must not
// take memory first.
func (e *BatchEncoder) fits(size uint64) bool {
	e.overflow = e.overflow || size > math.MaxInt32
	return !e.overflow
}

// align pads the buffer to a multiple of 8 and returns its length.
func (e *BatchEncoder) align() int {
	for len(e.buffer)%8 != 0 {
		e.buffer = append(e.buffer, 0)
	}
	return len(e.buffer)
}

func (e *BatchEncoder) describe(id Column, encoding Encoding, start, entries int) {
	d := e.buffer[BatchHeaderSize+e.described*ColumnDescriptorSize:]
	binary.LittleEndian.PutUint16(d[0:], uint16(id))
	binary.LittleEndian.PutUint16(d[2:], uint16(encoding))
	binary.LittleEndian.PutUint32(d[4:], uint32(start))
	binary.LittleEndian.PutUint32(d[8:], uint32(len(e.buffer)-start))
	binary.LittleEndian.PutUint32(d[12:], uint32(entries))
	e.described++
}
