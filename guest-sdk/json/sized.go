package json

import (
	"math"
	"strconv"
)

// Int reads a whole number, as Int64 does, that fits into the given number of bits: 8, 16, 32 or 64. One beyond
// their range is an error.
func (r *Reader) Int(bits int) int64 {
	value := r.Int64()
	if spare := 64 - bits; value<<spare>>spare != value {
		r.Reject("is beyond the range of the integer it is read into")
		return 0
	}
	return value
}

// Uint reads a whole number of zero or more that fits into the given number of bits: 8, 16, 32 or 64. Unlike Int it
// takes neither decimals nor exponents above the range of Int64.
func (r *Reader) Uint(bits int) uint64 {
	if r.Kind() != Number {
		r.mismatch("a number")
		return 0
	}
	if end := digits(r.data, r.pos); bits == 64 && end-r.pos >= 19 {
		value, err := strconv.ParseUint(r.Number(), 10, 64)
		if err != nil {
			r.Reject("is not a whole number of 64 bits")
			return 0
		}
		return value
	}
	value := r.Int64()
	if value < 0 || bits < 64 && value>>bits != 0 {
		r.Reject("is beyond the range of the unsigned integer it is read into")
		return 0
	}
	return uint64(value)
}

// Float32 reads a number as the nearest binary floating point number of 32 bits. One beyond its range is an error.
func (r *Reader) Float32() float32 {
	text := r.Number()
	if r.state == failed {
		return 0
	}
	value, err := strconv.ParseFloat(text, 32)
	if err != nil || math.IsInf(value, 0) {
		r.Reject("is beyond the range of floating point numbers of 32 bits")
		return 0
	}
	return float32(value)
}

// Reject makes the value that was read last the first error, for code that reads values of its own kind: a text that
// should be a time. The problem goes on from the name of the field, such as "is not a time".
func (r *Reader) Reject(problem string) { r.fail(problem) }
