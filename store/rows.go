package store

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// RowsRequest asks for rows of a table.
type RowsRequest struct {
	Projection *Projection // as it is installed; it must be valid
	Table      string      // one of its tables
	// Key asks for the rows that hold this partition key. A table that is not owned has none. nil asks for all rows.
	Key []byte
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
