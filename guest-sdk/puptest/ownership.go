package puptest

import (
	"slices"
	"strconv"
)

// ownership says who may change a row of a table: that decides which writes give the same rows whatever the division.
type ownership int

const (
	shared   ownership = iota // several segments at once
	owned                     // the segment of the key that a key column holds
	perEvent                  // the event whose position or id a key column holds
)

// ownership returns who may change the table's rows.
func (t *tableDecl) ownership() ownership {
	switch c := t.marked(); {
	case c == nil:
		return shared
	case c.Partition:
		return owned
	}
	return perEvent
}

// marked returns the key column that is marked, or nil.
func (t *tableDecl) marked() *columnDecl {
	for _, name := range t.Key {
		if c := &t.Columns[t.column(name)]; c.Partition || c.Position || c.EventID {
			return c
		}
	}
	return nil
}

func (t *tableDecl) markedIndex() int {
	return slices.IndexFunc(t.Key, func(name string) bool { return name == t.marked().Name })
}

// canonicalText returns the text of a value as it is compared with a partition key.
func canonicalText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case Numeric:
		return string(canonicalNumeric(v))
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return format(value) // a boolean, a UUID
}
