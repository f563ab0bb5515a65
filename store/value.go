package store

import (
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// Kind is the type of one value that crosses between a guest and the database.
type Kind uint8

// The kinds, with the numbers that they have in the ABI.
const (
	KindNull Kind = iota
	KindBool
	KindI64
	KindF64
	KindNumeric   // decimal text, exact
	KindText      // UTF-8 without NUL
	KindBytes     // any bytes
	KindJSON      // JSON text
	KindTimestamp // microseconds since 1970-01-01 UTC
	KindUUID      // 16 bytes

	kindCount
)

var kindNames = [kindCount]string{
	"null", "bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz",
	"uuid",
}

// String returns the kind's name in a declaration, such as "i64".
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Value is one typed value, without boxing. Text, bytes, JSON, numeric and UUID values may point into the memory of the
// reply that they came with.
//
// It has 24 bytes, since a batch has thousands and a plan of many batches must stay in the processor's cache: a
// pointer and a size replace the slice of bytes or of elements. Both are set here only, from slices, and read as
// these.
type Value struct {
	Kind  Kind
	Array bool           // then Elements holds values of Kind or null
	size  uint32         // of what data points to: bytes, or elements of an array
	word  uint64         // bool, i64, f64 bits, timestamp
	data  unsafe.Pointer // the bytes of a numeric, text, bytes, json or uuid, or the elements of an array; nil for none
}

// Null is the value NULL of any type.
func Null() Value { return Value{} }

// Bool returns a boolean value.
func Bool(v bool) Value {
	if v {
		return Value{Kind: KindBool, word: 1}
	}
	return Value{Kind: KindBool}
}

// I64 returns an integer value.
func I64(v int64) Value { return Value{Kind: KindI64, word: uint64(v)} }

// Word returns a value of a kind that is held as 64 bits: bool, i64, f64 or timestamptz.
func Word(kind Kind, bits uint64) Value { return Value{Kind: kind, word: bits} }

// F64 returns a floating point value.
func F64(v float64) Value { return Value{Kind: KindF64, word: math.Float64bits(v)} }

// Timestamp returns a point in time in microseconds since 1970-01-01 UTC.
func Timestamp(micros int64) Value { return Value{Kind: KindTimestamp, word: uint64(micros)} }

// BytesOf returns a value of a kind that is held as bytes: numeric, text, bytes, json or uuid. It keeps the slice,
// which has less than 4 GiB.
func BytesOf(kind Kind, v []byte) Value {
	return Value{Kind: kind, size: uint32(len(v)), data: unsafe.Pointer(unsafe.SliceData(v))}
}

// Text returns a text value.
func Text(v string) Value { return BytesOf(KindText, []byte(v)) }

// ArrayOf returns an array of values of one kind or null. It keeps the slice.
func ArrayOf(kind Kind, elements []Value) Value {
	return Value{Kind: kind, Array: true, size: uint32(len(elements)), data: unsafe.Pointer(unsafe.SliceData(elements))}
}

// IsNull reports whether the value is NULL.
func (v Value) IsNull() bool { return v.Kind == KindNull && !v.Array }

// Bool returns the boolean of a KindBool value.
func (v Value) Bool() bool { return v.word != 0 }

// Int returns the integer of a KindI64 or KindTimestamp value.
func (v Value) Int() int64 { return int64(v.word) }

// Float returns the number of a KindF64 value.
func (v Value) Float() float64 { return math.Float64frombits(v.word) }

// Bits returns the 64 bits of an i64, an f64 or a timestamp.
func (v Value) Bits() uint64 { return v.word }

// Bytes returns the bytes of a value that is held as bytes. They must not be changed.
func (v Value) Bytes() []byte {
	if v.Array || v.data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(v.data), v.size)
}

// Elements returns the elements of an array. They must not be changed.
func (v Value) Elements() []Value {
	if !v.Array || v.data == nil {
		return nil
	}
	return unsafe.Slice((*Value)(v.data), v.size)
}

// Type is a kind or an array of it, as declared for columns and parameters: "text", "i64[]".
type Type struct {
	Kind  Kind
	Array bool
}

// ParseType reads a declared type name.
func ParseType(name string) (Type, error) {
	base, array := strings.CutSuffix(name, "[]")
	for kind := KindBool; kind < kindCount; kind++ {
		if kindNames[kind] == base {
			return Type{Kind: kind, Array: array}, nil
		}
	}
	return Type{}, fmt.Errorf("unknown type %.60q: use %s, or one of these with []", name,
		strings.Join(kindNames[1:], ", "))
}

// String returns the declared name.
func (t Type) String() string {
	if t.Array {
		return t.Kind.String() + "[]"
	}
	return t.Kind.String()
}

// UnmarshalText reads a declared type name.
func (t *Type) UnmarshalText(text []byte) error {
	parsed, err := ParseType(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// MarshalText writes the declared name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Accepts reports whether a value is one of the type. NULL is one of every type.
func (t Type) Accepts(v Value) bool {
	return v.IsNull() || (v.Kind == t.Kind && v.Array == t.Array)
}
