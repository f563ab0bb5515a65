// Package rowtext writes the values of rows for people and for programs, and reads values that people write.
package rowtext

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/store"
)

// Of is a value as a person reads it, and gives it to [Parse]. It may have any characters: callers escape
// them for a terminal. NULL and a text that looks like it differ: the text, and an empty one, has quotes.
func Of(v store.Value) string {
	if v.Array {
		parts := make([]string, len(v.Elements()))
		for i, element := range v.Elements() {
			parts[i] = Of(element)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	switch v.Kind {
	case store.KindNull:
		return "NULL"
	case store.KindText:
		if text := string(v.Bytes()); text != "" && text != "NULL" {
			return text
		}
		return strconv.Quote(string(v.Bytes()))
	default:
		return plain(v)
	}
}

// plain is a value that is not NULL, without quotes.
func plain(v store.Value) string {
	switch v.Kind {
	case store.KindBool:
		return strconv.FormatBool(v.Bool())
	case store.KindI64:
		return strconv.FormatInt(v.Int(), 10)
	case store.KindF64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case store.KindTimestamp:
		return time.UnixMicro(v.Int()).UTC().Format(time.RFC3339Nano)
	case store.KindBytes:
		return hex.EncodeToString(v.Bytes())
	case store.KindUUID:
		return store.UUID(v.Bytes()).String()
	default: // numeric, text, JSON
		return string(v.Bytes())
	}
}

// AppendJSON writes a row as a JSON object with the columns in their order. Numbers are exact; bytes are in hex, times
// in RFC 3339.
func AppendJSON(dst []byte, columns []store.Column, values []store.Value) []byte {
	dst = append(dst, '{')
	for i := range columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(eventline.AppendText(dst, columns[i].Name), ':')
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
	text := plain(v)
	switch v.Kind {
	case store.KindBool, store.KindI64, store.KindF64, store.KindNumeric, store.KindJSON:
		compact := bytes.NewBuffer(dst)
		if json.Compact(compact, []byte(text)) == nil { // not so NaN
			return compact.Bytes()
		}
	}
	return eventline.AppendText(dst, text)
}

// Parse reads a value for a column of a type, as [Of] writes it without quotes. The zero type is that of a column without
// one, whose values are compared as text.
func Parse(of store.Type, text string) (store.Value, error) {
	wrong := func(form string) (store.Value, error) {
		return store.Value{}, fmt.Errorf("%.60q is no %s, such as %s", text, of, form)
	}
	if of.Array || of.Kind == store.KindJSON {
		return store.Value{}, fmt.Errorf("values of type %s cannot be compared", of)
	}
	switch of.Kind {
	case store.KindBool:
		if text != "true" && text != "false" {
			return wrong("true")
		}
		return store.Bool(text == "true"), nil
	case store.KindI64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return wrong("-42")
		}
		return store.I64(n), nil
	case store.KindF64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) {
			return wrong("0.5")
		}
		return store.F64(n), nil
	case store.KindNumeric:
		if _, _, err := store.ParseNumeric([]byte(text)); err != nil {
			return wrong("12.50")
		}
	case store.KindTimestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return wrong("2026-01-02T03:04:05Z")
		}
		return store.Timestamp(at.UnixMicro()), nil
	case store.KindBytes:
		data, err := hex.DecodeString(text)
		if err != nil {
			return wrong("00ff")
		}
		return store.BytesOf(of.Kind, data), nil
	case store.KindUUID:
		id, err := store.ParseUUID(text)
		if err != nil {
			return wrong("00000000-0000-0000-0000-000000000000")
		}
		return store.BytesOf(of.Kind, id[:]), nil
	default:
		of.Kind = store.KindText
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return store.Value{}, errors.New("a text is UTF-8 without NUL")
		}
	}
	return store.BytesOf(of.Kind, []byte(text)), nil
}
