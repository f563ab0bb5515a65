package pup

import "math"

// Rows reads the result of a [Query], row by row, and the values of a row in the order of its columns:
//
//	for rows := names.Run(b); rows.Next(); {
//		index, name := rows.I64(), rows.Text()
//	}
//
// NULL reads as the zero value; where that matters, ask Null first. Text and bytes are valid until Handle returns.
type Rows struct {
	values  []byte
	types   []Type
	left    int
	width   int
	next    int // index of the value that is to come
	pending int // elements of an array that are to come
	name    string
}

// Next moves to the next row and tells whether there is one. Unread values of the current row are skipped.
func (r *Rows) Next() bool {
	for r.next < len(r.types) {
		r.skip()
	}
	if r.left == 0 {
		return false
	}
	if r.width != len(r.types) {
		misuse("query " + r.name + ": its rows have another width than was declared")
	}
	r.left--
	r.next = 0
	return true
}

// Len returns the number of rows that are still to come.
func (r *Rows) Len() int { return r.left }

// Null reports whether the next value is NULL, and skips it then.
func (r *Rows) Null() bool {
	if r.next >= len(r.types) || Type(r.values[0]) != kindNull {
		return false
	}
	r.skip()
	return true
}

// Bool reads a boolean.
func (r *Rows) Bool() bool {
	if !r.take(TypeBool) {
		return false
	}
	value := r.values[0] != 0
	r.values = r.values[1:]
	return value
}

// I64 reads an integer.
func (r *Rows) I64() int64 {
	if !r.take(TypeI64) {
		return 0
	}
	return int64(r.word())
}

// F64 reads a floating point number.
func (r *Rows) F64() float64 {
	if !r.take(TypeF64) {
		return 0
	}
	return math.Float64frombits(r.word())
}

// Numeric reads a decimal number as text, or "" for NULL.
func (r *Rows) Numeric() string { return r.string(TypeNumeric) }

// Text reads text.
func (r *Rows) Text() string { return r.string(TypeText) }

// Bytes reads bytes.
func (r *Rows) Bytes() []byte { return r.slice(TypeBytes) }

// JSON reads JSON text.
func (r *Rows) JSON() []byte { return r.slice(TypeJSON) }

// Timestamp reads a point in time in microseconds since 1970-01-01 UTC.
func (r *Rows) Timestamp() int64 {
	if !r.take(TypeTimestamp) {
		return 0
	}
	return int64(r.word())
}

// UUID reads a UUID.
func (r *Rows) UUID() [16]byte {
	if !r.take(TypeUUID) {
		return [16]byte{}
	}
	value := [16]byte(r.values)
	r.values = r.values[16:]
	return value
}

// Array begins to read an array and returns the number of its elements, 0 for NULL. The elements are read next,
// each by the method of its type or by Null.
func (r *Rows) Array() int {
	if r.pending > 0 || r.next >= len(r.types) || r.types[r.next]&arrayBit == 0 {
		r.mismatch("an array")
	}
	kind := Type(r.values[0])
	r.values = r.values[1:]
	if kind != kindNull {
		r.pending = int(u32(r.values, 0))
		r.values = r.values[4:]
	}
	if r.pending == 0 {
		r.next++
	}
	return r.pending
}

func (r *Rows) string(t Type) string { return view(r.slice(t)) }

func (r *Rows) slice(t Type) []byte {
	if !r.take(t) {
		return nil
	}
	n := int(u32(r.values, 0))
	value := r.values[4 : 4+n : 4+n]
	r.values = r.values[4+n:]
	return value
}

func (r *Rows) word() uint64 {
	low, high := u32(r.values, 0), u32(r.values, 4)
	r.values = r.values[8:]
	return uint64(low) | uint64(high)<<32
}

// take passes over the kind of the next value and tells whether there is one that is not NULL.
func (r *Rows) take(t Type) bool {
	if r.next >= len(r.types) {
		r.mismatch(t.String())
	}
	want := r.types[r.next]
	if r.pending > 0 {
		want &^= arrayBit
	}
	if want != t {
		r.mismatch(t.String())
	}
	kind := Type(r.values[0])
	r.values = r.values[1:]
	r.advance()
	return kind != kindNull
}

// advance counts one value or element as read.
func (r *Rows) advance() {
	if r.pending > 0 {
		r.pending--
	}
	if r.pending == 0 {
		r.next++
	}
}

func (r *Rows) skip() {
	r.values = r.values[valueSize(r.values):]
	r.advance()
}

func (r *Rows) mismatch(asked string) {
	if r.next >= len(r.types) {
		misuse("query " + r.name + ": there is no further value, or Next was not called")
	}
	misuse("query " + r.name + ": the next value is " + r.types[r.next].String() + ", asked for is " + asked)
}

// valueSize returns the size of the value at the start of data, with its kind.
func valueSize(data []byte) int {
	kind := Type(data[0])
	if kind&arrayBit != 0 {
		size := 5
		for range u32(data, 1) {
			size += valueSize(data[size:])
		}
		return size
	}
	switch kind {
	case kindNull:
		return 1
	case TypeBool:
		return 2
	case TypeI64, TypeF64, TypeTimestamp:
		return 9
	case TypeUUID:
		return 17
	default:
		return 5 + int(u32(data, 1))
	}
}
