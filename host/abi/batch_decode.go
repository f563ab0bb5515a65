package abi

import (
	"encoding/binary"
	"fmt"
)

// Batch is a decoded batch. It reads the block in place: the block must not change while the batch is used.
type Batch struct {
	BatchHeader
	columns [columnEnd]column
}

type column struct {
	encoding Encoding
	data     []byte // the column from its offset on
	entries  int
}

// DecodeBatch checks a whole block, every offset of it, so that the accessors cannot leave it.
func DecodeBatch(block []byte) (*Batch, error) {
	if len(block) < BatchHeaderSize {
		return nil, formatError("the batch has %d bytes, its header has %d", len(block), BatchHeaderSize)
	}
	if magic := binary.LittleEndian.Uint32(block); magic != MagicBatch {
		return nil, formatError("the batch starts with %#x", magic)
	}
	if version := binary.LittleEndian.Uint16(block[4:]); version != Version {
		return nil, formatError("the batch has version %d", version)
	}
	headerSize := int(binary.LittleEndian.Uint16(block[6:]))
	if size := binary.LittleEndian.Uint32(block[8:]); uint64(size) != uint64(len(block)) {
		return nil, formatError("the batch says that it has %d bytes, it has %d", size, len(block))
	}
	count := uint64(binary.LittleEndian.Uint32(block[12:]))
	columns := uint64(binary.LittleEndian.Uint32(block[16:]))
	if headerSize < BatchHeaderSize || uint64(headerSize)+columns*ColumnDescriptorSize > uint64(len(block)) {
		return nil, formatError("%d column descriptors do not fit", columns)
	}
	if count > uint64(len(block)) {
		return nil, formatError("%d events do not fit", count)
	}
	b := &Batch{BatchHeader: BatchHeader{
		Count:    int(count),
		Segment:  binary.LittleEndian.Uint32(block[20:]),
		LogLevel: binary.LittleEndian.Uint32(block[24:]),
	}}
	for i := range int(columns) {
		if err := b.decodeColumn(block, block[headerSize+i*ColumnDescriptorSize:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Batch) decodeColumn(block, descriptor []byte) error {
	id := Column(binary.LittleEndian.Uint16(descriptor[0:]))
	if id == 0 || id >= columnEnd {
		return nil // of a later version
	}
	encoding := Encoding(binary.LittleEndian.Uint16(descriptor[2:]))
	offset := uint64(binary.LittleEndian.Uint32(descriptor[4:]))
	size := uint64(binary.LittleEndian.Uint32(descriptor[8:]))
	entries := uint64(binary.LittleEndian.Uint32(descriptor[12:]))
	if offset%8 != 0 || offset+size > uint64(len(block)) {
		return formatError("column %s lies outside the batch", id)
	}
	if !encodingFits(id, encoding) {
		return formatError("column %s has encoding %d", id, encoding)
	}
	data := block[offset : offset+size]
	count := uint64(b.Count)
	switch encoding {
	case Fixed4, Fixed8, Fixed16:
		if width := uint64(2) << encoding; size != count*width {
			return formatError("column %s has %d bytes for %d events", id, size, count)
		}
	case Dictionary:
		if entries > size || 4*(count+entries+1) > size {
			return formatError("column %s is too short for its dictionary", id)
		}
		for i := range b.Count {
			if uint64(u32(data, i)) >= entries {
				return formatError("column %s has an index beyond its dictionary", id)
			}
		}
		if !startsFit(data[4*count:], int(entries)) {
			return formatError("column %s has a dictionary that leaves the column", id)
		}
	case Strings:
		if 4*(count+1) > size || !startsFit(data, b.Count) {
			return formatError("column %s has a value that leaves the column", id)
		}
	}
	b.columns[id] = column{encoding: encoding, data: data, entries: int(entries)}
	return nil
}

// encodingFits tells whether a column may come in an encoding.
func encodingFits(id Column, encoding Encoding) bool {
	switch id {
	case GlobalPosition, AggregateVersion, CreatedAt:
		return encoding == Fixed8
	case EventVersion, PartitionHash:
		return encoding == Fixed4
	case EventID:
		return encoding == Fixed16
	case Payload, Metadata:
		return encoding == Strings
	default:
		return encoding == Dictionary || encoding == Strings
	}
}

// startsFit checks n+1 offsets that must not fall and must not leave the bytes that follow them.
func startsFit(data []byte, n int) bool {
	last := uint32(0)
	for i := range n + 1 {
		start := u32(data, i)
		if start < last {
			return false
		}
		last = start
	}
	return uint64(last) <= uint64(len(data)-4*(n+1))
}

// Has tells whether the batch has a column.
func (b *Batch) Has(id Column) bool { return id < columnEnd && b.columns[id].encoding != 0 }

// Int64 returns a value of a column of 8 bytes. The column must be there.
func (b *Batch) Int64(id Column, i int) int64 {
	return int64(binary.LittleEndian.Uint64(b.columns[id].data[8*i:]))
}

// Uint32 returns a value of a column of 4 bytes. The column must be there.
func (b *Batch) Uint32(id Column, i int) uint32 { return u32(b.columns[id].data, i) }

// UUID returns a value of a column of 16 bytes. The column must be there.
func (b *Batch) UUID(id Column, i int) [16]byte { return [16]byte(b.columns[id].data[16*i:]) }

// Bytes returns a value of a text or byte column, within the block; appending to it copies. The column must be there.
func (b *Batch) Bytes(id Column, i int) []byte {
	c := &b.columns[id]
	data, at, n := c.data, i, b.Count
	if c.encoding == Dictionary {
		at, n = int(u32(c.data, i)), c.entries
		data = c.data[4*b.Count:]
	}
	values := data[4*(n+1):]
	end := u32(data, at+1)
	return values[u32(data, at):end:end]
}

func u32(data []byte, i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }

func formatError(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrFormat)
}
