package store

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// RowsRequest asks for rows of a table.
type RowsRequest struct {
	Projection *Projection // as it is installed, and valid, or as [Projections.Published] returns it
	Table      string      // one of its tables
	// Key asks for the rows that hold this partition key. A table that is not owned has none. nil asks for all rows.
	Key []byte
	// Where asks for the rows that have these values. Columns of arrays and of JSON cannot be compared. A column of a
	// view without a type of its own ([KindNull]) is compared as text.
	Where []ColumnValue
	// Ordered asks for the order of the table's key.
	Ordered bool
	Limit   int // the most rows; 0 for all
}

// ColumnValue is a value that a column is to have, of the column's type.
type ColumnValue struct {
	Column string
	Value  Value
}

// Condition is a value that a column is to have, with the declaration of the column.
type Condition struct {
	Column Column
	Value  Value
	Key    bool // the column is part of the table's key
}

// Conditions returns the table that is asked for, and what Key and Where ask of its rows: columns of the key come first.
// possible is false where no row can have the key.
//
// # Errors
//
// [*InputError].
func (r *RowsRequest) Conditions() (table *Table, conditions []Condition, possible bool, err error) {
	table, known := r.Projection.Table(r.Table)
	if !known {
		return nil, nil, false, UnknownTable(r.Projection.Name, r.Table)
	}
	if r.Key != nil {
		value, ok := table.KeyValue(r.Key)
		if !ok {
			return table, nil, false, nil
		}
		_, column, _ := table.Mark()
		conditions = append(conditions, Condition{Column: column, Value: value, Key: true})
	}
	for _, w := range r.Where {
		column, known := table.Column(w.Column)
		if !known {
			return nil, nil, false, &InputError{
				Field:  "column " + w.Column,
				Reason: fmt.Sprintf("is not one of %s: it has %s", table.Name, strings.Join(table.columnNames(), ", ")),
			}
		}
		if err := column.comparable(w.Value); err != nil {
			return nil, nil, false, err
		}
		conditions = append(conditions, Condition{
			Column: column, Value: w.Value, Key: slices.Contains(table.Key, w.Column),
		})
	}
	slices.SortStableFunc(conditions, func(a, b Condition) int {
		switch {
		case a.Key == b.Key:
			return 0
		case a.Key:
			return -1
		}
		return 1
	})
	return table, conditions, true, nil
}

// comparable refuses a value that the column cannot be compared with.
func (c *Column) comparable(v Value) error {
	of := c.Type
	if of.Kind == KindNull {
		of.Kind = KindText
	}
	switch {
	case of.Array || of.Kind == KindJSON:
		return &InputError{Field: "column " + c.Name, Reason: fmt.Sprintf("is %s, which cannot be compared", of)}
	case v.IsNull() || !of.Accepts(v):
		return &InputError{Field: "column " + c.Name, Reason: fmt.Sprintf("is %s, the value is %s", of,
			Type{Kind: v.Kind, Array: v.Array})}
	}
	return nil
}

func (t *Table) columnNames() []string {
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
	}
	return names
}

// KeyValue returns the value that the rows of a partition key have in the column that is marked for it. It is not ok
// where no row can have the key: the table is not owned, or the column's type has no such value.
func (t *Table) KeyValue(key []byte) (value Value, ok bool) {
	_, column, marked := t.Mark()
	if !marked || !column.Partition {
		return Value{}, false
	}
	text := string(key)
	switch column.Type.Kind {
	case KindI64:
		n, err := strconv.ParseInt(text, 10, 64)
		return I64(n), err == nil && strconv.FormatInt(n, 10) == text
	case KindBool:
		return Bool(text == "true"), text == "true" || text == "false"
	case KindUUID:
		id, err := ParseUUID(text)
		return BytesOf(KindUUID, id[:]), err == nil && id.String() == text
	case KindNumeric:
		canonical, err := CanonicalNumeric(key)
		return BytesOf(KindNumeric, canonical), err == nil && bytes.Equal(canonical, key)
	default:
		return Text(text), utf8.Valid(key) && bytes.IndexByte(key, 0) < 0
	}
}

// AppendKeyText appends the text that a value has as a partition key: [Table.KeyValue] makes the value of it. The value
// is one that a partition column may have.
func (v Value) AppendKeyText(dst []byte) []byte {
	switch v.Kind {
	case KindI64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case KindUUID:
		return UUID(v.Bytes()).append(dst)
	case KindNumeric:
		canonical, err := CanonicalNumeric(v.Bytes())
		if err != nil { // it is none
			canonical = v.Bytes()
		}
		return append(dst, canonical...)
	default:
		return append(dst, v.Bytes()...)
	}
}
