package store

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// RejectedError says that the database refused what a projection wrote or queried, and will refuse it again: a
// constraint, a value out of range, a missing column. The transaction was rolled back.
type RejectedError struct {
	Statement string      // the name of the write or query in the catalogue
	Row       RejectedRow // as far as it is known
	Reason    string      // in the database's words
}

// Error names the statement, the row and the column, with the database's reason, in one line.
func (e *RejectedError) Error() string {
	text := "the database refuses " + e.Statement + ": "
	if row := e.Row.String(); row != "" {
		text += row + ": "
	}
	return text + e.Reason
}

// RejectedRow is the row that a database refused. Its zero value is one that is not known.
type RejectedRow struct {
	Table   string // "" where a statement of the module has written
	Columns []RejectedColumn
}

// RejectedColumn is a column of the row, or a parameter of the module's statement.
type RejectedColumn struct {
	Name    string // or $1 for a parameter
	Value   string // quoted and cut; "" when it is not known
	Key     bool
	AtFault bool // the database refuses this value
}

// rejectedColumnsMax bounds the columns in an error when none of them is known to be at fault.
const rejectedColumnsMax = 8

// String names the table, the key, and the columns at fault: table fines, key id = "F1", column cents = NULL. When no
// column is known to be at fault, it has the others.
func (r *RejectedRow) String() string {
	var parts []string
	if r.Table != "" {
		parts = append(parts, "table "+r.Table)
	}
	atFault := slices.ContainsFunc(r.Columns, func(c RejectedColumn) bool { return c.AtFault })
	add := func(what string, of func(c *RejectedColumn) bool) {
		var named []string
		for i := range r.Columns {
			if c := &r.Columns[i]; of(c) {
				named = append(named, c.String())
			}
		}
		if more := len(named) - rejectedColumnsMax; more > 0 {
			named = append(named[:rejectedColumnsMax], fmt.Sprintf("and %d more", more))
		}
		if len(named) > 0 {
			parts = append(parts, what+" "+strings.Join(named, ", "))
		}
	}
	add("key", func(c *RejectedColumn) bool { return c.Key })
	if !atFault {
		add("with", func(c *RejectedColumn) bool { return !c.Key })
		return strings.Join(parts, ", ")
	}
	add("column", func(c *RejectedColumn) bool { return !c.Key && c.AtFault && !c.parameter() })
	add("parameter", func(c *RejectedColumn) bool { return c.AtFault && c.parameter() })
	return strings.Join(parts, ", ")
}

func (c *RejectedColumn) parameter() bool { return strings.HasPrefix(c.Name, "$") }

// String is the name with the value.
func (c *RejectedColumn) String() string {
	if c.Value == "" {
		return c.Name
	}
	return c.Name + " = " + c.Value
}

// Blame notes that a column is at fault.
func (r *RejectedRow) Blame(name string) {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			r.Columns[i].AtFault = true
			return
		}
	}
	r.Columns = append(r.Columns, RejectedColumn{Name: name, AtFault: true})
}

// RowShape is what the rows of a write have.
type RowShape struct {
	table string
	names []string
	keys  int // leading ones
	types []Type
}

// RowShape returns the shape of the rows of a write. The projection must be valid.
func (p *Projection) RowShape(w *Write) RowShape {
	shape := RowShape{table: w.Table, types: p.Parameters(w)}
	if w.SQL != nil {
		for i := range w.Params {
			shape.names = append(shape.names, fmt.Sprintf("$%d", i+1))
		}
		return shape
	}
	table, _ := p.Table(w.Table)
	shape.keys = len(table.Key)
	shape.names = append(shape.names, table.Key...)
	for _, c := range w.Columns {
		shape.names = append(shape.names, c.Name)
	}
	return shape
}

