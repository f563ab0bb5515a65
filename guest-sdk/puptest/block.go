package puptest

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// encoding is how the texts of a batch are laid out: the ABI lets the host choose, and tests do both.
type encoding int

const (
	dictionaries encoding = iota
	plainStrings
)

// fields are the columns of a batch by id; see the ABI.
var fields = []string{
	"", "global_position", "aggregate_version", "bounded_context", "aggregate_type", "aggregate_id", "event_id", "event_type",
	"event_version", "payload", "metadata", "trace_id", "correlation_id", "causation_id", "created_at", "partition_hash",
	"partition_key",
}

// encodeBatch lays events out with the wanted columns, in memory that is aligned to 8 bytes.
func encodeBatch(events []event, wanted []string, texts encoding) ([]byte, error) {
	columns := append([]string{"global_position", "aggregate_version"}, wanted...)
	block := make([]byte, 32+16*len(columns))
	for i, name := range columns {
		for len(block)%8 != 0 {
			block = append(block, 0)
		}
		start := len(block)
		id, enc, entries, data, err := encodeColumn(name, events, texts)
		if err != nil {
			return nil, err
		}
		block = append(block, data...)
		descriptor := block[32+16*i:]
		binary.LittleEndian.PutUint16(descriptor[0:], id)
		binary.LittleEndian.PutUint16(descriptor[2:], enc)
		binary.LittleEndian.PutUint32(descriptor[4:], uint32(start))
		binary.LittleEndian.PutUint32(descriptor[8:], uint32(len(data)))
		binary.LittleEndian.PutUint32(descriptor[12:], uint32(entries))
	}
	for len(block)%8 != 0 {
		block = append(block, 0)
	}
	binary.LittleEndian.PutUint32(block[0:], 0x42505550)
	binary.LittleEndian.PutUint16(block[4:], 1)
	binary.LittleEndian.PutUint16(block[6:], 32)
	binary.LittleEndian.PutUint32(block[8:], uint32(len(block)))
	binary.LittleEndian.PutUint32(block[12:], uint32(len(events)))
	binary.LittleEndian.PutUint32(block[16:], uint32(len(columns)))
	words := make([]uint64, len(block)/8)
	aligned := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(block))
	copy(aligned, block)
	return aligned, nil
}

func encodeColumn(name string, events []event, texts encoding) (id, enc uint16, entries int, data []byte, err error) {
	for i := range fields {
		if fields[i] == name {
			id = uint16(i)
		}
	}
	values := make([]string, len(events))
	for i := range events {
		e := &events[i]
		switch name {
		case "global_position":
			data = binary.LittleEndian.AppendUint64(data, uint64(e.Position))
		case "aggregate_version":
			data = binary.LittleEndian.AppendUint64(data, uint64(e.AggregateVersion))
		case "created_at":
			data = binary.LittleEndian.AppendUint64(data, uint64(e.CreatedAt.UnixMicro()))
		case "event_version":
			data = binary.LittleEndian.AppendUint32(data, uint32(e.Version))
		case "partition_hash":
			data = binary.LittleEndian.AppendUint32(data, partitionHash(e.AggregateID))
		case "event_id":
			data = append(data, e.ID[:]...)
		case "payload":
			values[i] = string(e.payload)
		case "metadata":
			values[i] = e.Metadata
		default:
			values[i], err = e.textField(name)
			if err != nil {
				return 0, 0, 0, nil, err
			}
		}
	}
	switch name {
	case "global_position", "aggregate_version", "created_at":
		return id, 2, 0, data, nil
	case "event_version", "partition_hash":
		return id, 1, 0, data, nil
	case "event_id":
		return id, 3, 0, data, nil
	case "payload", "metadata":
		return id, 5, 0, encodeStrings(nil, values), nil
	}
	if texts == plainStrings {
		return id, 5, 0, encodeStrings(nil, values), nil
	}
	data, entries = encodeDictionary(values)
	return id, 4, entries, data, nil
}

func (e *event) textField(name string) (string, error) {
	switch name {
	case "partition_key":
		return e.key, nil
	case "bounded_context":
		return e.BoundedContext, nil
	case "aggregate_type":
		return e.AggregateType, nil
	case "aggregate_id":
		return e.AggregateID, nil
	case "event_type":
		return e.Type, nil
	case "trace_id":
		return e.TraceID, nil
	case "correlation_id":
		return e.CorrelationID, nil
	case "causation_id":
		return e.CausationID, nil
	}
	return "", fmt.Errorf("the projection wants a column %q, which does not exist", name)
}

func encodeStrings(dst []byte, values []string) []byte {
	end := uint32(0)
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint32(dst, end)
		end += uint32(len(v))
	}
	dst = binary.LittleEndian.AppendUint32(dst, end)
	for _, v := range values {
		dst = append(dst, v...)
	}
	return dst
}

func encodeDictionary(values []string) (data []byte, entries int) {
	known := map[string]uint32{}
	var distinct []string
	for _, v := range values {
		index, ok := known[v]
		if !ok {
			index = uint32(len(distinct))
			known[v] = index
			distinct = append(distinct, v)
		}
		data = binary.LittleEndian.AppendUint32(data, index)
	}
	return encodeStrings(data, distinct), len(distinct)
}

// partitionHash is FNV-1a 32.
func partitionHash(id string) uint32 {
	hash := uint32(2166136261)
	for i := range len(id) {
		hash = (hash ^ uint32(id[i])) * 16777619
	}
	return hash
}
