package abi_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/host/abi"
)

// event is one event of a batch in the tests, with its columns by id: int64, uint32, [16]byte or string.
type event map[abi.Column]any

// batch is a batch as a whole: what the tests build, compare and show.
type batch struct {
	segment, logLevel uint32
	columns           []columnForm
	events            []event
}

// columnForm is a column and how it is laid out.
type columnForm struct {
	id       abi.Column
	encoding abi.Encoding
}

var encodingNames = []string{"", "fixed4", "fixed8", "fixed16", "dictionary", "strings"}

// allColumns lists every column with the encoding that the host chooses.
func allColumns() []columnForm {
	return []columnForm{
		{abi.GlobalPosition, abi.Fixed8},
		{abi.AggregateVersion, abi.Fixed8},
		{abi.BoundedContext, abi.Dictionary},
		{abi.AggregateType, abi.Dictionary},
		{abi.AggregateID, abi.Strings},
		{abi.EventID, abi.Fixed16},
		{abi.EventType, abi.Dictionary},
		{abi.EventVersion, abi.Fixed4},
		{abi.Payload, abi.Strings},
		{abi.Metadata, abi.Strings},
		{abi.TraceID, abi.Strings},
		{abi.CorrelationID, abi.Strings},
		{abi.CausationID, abi.Strings},
		{abi.CreatedAt, abi.Fixed8},
		{abi.PartitionHash, abi.Fixed4},
	}
}

// encode lays the batch out with e. The block belongs to e.
func (b *batch) encode(e *abi.BatchEncoder) ([]byte, error) {
	e.Begin(abi.BatchHeader{Count: len(b.events), Segment: b.segment, LogLevel: b.logLevel}, len(b.columns))
	for _, c := range b.columns {
		switch c.encoding {
		case abi.Fixed4:
			e.Uint32s(c.id, func(i int) uint32 { return b.events[i][c.id].(uint32) })
		case abi.Fixed8:
			e.Int64s(c.id, func(i int) int64 { return b.events[i][c.id].(int64) })
		case abi.Fixed16:
			e.UUIDs(c.id, func(i int) [16]byte { return b.events[i][c.id].([16]byte) })
		case abi.Dictionary:
			e.Repeated(c.id, func(i int) string { return b.events[i][c.id].(string) })
		case abi.Strings:
			if c.id == abi.Payload || c.id == abi.Metadata {
				e.Bytes(c.id, func(i int) []byte { return []byte(b.events[i][c.id].(string)) })
			} else {
				e.Texts(c.id, func(i int) string { return b.events[i][c.id].(string) })
			}
		}
	}
	return e.Finish()
}

// block is encode with an encoder of its own, for batches that are known to fit.
func (b *batch) block() []byte {
	block, err := b.encode(&abi.BatchEncoder{})
	if err != nil {
		panic(err)
	}
	return block
}

// read takes everything that a decoded batch has through the accessors. The columns are those of like, which says
// what was laid out how: a decoded batch does not tell its encodings.
func read(decoded *abi.Batch, columns []columnForm) (*batch, error) {
	b := &batch{segment: decoded.Segment, logLevel: decoded.LogLevel, columns: columns}
	for i := range decoded.Count {
		e := event{}
		for _, c := range columns {
			if !decoded.Has(c.id) {
				return nil, fmt.Errorf("column %s is missing", c.id)
			}
			switch c.encoding {
			case abi.Fixed4:
				e[c.id] = decoded.Uint32(c.id, i)
			case abi.Fixed8:
				e[c.id] = decoded.Int64(c.id, i)
			case abi.Fixed16:
				e[c.id] = decoded.UUID(c.id, i)
			default:
				e[c.id] = string(decoded.Bytes(c.id, i))
			}
		}
		b.events = append(b.events, e)
	}
	return b, nil
}

// batchJSON is the readable form, which testdata/README.md explains.
type batchJSON struct {
	About    string `json:"about"`
	Segment  uint32 `json:"segment"`
	LogLevel uint32 `json:"log_level"`
	// LaterHost marks a block that no host of version 1 writes: see asLaterHost.
	LaterHost bool                `json:"later_host,omitempty"`
	Columns   []columnJSON        `json:"columns"`
	Events    []map[string]string `json:"events"`
}

type columnJSON struct {
	Name     string `json:"name"`
	Encoding string `json:"encoding"`
}

func (b *batch) readable(about string) *batchJSON {
	form := &batchJSON{About: about, Segment: b.segment, LogLevel: b.logLevel, Events: []map[string]string{}}
	for _, c := range b.columns {
		form.Columns = append(form.Columns, columnJSON{c.id.String(), encodingNames[c.encoding]})
	}
	for _, e := range b.events {
		fields := map[string]string{}
		for _, c := range b.columns {
			fields[c.id.String()] = readableField(e[c.id])
		}
		form.Events = append(form.Events, fields)
	}
	return form
}

// hexPrefix marks bytes that no JSON string can hold.
const hexPrefix = "hex:"

func readableField(field any) string {
	switch field := field.(type) {
	case int64:
		return strconv.FormatInt(field, 10)
	case uint32:
		return strconv.FormatUint(uint64(field), 10)
	case [16]byte:
		return hex.EncodeToString(field[:])
	default:
		s := field.(string)
		if !utf8.ValidString(s) {
			return hexPrefix + hex.EncodeToString([]byte(s))
		}
		return s
	}
}

func parseBatch(data []byte) (*batch, error) {
	var form batchJSON
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, err
	}
	b := &batch{segment: form.Segment, logLevel: form.LogLevel}
	for _, c := range form.Columns {
		id, known := abi.ColumnByName(c.Name)
		if !known {
			return nil, fmt.Errorf("column %q is unknown", c.Name)
		}
		for encoding := range encodingNames {
			if encodingNames[encoding] == c.Encoding {
				b.columns = append(b.columns, columnForm{id, abi.Encoding(encoding)})
			}
		}
	}
	for _, fields := range form.Events {
		e := event{}
		for _, c := range b.columns {
			field, err := parseField(fields[c.id.String()], c.encoding)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.id, err)
			}
			e[c.id] = field
		}
		b.events = append(b.events, e)
	}
	return b, nil
}

func parseField(s string, encoding abi.Encoding) (any, error) {
	switch encoding {
	case abi.Fixed4:
		number, err := strconv.ParseUint(s, 10, 32)
		return uint32(number), err
	case abi.Fixed8:
		return strconv.ParseInt(s, 10, 64)
	case abi.Fixed16:
		raw, err := hex.DecodeString(s)
		if err != nil || len(raw) != 16 {
			return nil, fmt.Errorf("%q is not a UUID in hexadecimal", s)
		}
		return [16]byte(raw), nil
	}
	if len(s) >= len(hexPrefix) && s[:len(hexPrefix)] == hexPrefix {
		raw, err := hex.DecodeString(s[len(hexPrefix):])
		return string(raw), err
	}
	return s, nil
}
