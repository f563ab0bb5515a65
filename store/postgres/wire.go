package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pupwasm/pupwasm/store"
)

// wireType is how a declared type travels. Numeric goes as text, which PostgreSQL reads exactly; the rest goes in
// binary.
type wireType struct {
	name     string // in SQL
	oid      uint32
	arrayOID uint32
}

var wireTypes = map[store.Kind]wireType{
	store.KindBool:      {"boolean", pgtype.BoolOID, pgtype.BoolArrayOID},
	store.KindI64:       {"bigint", pgtype.Int8OID, pgtype.Int8ArrayOID},
	store.KindF64:       {"double precision", pgtype.Float8OID, pgtype.Float8ArrayOID},
	store.KindNumeric:   {"numeric", pgtype.NumericOID, pgtype.NumericArrayOID},
	store.KindText:      {"text", pgtype.TextOID, pgtype.TextArrayOID},
	store.KindBytes:     {"bytea", pgtype.ByteaOID, pgtype.ByteaArrayOID},
	store.KindJSON:      {"jsonb", pgtype.JSONBOID, pgtype.JSONBArrayOID},
	store.KindTimestamp: {"timestamp with time zone", pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID},
	store.KindUUID:      {"uuid", pgtype.UUIDOID, pgtype.UUIDArrayOID},
}

// sqlType is the declared type's name in PostgreSQL, as format_type prints it.
func sqlType(t store.Type) string {
	if t.Array {
		return wireTypes[t.Kind].name + "[]"
	}
	return wireTypes[t.Kind].name
}

func oidOf(t store.Type) uint32 {
	if t.Array {
		return wireTypes[t.Kind].arrayOID
	}
	return wireTypes[t.Kind].oid
}

const (
	textFormat   int16 = 0
	binaryFormat int16 = 1
)

func formatOf(t store.Type) int16 {
	if t.Kind == store.KindNumeric {
		return textFormat
	}
	return binaryFormat
}

// microsTo2000 is what PostgreSQL's epoch, the year 2000, is after 1970, in microseconds.
const microsTo2000 = 946684800000000

// timestampToWire keeps what is before PostgreSQL's time out of its range, where the server refuses it: the plain
// difference would wrap around to the far future, or be the value that means -infinity.
func timestampToWire(micros int64) uint64 {
	return uint64(max(micros, math.MinInt64+microsTo2000+1) - microsTo2000)
}

// timestampFromWire refuses infinity and the last thirty years that PostgreSQL knows, which have no such number.
func timestampFromWire(wire int64) (store.Value, error) {
	if wire == math.MinInt64 || wire > math.MaxInt64-microsTo2000 {
		return store.Value{}, errors.New("a timestamptz is infinite or out of range")
	}
	return store.Timestamp(wire + microsTo2000), nil
}

func timeFromWire(value []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(value)) + microsTo2000).UTC()
}

// parameters collects the encoded parameters of one statement. The bytes share one buffer, which may move while it
// grows, so that the slices are cut at the end.
type parameters struct {
	buffer []byte
	ends   []int // of each parameter; negative for NULL
}

func (p *parameters) reset() { p.buffer, p.ends = p.buffer[:0], p.ends[:0] }

// add encodes one value for a parameter of a type.
func (p *parameters) add(t store.Type, v store.Value) {
	switch {
	case v.IsNull():
		p.ends = append(p.ends, -1)
		return
	case t.Array:
		p.buffer = appendArray(p.buffer, t.Kind, len(v.Elements()), func(i int) store.Value { return v.Elements()[i] })
	default:
		p.buffer = appendScalar(p.buffer, v)
	}
	p.ends = append(p.ends, len(p.buffer))
}

// addList encodes elements as an array parameter.
func (p *parameters) addList(kind store.Kind, count int, element func(i int) store.Value) {
	p.buffer = appendArray(p.buffer, kind, count, element)
	p.ends = append(p.ends, len(p.buffer))
}

// addColumn encodes one column of a step as an array parameter.
func (p *parameters) addColumn(kind store.Kind, step *store.Step, column int) {
	p.addList(kind, step.Count, func(i int) store.Value { return step.Values[i*step.Width+column] })
}

// values returns the parameters. They are valid until the next reset.
func (p *parameters) values() [][]byte {
	values := make([][]byte, len(p.ends))
	start := 0
	for i, end := range p.ends {
		if end >= 0 {
			values[i] = p.buffer[start:end:end]
			start = end
		}
	}
	return values
}

func appendScalar(dst []byte, v store.Value) []byte {
	switch v.Kind {
	case store.KindBool:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case store.KindI64, store.KindF64:
		return binary.BigEndian.AppendUint64(dst, v.Bits())
	case store.KindTimestamp:
		return binary.BigEndian.AppendUint64(dst, timestampToWire(v.Int()))
	case store.KindJSON:
		return append(append(dst, 1), v.Bytes()...) // the version of binary jsonb
	default:
		return append(dst, v.Bytes()...)
	}
}

