// Package arrays writes arrays as JSON, for databases without arrays of their own: true and false, integers, floats (NaN
// and infinity as strings), strings for text and numeric, lower-case hex for bytes and uuid, microseconds for timestamptz,
// and for json a string that holds the element's JSON, so that an element null differs from NULL.
package arrays

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/pupwasm/pupwasm/store"
)

// Append writes an array. check refuses elements that the database would not take; it is not asked about floats, which
// may be NaN here.
func Append(dst []byte, kind store.Kind, elements []store.Value, check func(store.Value) error) ([]byte, error) {
	dst = append(dst, '[')
	for i, v := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.IsNull() {
			dst = append(dst, "null"...)
			continue
		}
		if v.Kind != kind || v.Array {
			return nil, fmt.Errorf("element %d of an array is %s, declared is %s", i,
				store.Type{Kind: v.Kind, Array: v.Array}, kind)
		}
		var err error
		if v.Kind != store.KindF64 {
			err = check(v)
		}
		if err == nil {
			dst, err = appendElement(dst, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendElement(dst []byte, v store.Value) ([]byte, error) {
	switch v.Kind {
	case store.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case store.KindI64, store.KindTimestamp:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case store.KindF64:
		return appendFloat(dst, v.Float()), nil
	case store.KindNumeric:
		text, err := store.AddNumeric(v.Bytes(), []byte("0")) // without plus sign and leading zeros
		return appendString(dst, text), err
	case store.KindText, store.KindJSON:
		return appendString(dst, v.Bytes()), nil
	default:
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, v.Bytes())
		return append(dst, '"'), nil
	}
}

// appendFloat writes the shortest text that reads back as the same number, with a point or an exponent, so that
// functions for JSON see a float.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

func appendString(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// Count is how many elements the JSON of an array has at most: one more than it has commas outside of strings.
func Count(text []byte) int {
	elements, within := 1, false
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case c == '"':
			within = !within
		case within && c == '\\':
			at++
		case !within && c == ',':
			elements++
		}
	}
	return elements
}

// Decode reads what Append wrote, or what a statement made by a function that aggregates.
func Decode(kind store.Kind, text []byte) (store.Value, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil || raw == nil {
		return store.Value{}, errors.New("an array is not a JSON array")
	}
	elements := make([]store.Value, len(raw))
	for i, element := range raw {
		if string(element) == "null" {
			continue
		}
		var err error
		if elements[i], err = decodeElement(kind, element); err != nil {
			return store.Value{}, fmt.Errorf("element %d of an array: %w", i, err)
		}
	}
	return store.ArrayOf(kind, elements), nil
}

func decodeElement(kind store.Kind, element json.RawMessage) (store.Value, error) {
	switch kind {
	case store.KindBool:
		switch string(element) {
		case "true", "1":
			return store.Bool(true), nil
		case "false", "0":
			return store.Bool(false), nil
		}
		return store.Value{}, fmt.Errorf("%s is not a bool", element)
	case store.KindI64, store.KindTimestamp:
		number, err := strconv.ParseInt(string(element), 10, 64)
		if kind == store.KindTimestamp {
			return store.Timestamp(number), err
		}
		return store.I64(number), err
	case store.KindF64:
		return decodeFloat(element)
	case store.KindNumeric:
		number := bytes.Trim(element, `"`)
		_, _, err := store.ParseNumeric(number)
		return store.BytesOf(kind, bytes.Clone(number)), err
	case store.KindText:
		var s string
		err := json.Unmarshal(element, &s)
		return store.Text(s), err
	case store.KindJSON:
		var s string
		if json.Unmarshal(element, &s) == nil && json.Valid([]byte(s)) {
			return store.BytesOf(kind, []byte(s)), nil
		}
		return store.BytesOf(kind, bytes.Clone(element)), nil
	default:
		data, err := hex.DecodeString(string(bytes.Trim(element, `"`)))
		if err == nil && kind == store.KindUUID && len(data) != len(store.UUID{}) {
			err = fmt.Errorf("a uuid has %d bytes", len(data))
		}
		return store.BytesOf(kind, data), err
	}
}

func decodeFloat(element json.RawMessage) (store.Value, error) {
	switch string(element) {
	case `"NaN"`:
		return store.F64(math.NaN()), nil
	case `"Infinity"`:
		return store.F64(math.Inf(1)), nil
	case `"-Infinity"`:
		return store.F64(math.Inf(-1)), nil
	}
	number, err := strconv.ParseFloat(string(element), 64)
	return store.F64(number), err
}
