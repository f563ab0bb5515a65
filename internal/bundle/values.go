package bundle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/store"
)

// AppendRow writes the values of all columns of a table as a JSON object, except for generated columns unless they are
// asked for: the database computes these.
func AppendRow(dst []byte, table *store.Table, values []store.Value, generated bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range table.Columns {
		if table.Columns[i].Generated != nil && !generated {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(eventline.AppendText(dst, table.Columns[i].Name), ':')
		dst = appendValue(dst, values[i])
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v store.Value) []byte {
	switch {
	case v.IsNull():
		return append(dst, "null"...)
	case v.Array:
		dst = append(dst, '[')
		for i, element := range v.Elements() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, element)
		}
		return append(dst, ']')
	}
	switch v.Kind {
	case store.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case store.KindI64, store.KindTimestamp:
		return strconv.AppendInt(dst, v.Int(), 10)
	case store.KindF64:
		return appendFloat(dst, v.Float())
	case store.KindBytes:
		return eventline.AppendText(dst, base64.StdEncoding.EncodeToString(v.Bytes()))
	case store.KindUUID:
		return eventline.AppendText(dst, store.UUID(v.Bytes()).String())
	default:
		return eventline.AppendText(dst, string(v.Bytes()))
	}
}

func appendFloat(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return eventline.AppendText(dst, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// Value reads a value of a type as [AppendRow] writes it.
func Value(t store.Type, text json.RawMessage) (store.Value, error) {
	if string(text) == "null" {
		return store.Null(), nil
	}
	if !t.Array {
		return scalar(t.Kind, text)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &elements); err != nil || elements == nil {
		return store.Value{}, errors.New("is no array")
	}
	values := make([]store.Value, len(elements))
	for i, element := range elements {
		var err error
		if values[i], err = Value(store.Type{Kind: t.Kind}, element); err != nil {
			return store.Value{}, fmt.Errorf("element %d %w", i, err)
		}
	}
	return store.ArrayOf(t.Kind, values), nil
}

func scalar(kind store.Kind, text json.RawMessage) (store.Value, error) {
	wrong := fmt.Errorf("is no %s as bundles have them", kind)
	switch kind {
	case store.KindBool:
		return store.Bool(string(text) == "true"), only(string(text) == "true" || string(text) == "false", wrong)
	case store.KindI64, store.KindTimestamp:
		n, err := strconv.ParseInt(string(text), 10, 64)
		return store.Word(kind, uint64(n)), only(err == nil, wrong)
	case store.KindF64:
		if text[0] != '"' {
			n, err := strconv.ParseFloat(string(text), 64)
			return store.F64(n), only(err == nil, wrong)
		}
	}
	var plain string
	if json.Unmarshal(text, &plain) != nil || text[0] != '"' {
		return store.Value{}, wrong
	}
	value := store.BytesOf(kind, []byte(plain))
	switch kind {
	case store.KindF64:
		n, err := strconv.ParseFloat(plain, 64)
		return store.F64(n), only(err == nil && (math.IsNaN(n) || math.IsInf(n, 0)), wrong)
	case store.KindNumeric:
		_, _, err := store.ParseNumeric([]byte(plain))
		return value, only(err == nil, wrong)
	case store.KindJSON:
		return value, only(json.Valid([]byte(plain)), wrong)
	case store.KindBytes:
		data, err := base64.StdEncoding.DecodeString(plain)
		return store.BytesOf(kind, data), only(err == nil, wrong)
	case store.KindUUID:
		id, err := store.ParseUUID(plain)
		return store.BytesOf(kind, id[:]), only(err == nil, wrong)
	default:
		return value, only(utf8.ValidString(plain), wrong)
	}
}

// only returns the error unless all is right.
func only(right bool, wrong error) error {
	if right {
		return nil
	}
	return wrong
}
