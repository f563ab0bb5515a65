package abi

import (
	"encoding/binary"
	"math"
)

// AppendQuery appends the head of a query request, whose arguments have to follow.
func AppendQuery(dst []byte, query uint32, arguments uint16) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, query)
	dst = binary.LittleEndian.AppendUint16(dst, arguments)
	return binary.LittleEndian.AppendUint16(dst, 0)
}

// Query is the decoded head of a query request, and reads its arguments.
type Query struct {
	Values
	Query     int // index into the catalogue
	Arguments int // values that follow
}

// DecodeQuery reads the head of a query request from untrusted bytes. The query keeps src.
//
// # Errors
//
// ErrFormat.
func DecodeQuery(src []byte) (*Query, error) {
	if len(src) < QueryHeaderSize {
		return nil, formatError("the query has %d bytes, its header has %d", len(src), QueryHeaderSize)
	}
	index := binary.LittleEndian.Uint32(src)
	if index > math.MaxInt32 { // it would turn negative where int has 32 bits
		return nil, formatError("the query has index %d", index)
	}
	return &Query{
		Values:    NewValues(src[QueryHeaderSize:]),
		Query:     int(index),
		Arguments: int(binary.LittleEndian.Uint16(src[4:])),
	}, nil
}

// AppendRows appends the head of a query result; rows × width values have to follow.
func AppendRows(dst []byte, rows, width int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(rows))
	return binary.LittleEndian.AppendUint32(dst, uint32(width))
}

// DecodeRows reads the head of a query result and returns what reads its values. There are at least as many
// bytes as values, so that a caller may allocate for them.
//
// # Errors
//
// ErrFormat.
func DecodeRows(src []byte) (rows, width int, values Values, err error) {
	if len(src) < RowsHeaderSize {
		return 0, 0, Values{}, formatError("the result has %d bytes, its header has %d", len(src), RowsHeaderSize)
	}
	r, w, rest := binary.LittleEndian.Uint32(src), binary.LittleEndian.Uint32(src[4:]), src[RowsHeaderSize:]
	switch {
	case uint64(r)*uint64(w) > uint64(len(rest)):
		err = formatError("%d rows of %d values do not fit into %d bytes", r, w, len(rest))
	case r > 0 && w == 0:
		err = formatError("%d rows have no values", r)
	case w > math.MaxInt32:
		err = formatError("rows have %d values", w)
	}
	if err != nil {
		return 0, 0, Values{}, err
	}
	return int(r), int(w), NewValues(rest), nil
}
