package abi_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// value is one value as a whole: what the tests build, compare and show.
type value struct {
	kind     abi.Kind
	array    bool
	word     uint64
	bytes    string
	elements []value
}

var kindNames = []string{"null", "bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz", "uuid"}

var null = value{}

func boolean(v bool) value {
	if v {
		return value{kind: abi.KindBool, word: 1}
	}
	return value{kind: abi.KindBool}
}

func i64(v int64) value   { return value{kind: abi.KindI64, word: uint64(v)} }
func f64(v float64) value { return value{kind: abi.KindF64, word: math.Float64bits(v)} }

func timestamp(micros int64) value            { return value{kind: abi.KindTimestamp, word: uint64(micros)} }
func text(v string) value                     { return value{kind: abi.KindText, bytes: v} }
func bytesOf(kind abi.Kind, v string) value   { return value{kind: kind, bytes: v} }
func arrayOf(kind abi.Kind, e ...value) value { return value{kind: kind, array: true, elements: e} }

// append encodes the value with the package's own functions.
func (v value) append(dst []byte) []byte {
	if v.array {
		dst = abi.AppendArray(dst, v.kind, len(v.elements))
		for _, element := range v.elements {
			dst = element.append(dst)
		}
		return dst
	}
	switch v.kind {
	case abi.KindNull:
		return abi.AppendNull(dst)
	case abi.KindBool:
		return abi.AppendBool(dst, v.word != 0)
	case abi.KindI64:
		return abi.AppendI64(dst, int64(v.word))
	case abi.KindF64:
		return abi.AppendF64(dst, math.Float64frombits(v.word))
	case abi.KindTimestamp:
		return abi.AppendTimestamp(dst, int64(v.word))
	case abi.KindUUID:
		return abi.AppendUUID(dst, [16]byte([]byte(v.bytes)))
	default:
		return abi.AppendBytes(dst, v.kind, v.bytes)
	}
}

func appendValues(dst []byte, values ...value) []byte {
	for _, v := range values {
		dst = v.append(dst)
	}
	return dst
}

// readValue reads a value with its elements, as a caller that knows the specification does: elements are scalars of the
// array's kind or null, which Next leaves to its caller.
func readValue(values *abi.Values) (value, error) {
	item, err := values.Next()
	if err != nil {
		return value{}, err
	}
	if !item.Array {
		return scalar(item), nil
	}
	array := value{kind: item.Kind, array: true}
	for range item.Word {
		element, err := values.Next()
		if err != nil {
			return value{}, err
		}
		if element.Array || element.Kind != item.Kind && element.Kind != abi.KindNull {
			return value{}, fmt.Errorf("an array of kind %d has an element of another kind: %w", item.Kind,
				abi.ErrFormat)
		}
		array.elements = append(array.elements, scalar(element))
	}
	return array, nil
}

func readValues(values *abi.Values, count int) ([]value, error) {
	list := []value{}
	for range count {
		v, err := readValue(values)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func scalar(item abi.Item) value {
	return value{kind: item.Kind, word: item.Word, bytes: string(item.Bytes)}
}

func (v value) typeName() string {
	if v.array {
		return kindNames[v.kind] + "[]"
	}
	return kindNames[v.kind]
}

// MarshalJSON writes the readable form, which testdata/README.md explains: {"i64":"-5"}, {"text[]":["a",null]}, null.
func (v value) MarshalJSON() ([]byte, error) {
	if v.kind == abi.KindNull {
		return []byte("null"), nil
	}
	var content any = v.readable()
	if v.array {
		elements := make([]any, len(v.elements))
		for i, element := range v.elements {
			if element.kind != abi.KindNull {
				elements[i] = element.readable()
			}
		}
		content = elements
	}
	return json.Marshal(map[string]any{v.typeName(): content})
}

// UnmarshalJSON reads the readable form.
func (v *value) UnmarshalJSON(data []byte) error {
	*v = value{}
	if string(data) == "null" {
		return nil
	}
	var typed map[string]json.RawMessage
	if err := json.Unmarshal(data, &typed); err != nil {
		return err
	}
	for name, content := range typed {
		base, array := strings.CutSuffix(name, "[]")
		for kind := range kindNames {
			if kindNames[kind] == base {
				v.kind = abi.Kind(kind)
			}
		}
		if !array {
			return v.parse(content)
		}
		v.array = true
		var elements []json.RawMessage
		if err := json.Unmarshal(content, &elements); err != nil {
			return err
		}
		for _, content := range elements {
			element := value{kind: v.kind}
			if string(content) == "null" {
				element = null
			} else if err := element.parse(content); err != nil {
				return err
			}
			v.elements = append(v.elements, element)
		}
	}
	return nil
}

// readable is the content of a scalar: numbers as text, since JSON's numbers lose digits in many languages.
func (v value) readable() any {
	switch v.kind {
	case abi.KindBool:
		return v.word != 0
	case abi.KindI64, abi.KindTimestamp:
		return strconv.FormatInt(int64(v.word), 10)
	case abi.KindF64:
		return strconv.FormatFloat(math.Float64frombits(v.word), 'g', -1, 64)
	case abi.KindBytes, abi.KindUUID:
		return hex.EncodeToString([]byte(v.bytes))
	default:
		return v.bytes
	}
}

// quietNaN is the bit pattern that "NaN" stands for: Go's own has a payload.
const quietNaN = 0x7ff8000000000000

func (v *value) parse(content []byte) error {
	if v.kind == abi.KindBool {
		if string(content) == "true" {
			v.word = 1
		}
		return nil
	}
	var s string
	if err := json.Unmarshal(content, &s); err != nil {
		return err
	}
	switch v.kind {
	case abi.KindI64, abi.KindTimestamp:
		number, err := strconv.ParseInt(s, 10, 64)
		v.word = uint64(number)
		return err
	case abi.KindF64:
		number, err := strconv.ParseFloat(s, 64)
		v.word = math.Float64bits(number)
		if s == "NaN" {
			v.word = quietNaN
		}
		return err
	case abi.KindBytes, abi.KindUUID:
		raw, err := hex.DecodeString(s)
		v.bytes = string(raw)
		return err
	}
	v.bytes = s
	return nil
}