// Rejected returns a row of values that the database refused.
func (s *RowShape) Rejected(values []Value) RejectedRow {
	row := RejectedRow{Table: s.table}
	for i, name := range s.names {
		row.Columns = append(row.Columns, RejectedColumn{Name: name, Value: valueText(values[i]), Key: i < s.keys})
	}
	return row
}

// Blame finds out which columns of a row are at fault, and notes it: with another value there, accepts reports that
// the database accepts the row. A column of the key is not tried. An error of accepts ends the search.
func (s *RowShape) Blame(row *RejectedRow, values []Value, accepts func(values []Value) (bool, error)) {
	var found []string
	for i := s.keys; i < len(s.names); i++ {
		for _, instead := range substitutes(s.types[i]) {
			changed := slices.Clone(values)
			changed[i] = instead
			ok, err := accepts(changed)
			if err != nil {
				return
			}
			if ok {
				found = append(found, s.names[i])
				break
			}
		}
	}
	for _, name := range found {
		row.Blame(name)
	}
}

// substitutes are harmless values of a type. The second one is for a column that is NOT NULL.
func substitutes(t Type) []Value {
	if t.Array {
		return []Value{Null(), ArrayOf(t.Kind, nil)}
	}
	switch t.Kind {
	case KindNumeric, KindJSON:
		return []Value{Null(), BytesOf(t.Kind, []byte("0")), BytesOf(t.Kind, []byte("1"))}
	case KindText, KindBytes:
		return []Value{Null(), BytesOf(t.Kind, []byte{})}
	case KindUUID:
		return []Value{Null(), BytesOf(t.Kind, make([]byte, len(UUID{})))}
	case KindF64:
		return []Value{Null(), F64(0), F64(1)}
	}
	return []Value{Null(), Word(t.Kind, 0), Word(t.Kind, 1)}
}

// valueBytesMax bounds a value in an error.
const valueBytesMax = 60

// valueText is a value in one line, whatever it has in it.
func valueText(v Value) string {
	switch {
	case v.IsNull():
		return "NULL"
	case v.Array:
		return fmt.Sprintf("%d values", len(v.Elements()))
	}
	switch v.Kind {
	case KindBool:
		return strconv.FormatBool(v.Bool())
	case KindI64:
		return strconv.FormatInt(v.Int(), 10)
	case KindF64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case KindTimestamp:
		if at := time.UnixMicro(v.Int()).UTC(); at.Year() >= 1 && at.Year() <= 9999 {
			return at.Format(time.RFC3339Nano)
		}
		return fmt.Sprintf("%d µs since 1970", v.Int())
	case KindBytes, KindUUID:
		return cutValue(v.Bytes(), func(part []byte) string { return `\x` + hex.EncodeToString(part) })
	case KindNumeric:
		if _, _, err := ParseNumeric(v.Bytes()); err == nil && len(v.Bytes()) <= valueBytesMax {
			return string(v.Bytes())
		}
	}
	return cutValue(v.Bytes(), func(part []byte) string { return strconv.Quote(string(part)) })
}

// cutValue writes the beginning of a value, and how much there is of it when that is not all.
func cutValue(value []byte, write func(part []byte) string) string {
	if len(value) <= valueBytesMax {
		return write(value)
	}
	end := valueBytesMax
	for end > valueBytesMax-utf8.UTFMax && !utf8.RuneStart(value[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", write(value[:end]), len(value))
}

// reasonBytesMax bounds what a database says: it may have values in it, and texts of triggers.
const reasonBytesMax = 600

// CutReason shortens what a database has said, which is one line.
func CutReason(text string) string {
	if len(text) <= reasonBytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:reasonBytesMax], "") + "…"
}

// Readable returns the stream's name for people, of what is known of it: Shop/Order/o1. It is quoted where that is
// needed for one line.
func (s Stream) Readable() string {
	var parts []string
	for _, part := range []string{s.BoundedContext, s.AggregateType, s.AggregateID} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	name := strings.Join(parts, "/")
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}
