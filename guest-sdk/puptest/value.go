package puptest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Values are held as nil, bool, int64, float64, string (text), []any (arrays) and the types below.
type (
	// Numeric is a decimal number as text.
	Numeric string
	// Timestamp is a point in time.
	Timestamp time.Time
	// UUID is a UUID.
	UUID [16]byte
)

const arrayBit = 0x80

// decodeValue reads one value, which must be of the kind or NULL.
func decodeValue(data []byte, want byte) (value any, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, fmt.Errorf("a value is missing")
	}
	kind := data[0]
	data = data[1:]
	if kind != 0 && kind != want {
		return nil, nil, fmt.Errorf("a value has kind %d, declared is %d", kind, want)
	}
	take := func(n int) []byte {
		if n < 0 || len(data) < n {
			err = fmt.Errorf("a value leaves the block")
			return make([]byte, 16)
		}
		taken := data[:n]
		data = data[n:]
		return taken
	}
	if kind&arrayBit != 0 {
		n := int(binary.LittleEndian.Uint32(take(4)))
		elements := []any{}
		for range n {
			var element any
			if element, data, err = decodeValue(data, kind&^arrayBit); err != nil {
				return nil, nil, err
			}
			elements = append(elements, element)
		}
		return elements, data, err
	}
	word := func() uint64 { return binary.LittleEndian.Uint64(take(8)) }
	text := func() string { return string(take(int(binary.LittleEndian.Uint32(take(4))))) }
	switch kind {
	case 0:
	case 1:
		value = take(1)[0] != 0
	case 2:
		value = int64(word())
	case 3:
		value = math.Float64frombits(word())
	case 4:
		value = Numeric(text())
	case 5:
		value = text()
	case 6:
		value = []byte(text())
	case 7:
		value = json.RawMessage(text())
	case 8:
		value = Timestamp(time.UnixMicro(int64(word())).UTC())
	case 9:
		value = UUID(take(16))
	}
	if err == nil {
		err = checkValue(value)
	}
	return value, data, err
}

func appendValue(dst []byte, value any, want byte) []byte {
	if value == nil {
		return append(dst, 0)
	}
	dst = append(dst, want)
	word := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }
	text := func(v string) []byte {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)))
		return append(dst, v...)
	}
	switch v := value.(type) {
	case bool:
		if v {
			return append(dst, 1)
		}
		return append(dst, 0)
	case int64:
		return word(uint64(v))
	case float64:
		return word(math.Float64bits(v))
	case Numeric:
		return text(string(v))
	case string:
		return text(v)
	case []byte:
		return text(string(v))
	case json.RawMessage:
		return text(string(v))
	case Timestamp:
		return word(uint64(time.Time(v).UnixMicro()))
	case UUID:
		return append(dst, v[:]...)
	case []any:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)))
		for _, element := range v {
			dst = appendValue(dst, element, want&^arrayBit)
		}
		return dst
	}
	panic(fmt.Sprintf("puptest: a value has the Go type %T", value))
}

// format writes a value as rows and mutations show it: text only in quotes where it could be taken for something else.
func format(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case Numeric:
		return string(v)
	case []byte:
		return `\x` + hex.EncodeToString(v)
	case json.RawMessage:
		return string(v)
	case Timestamp:
		return time.Time(v).Format(time.RFC3339Nano)
	case UUID:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[0:4], v[4:6], v[6:8], v[8:10], v[10:])
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = format(v[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		if v == "" || v == "null" || strings.ContainsAny(v, " \t\n\"=,[]\\") || strconv.Quote(v) != `"`+v+`"` {
			return strconv.Quote(v)
		}
		return v
	}
	return fmt.Sprint(value)
}
