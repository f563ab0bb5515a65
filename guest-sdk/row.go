package pup

import (
	"math"
	"time"
	"unsafe"
)

// Row takes values in the order in which they were declared: of a row of a [Write], of a [Message], of a key or of
// the arguments of a [Query]. Every method returns the row, so that a row is one chain of calls. Values are copied.
type Row struct {
	buffer  []byte // its length is its capacity; size says how much of it is written
	size    int
	usual   int    // what the buffer grows to at least, when it does
	types   []Type // declared
	next    int    // index of the value that is to come
	pending int    // elements of an array that are to come
	of      *origin
	event   int
	failure *Error
	closed  bool // Handle has returned
}

// origin is what a row belongs to, for messages.
type origin struct{ kind, name string }

// Null gives NULL, a value of any type.
func (r *Row) Null() *Row {
	if r.expectNull() {
		*(*Type)(r.room(1)) = kindNull
	}
	return r
}

// Bool gives a boolean.
func (r *Row) Bool(v bool) *Row {
	if r.expect(TypeBool) {
		value := byte(0)
		if v {
			value = 1
		}
		b := r.room(2)
		*(*Type)(b) = TypeBool
		*(*byte)(unsafe.Add(b, 1)) = value
	}
	return r
}

// I64 gives an integer.
func (r *Row) I64(v int64) *Row {
	if r.expect(TypeI64) {
		r.word(TypeI64, uint64(v))
	}
	return r
}

// canonicalNaN is the only NaN that is written: which bits a NaN has depends on the compiler and the machine,
// and a projection must not.
const canonicalNaN = 0x7FF8000000000000

// F64 gives a floating point number.
func (r *Row) F64(v float64) *Row {
	if r.expect(TypeF64) {
		word := math.Float64bits(v)
		if v != v {
			word = canonicalNaN
		}
		r.word(TypeF64, word)
	}
	return r
}

// Numeric gives a decimal number as text: an optional sign, digits, an optional fraction, no exponent, 1000
// digits at most.
func (r *Row) Numeric(v string) *Row {
	if r.expect(TypeNumeric) {
		r.text(TypeNumeric, v)
	}
	return r
}

// Scaled gives the exact decimal number v / 10^decimals: Scaled(6259, 2) is 62.59. Decimals are 0 to 18.
func (r *Row) Scaled(v int64, decimals int) *Row {
	if r.expect(TypeNumeric) {
		head := r.room(5 + scaledMax)
		digits := appendScaled(unsafe.Slice((*byte)(unsafe.Add(head, 5)), scaledMax)[:0], v, decimals)
		*(*Type)(head) = TypeNumeric
		*(*uint32)(unsafe.Add(head, 1)) = uint32(len(digits))
		r.size -= scaledMax - len(digits)
	}
	return r
}

// Text gives text. It must be UTF-8 without the character NUL, or the host refuses the batch.
func (r *Row) Text(v string) *Row {
	if r.expect(TypeText) {
		r.text(TypeText, v)
	}
	return r
}

// TextBytes gives text that is held as bytes.
func (r *Row) TextBytes(v []byte) *Row {
	if r.expect(TypeText) {
		r.text(TypeText, view(v))
	}
	return r
}

// Date gives the day in UTC of a time in microseconds since 1970-01-01, as text of the form 2006-01-02.
func (r *Row) Date(micros int64) *Row {
	if r.expect(TypeText) {
		head := r.room(5 + dateSize)
		*(*Type)(head) = TypeText
		*(*uint32)(unsafe.Add(head, 1)) = dateSize
		putDate((*[dateSize]byte)(unsafe.Add(head, 5)), micros)
	}
	return r
}

// Bytes gives bytes.
func (r *Row) Bytes(v []byte) *Row {
	if r.expect(TypeBytes) {
		r.text(TypeBytes, view(v))
	}
	return r
}

// JSON gives JSON text. The host refuses the batch when it is not valid.
func (r *Row) JSON(v []byte) *Row {
	if r.expect(TypeJSON) {
		r.text(TypeJSON, view(v))
	}
	return r
}

// Timestamp gives a point in time in microseconds since 1970-01-01 UTC, the form of [Event.CreatedAt].
func (r *Row) Timestamp(micros int64) *Row {
	if r.expect(TypeTimestamp) {
		r.word(TypeTimestamp, uint64(micros))
	}
	return r
}

// Time gives a point in time; what is finer than a microsecond is cut off.
func (r *Row) Time(t time.Time) *Row { return r.Timestamp(t.UnixMicro()) }

// UUID gives a UUID.
func (r *Row) UUID(v [16]byte) *Row {
	if r.expect(TypeUUID) {
		b := r.room(17)
		*(*Type)(b) = TypeUUID
		*(*[16]byte)(unsafe.Add(b, 1)) = v
	}
	return r
}

// Array begins an array of n elements, which are given next, each by the method of its type or by Null.
func (r *Row) Array(n int) *Row {
	if r.pending > 0 || r.next >= len(r.types) || r.types[r.next]&arrayBit == 0 {
		r.mismatch("an array")
		return r
	}
	r.head(r.types[r.next], n)
	r.pending = n
	if n == 0 {
		r.next++
	}
	return r
}

// I64s gives an array of integers.
func (r *Row) I64s(values []int64) *Row {
	r.Array(len(values))
	for _, v := range values {
		r.I64(v)
	}
	return r
}

// Texts gives an array of text.
func (r *Row) Texts(values []string) *Row {
	r.Array(len(values))
	for _, v := range values {
		r.Text(v)
	}
	return r
}
