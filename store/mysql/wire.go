package mysql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/internal/arrays"
)

// appendValue writes a value for a parameter of a type as a literal, which means the same in every sql_mode. An error
// says what is wrong with the value.
func appendValue(out []byte, t store.Type, v store.Value, key bool) ([]byte, error) {
	switch {
	case v.IsNull() && key:
		return out, errors.New("a key column is NULL")
	case v.IsNull():
		return append(out, "NULL"...), nil
	case !t.Accepts(v):
		return out, fmt.Errorf("a value is %s, declared is %s", store.Type{Kind: v.Kind, Array: v.Array}, t)
	case v.Array:
		text, err := arrays.Append(nil, t.Kind, v.Elements(), checkScalar)
		return appendText(out, text), err
	}
	return appendScalar(out, v)
}

func appendScalar(out []byte, v store.Value) ([]byte, error) {
	if err := checkScalar(v); err != nil {
		return out, err
	}
	switch v.Kind {
	case store.KindBool:
		return strconv.AppendBool(out, v.Bool()), nil
	case store.KindI64:
		return strconv.AppendInt(out, v.Int(), 10), nil
	case store.KindTimestamp:
		return appendTimestamp(out, v.Int()), nil
	case store.KindF64:
		return strconv.AppendFloat(out, v.Float(), 'e', -1, 64), nil
	case store.KindNumeric:
		return appendDecimal(out, v.Bytes())
	case store.KindText, store.KindJSON:
		return appendText(out, v.Bytes()), nil
	default:
		return appendBytes(out, v.Bytes()), nil
	}
}

// checkScalar refuses what PostgreSQL refuses and MariaDB would take or change in silence, and what MariaDB has no
// words for.
func checkScalar(v store.Value) error {
	switch v.Kind {
	case store.KindF64:
		if number := v.Float(); math.IsNaN(number) || math.IsInf(number, 0) {
			return fmt.Errorf("%v cannot be stored: MariaDB has no such number", number)
		}
	case store.KindText:
		if !utf8.Valid(v.Bytes()) || bytes.IndexByte(v.Bytes(), 0) >= 0 {
			return errors.New("a text is not UTF-8 without NUL")
		}
	case store.KindJSON:
		if !json.Valid(v.Bytes()) || !utf8.Valid(v.Bytes()) || store.HasEscapedNUL(v.Bytes()) {
			return errors.New(`a json value is not JSON text without \u0000`)
		}
	case store.KindUUID:
		if len(v.Bytes()) != len(store.UUID{}) {
			return fmt.Errorf("a uuid has %d bytes", len(v.Bytes()))
		}
	case store.KindTimestamp:
		if v.Int() < firstTimestamp || v.Int() > lastTimestamp {
			return errors.New("a time is before the year 1 or after 9999, which MariaDB cannot store")
		}
	}
	return nil
}

// The times that DATETIME holds, in microseconds since 1970.
const (
	firstTimestamp = -62_135_596_800_000_000
	lastTimestamp  = 253_402_300_799_999_999
)

// timestampForm is how MariaDB writes a DATETIME, in UTC.
const timestampForm = "2006-01-02 15:04:05.000000"

func appendTimestamp(out []byte, micros int64) []byte {
	out = append(out, "TIMESTAMP'"...)
	out = time.UnixMicro(micros).UTC().AppendFormat(out, timestampForm)
	return append(out, '\'')
}

// What DECIMAL(65,30) holds.
const (
	decimalDigits   = 35 // before the point
	decimalDecimals = 30
)

// errDecimal says that a numeric would be rounded or refused.
var errDecimal = fmt.Errorf("a numeric has more than %d digits before the point or %d behind it, which MariaDB cannot store",
	decimalDigits, decimalDecimals)

// appendDecimal writes a numeric without plus sign, and without zeros that say nothing.
func appendDecimal(out, text []byte) ([]byte, error) {
	digits := text
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		digits = text[1:]
	}
	whole, decimals, point := bytes.Cut(digits, []byte("."))
	if len(text) > decimalDigits || !areDigits(whole) || point && !areDigits(decimals) { // mostly it is none
		if _, _, err := store.ParseNumeric(text); err != nil {
			return out, err
		}
	}
	whole, decimals = bytes.TrimLeft(whole, "0"), bytes.TrimRight(decimals, "0")
	if len(whole) > decimalDigits || len(decimals) > decimalDecimals {
		return out, errDecimal
	}
	if text[0] == '-' {
		out = append(out, '-')
	}
	if len(whole) == 0 {
		whole = []byte("0")
	}
	out = append(out, whole...)
	if len(decimals) > 0 {
		out = append(append(out, '.'), decimals...)
	}
	return out, nil
}

func areDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// value reads a value of a row as the declared type, or as the driver gives it where there is none. It copies.
func (r *row) value(at int, t store.Type) (store.Value, error) {
	given := r.values[at]
	text, isText := given.([]byte)
	switch {
	case given == nil:
		return store.Null(), nil
	case t.Kind == store.KindNull:
		return r.stored(at), nil
	case t.Array && isText:
		return arrays.Decode(t.Kind, text)
	case t.Array:
	default:
		if v, ok := r.scalar(at, t.Kind); ok {
			return v, nil
		}
	}
	return store.Value{}, fmt.Errorf("result %d is %s, declared is %s", at+1, kindOf(given), t)
}

// kindOf names what the driver gives in the words of a declaration.
func kindOf(given any) string {
	switch given.(type) {
	case int64, uint64:
		return "an integer"
	case float32, float64:
		return "a float"
	default:
		return "text or bytes"
	}
}

// size is how many bytes a value has, and how many elements as an array.
func (r *row) size(at int, t store.Type) (bytes, elements int) {
	text, is := r.values[at].([]byte)
	if is && t.Array {
		elements = arrays.Count(text)
	}
	return len(text), elements
}

// stored reads a value that has no declared type.
func (r *row) stored(at int) store.Value {
	kind := store.KindBytes
	switch given := r.values[at].(type) {
	case int64:
		kind = store.KindI64
	case uint64:
		kind = store.KindNumeric
	case float32, float64:
		kind = store.KindF64
	case []byte:
		if utf8.Valid(given) {
			kind = store.KindText
		}
	}
	v, _ := r.scalar(at, kind)
	return v
}

func (r *row) scalar(at int, kind store.Kind) (v store.Value, ok bool) {
	switch kind {
	case store.KindBool:
		number, ok := r.integer(at)
		return store.Bool(number != 0), ok
	case store.KindI64:
		number, ok := r.integer(at)
		return store.I64(number), ok
	case store.KindF64:
		number, ok := r.float(at)
		return store.F64(number), ok
	case store.KindNumeric:
		return r.numeric(at)
	case store.KindTimestamp:
		moment, err := time.Parse(time.DateTime, r.text(at)) // and what follows of a second
		return store.Timestamp(moment.UnixMicro()), err == nil
	}
	text := bytes.Clone(r.bytes(at))
	switch kind {
	case store.KindText:
		ok = utf8.Valid(text)
	case store.KindJSON:
		ok = json.Valid(text)
	case store.KindUUID:
		ok = len(text) == len(store.UUID{})
	default:
		ok = true
	}
	return store.BytesOf(kind, text), ok
}

// integer takes decimals and floats without fraction too: SUM and ROUND give these.
func (r *row) integer(at int) (number int64, ok bool) {
	switch given := r.values[at].(type) {
	case int64:
		return given, true
	case float64:
		return int64(given), math.Trunc(given) == given && math.Abs(given) < 1<<63
	}
	whole, decimals, _ := bytes.Cut(r.bytes(at), []byte("."))
	number, err := strconv.ParseInt(string(whole), 10, 64)
	return number, err == nil && len(bytes.Trim(decimals, "0")) == 0
}

// float takes integers and decimals too.
func (r *row) float(at int) (number float64, ok bool) {
	if number, is := r.values[at].(float64); is {
		return number, true
	}
	number, err := strconv.ParseFloat(r.text(at), 64)
	return number, err == nil
}

// numeric takes integers and floats too: COUNT and AVG give these. MariaDB writes all decimals of a column.
func (r *row) numeric(at int) (store.Value, bool) {
	var text []byte
	switch given := r.values[at].(type) {
	case float64:
		text = strconv.AppendFloat(nil, given, 'f', -1, 64)
	default:
		text = bytes.Clone(r.bytes(at))
	}
	if bytes.IndexByte(text, '.') >= 0 {
		text = bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
	}
	_, _, err := store.ParseNumeric(text)
	return store.BytesOf(store.KindNumeric, text), err == nil
}
