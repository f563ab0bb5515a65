package abi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"unicode/utf8"
)

// Item is one decoded value or the head of an array, whose elements follow as items.
type Item struct {
	Kind  Kind
	Array bool
	// Word holds a bool (0 or 1), an i64, the bits of an f64, the microseconds of a timestamptz, or the
	// number of elements.
	Word uint64
	// Bytes holds numeric, text, bytes, JSON or UUID, within the decoded block.
	Bytes []byte
}

// AppendNull appends NULL.
func AppendNull(dst []byte) []byte { return append(dst, byte(KindNull)) }

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, byte(KindBool), 1)
	}
	return append(dst, byte(KindBool), 0)
}

// AppendI64 appends an integer.
func AppendI64(dst []byte, v int64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(KindI64)), uint64(v))
}

// AppendF64 appends a floating point number.
func AppendF64(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(KindF64)), math.Float64bits(v))
}

// AppendTimestamp appends a point in time in microseconds since 1970-01-01 UTC.
func AppendTimestamp(dst []byte, micros int64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(KindTimestamp)), uint64(micros))
}

// AppendUUID appends a UUID.
func AppendUUID(dst []byte, v [16]byte) []byte {
	return append(append(dst, byte(KindUUID)), v[:]...)
}

// AppendBytes appends a value of a kind that has a length: numeric, text, bytes or JSON.
func AppendBytes[T ~string | ~[]byte](dst []byte, kind Kind, v T) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, byte(kind)), uint32(len(v)))
	return append(dst, v...)
}

// AppendArray appends the head of an array; count values of the kind, or null, must follow.
func AppendArray(dst []byte, kind Kind, count int) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, byte(kind)|ArrayBit), uint32(count))
}

// Values reads values one after the other from untrusted bytes.
type Values struct {
	rest []byte
}

// NewValues reads from src, which it keeps.
func NewValues(src []byte) Values { return Values{rest: src} }

// Rest returns the bytes that are not read yet.
func (v *Values) Rest() []byte { return v.rest }

// Word reads a value of a kind that is eight bytes: i64, f64 or timestamptz. It reads nothing and reports
// false when another kind is next, or too little is left.
func (v *Values) Word(kind Kind) (word uint64, ok bool) {
	if len(v.rest) < 9 || v.rest[0] != byte(kind) {
		return 0, false
	}
	word = binary.LittleEndian.Uint64(v.rest[1:])
	v.rest = v.rest[9:]
	return word, true
}

// Text reads a value of kind text that is ASCII. It reads nothing and reports false when something else is next.
func (v *Values) Text() (text []byte, ok bool) {
	if len(v.rest) < 5 || v.rest[0] != byte(KindText) {
		return nil, false
	}
	size := uint64(binary.LittleEndian.Uint32(v.rest[1:]))
	if rest := v.rest[5:]; size <= uint64(len(rest)) && isPlain(rest[:size]) {
		v.rest = rest[size:]
		return rest[:size:size], true
	}
	return nil, false
}

// isPlain tells whether text has only characters of ASCII, and no NUL. It looks at eight at a time.
func isPlain(text []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(text) >= 8 {
		// A byte that is 0 borrows, so that its high bit is set; so is that of a byte beyond ASCII.
		word := binary.LittleEndian.Uint64(text)
		if (word|(word-ones))&highs != 0 {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if c-1 >= 0x7F {
			return false
		}
	}
	return true
}

// Next reads one value or the head of an array, and checks all that can be checked without the catalogue:
// length, UTF-8, NUL, JSON, numeric.
//
// # Errors
//
// ErrFormat.
func (v *Values) Next() (Item, error) {
	if len(v.rest) == 0 {
		return Item{}, formatError("a value is missing")
	}
	tag := v.rest[0]
	v.rest = v.rest[1:]
	item := Item{Kind: Kind(tag &^ ArrayBit), Array: tag&ArrayBit != 0}
	if item.Kind >= kindEnd || item.Array && item.Kind == KindNull {
		return Item{}, formatError("a value has kind %d", tag)
	}
	if item.Array {
		count, err := v.length()
		if err != nil {
			return Item{}, err
		}
		item.Word = uint64(count) // every element has a byte at least, so that the count is bounded
		return item, nil
	}
	switch item.Kind {
	case KindNull:
	case KindBool:
		data, err := v.take(1)
		if err != nil {
			return Item{}, err
		}
		if data[0] > 1 {
			return Item{}, formatError("a bool is %d", data[0])
		}
		item.Word = uint64(data[0])
	case KindI64, KindF64, KindTimestamp:
		data, err := v.take(8)
		if err != nil {
			return Item{}, err
		}
		item.Word = binary.LittleEndian.Uint64(data)
	case KindUUID:
		data, err := v.take(16)
		if err != nil {
			return Item{}, err
		}
		item.Bytes = data
	default:
		size, err := v.length()
		if err != nil {
			return Item{}, err
		}
		item.Bytes, _ = v.take(size)
		return item, checkBytes(item.Kind, item.Bytes)
	}
	return item, nil
}

// length reads a u32 that must not exceed what is left.
func (v *Values) length() (int, error) {
	data, err := v.take(4)
	if err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(data)
	if uint64(n) > uint64(len(v.rest)) {
		return 0, formatError("a value of length %d leaves the block", n)
	}
	return int(n), nil
}

func (v *Values) take(n int) ([]byte, error) {
	if len(v.rest) < n {
		return nil, formatError("a value leaves the block")
	}
	data := v.rest[:n:n]
	v.rest = v.rest[n:]
	return data, nil
}

func checkBytes(kind Kind, data []byte) error {
	switch kind {
	case KindText:
		return checkText(data)
	case KindJSON:
		if !json.Valid(data) || !utf8.Valid(data) {
			return formatError("a json value is not JSON")
		}
	case KindNumeric:
		if !isNumeric(data) {
			return formatError("a numeric value is not a decimal number of 1000 digits at most")
		}
	}
	return nil
}

func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return formatError("a text value is not UTF-8")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return formatError("a text value contains NUL")
	}
	return nil
}

func isNumeric(data []byte) bool {
	if len(data) > 0 && (data[0] == '-' || data[0] == '+') {
		data = data[1:]
	}
	if len(data) == 0 || len(data) > 1000 {
		return false
	}
	points := 0
	for i, c := range data {
		switch {
		case c == '.' && points == 0 && i > 0 && i < len(data)-1:
			points++
		case c < '0' || c > '9':
			return false
		}
	}
	return true
}