func appendArray(dst []byte, kind store.Kind, count int, element func(i int) store.Value) []byte {
	if kind == store.KindNumeric {
		return appendTextArray(dst, count, element)
	}
	dimensions := uint32(1)
	if count == 0 {
		dimensions = 0
	}
	dst = binary.BigEndian.AppendUint32(dst, dimensions)
	dst = binary.BigEndian.AppendUint32(dst, 1) // there may be NULLs
	dst = binary.BigEndian.AppendUint32(dst, wireTypes[kind].oid)
	if count == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(count))
	dst = binary.BigEndian.AppendUint32(dst, 1) // lower bound
	for i := range count {
		dst = appendSized(dst, element(i))
	}
	return dst
}

// appendSized writes a scalar behind its size, which is below 0 for NULL.
func appendSized(dst []byte, v store.Value) []byte {
	if v.IsNull() {
		return binary.BigEndian.AppendUint32(dst, 1<<32-1)
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendScalar(dst, v)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// appendTextArray writes an array of numbers in text form, which needs no quotes.
func appendTextArray(dst []byte, count int, element func(i int) store.Value) []byte {
	dst = append(dst, '{')
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v := element(i); v.IsNull() {
			dst = append(dst, "NULL"...)
		} else {
			dst = append(dst, v.Bytes()...)
		}
	}
	return append(dst, '}')
}

// resultExpression is a column of a query's result in a form that decodeResult reads: what has a binary form of
// its own in PostgreSQL travels as text.
func resultExpression(column string, t store.Type) string {
	expression := fmt.Sprintf("%s::%s", column, sqlType(t))
	if t.Kind == store.KindNumeric || t.Kind == store.KindJSON {
		if t.Array {
			return expression + "::text[]"
		}
		return expression + "::text"
	}
	return expression
}

// decodeResult reads a value of a query's result in binary format. It copies.
func decodeResult(t store.Type, data []byte) (store.Value, error) {
	if data == nil {
		return store.Null(), nil
	}
	if t.Array {
		return decodeArray(t.Kind, data)
	}
	return decodeScalar(t.Kind, data)
}

// fixedWidths are the sizes in bytes of the kinds that have one.
var fixedWidths = map[store.Kind]int{
	store.KindBool: 1, store.KindI64: 8, store.KindF64: 8, store.KindTimestamp: 8, store.KindUUID: 16,
}

func decodeScalar(kind store.Kind, data []byte) (store.Value, error) {
	if width, fixed := fixedWidths[kind]; fixed && len(data) != width {
		return store.Value{}, fmt.Errorf("a %s has %d bytes", kind, len(data))
	}
	switch kind {
	case store.KindBool:
		return store.Bool(data[0] != 0), nil
	case store.KindI64:
		return store.I64(int64(binary.BigEndian.Uint64(data))), nil
	case store.KindF64:
		return store.Word(store.KindF64, binary.BigEndian.Uint64(data)), nil
	case store.KindTimestamp:
		return timestampFromWire(int64(binary.BigEndian.Uint64(data)))
	default:
		return store.BytesOf(kind, append([]byte(nil), data...)), nil
	}
}

// elementsOf is how many elements an array has, by its own head, which the length of its data bounds. A scalar has
// none.
func elementsOf(t store.Type, data []byte) int {
	if !t.Array || len(data) < arrayHead+8 {
		return 0
	}
	return min(int(binary.BigEndian.Uint32(data[arrayHead:])), len(data)/4)
}

// arrayHead is the length of what comes before the dimensions of an array.
const arrayHead = 12

func decodeArray(kind store.Kind, data []byte) (store.Value, error) {
	if len(data) < arrayHead {
		return store.Value{}, fmt.Errorf("an array has %d bytes", len(data))
	}
	dimensions := binary.BigEndian.Uint32(data)
	if dimensions == 0 {
		return store.ArrayOf(kind, nil), nil
	}
	if dimensions != 1 || len(data) < arrayHead+8 {
		return store.Value{}, fmt.Errorf("an array has %d dimensions, one is possible", dimensions)
	}
	elements := make([]store.Value, elementsOf(store.Type{Kind: kind, Array: true}, data))
	data = data[arrayHead+8:]
	for i := range elements {
		size := int32(binary.BigEndian.Uint32(data))
		data = data[4:]
		if size < 0 {
			continue
		}
		element, err := decodeScalar(kind, data[:size])
		if err != nil {
			return store.Value{}, err
		}
		elements[i], data = element, data[size:]
	}
	return store.ArrayOf(kind, elements), nil
}
