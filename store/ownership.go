package store

import (
	"fmt"
	"slices"
)

// Ownership says who may change a row of a table. It decides which writes give the same rows under any division.
type Ownership int

const (
	// Shared rows are written by several segments at once, by changes whose order does not matter.
	Shared Ownership = iota
	// Owned rows have the partition key in a key column: one segment writes them, in order.
	Owned
	// PerEvent rows have the position or the id of an event in a key column: one event writes them.
	PerEvent
)

// String returns the ownership as a person reads it.
func (o Ownership) String() string {
	switch o {
	case Owned:
		return "owned"
	case PerEvent:
		return "per event"
	default:
		return "shared"
	}
}

// KeepsToKey reports whether a SQL statement with these members must use owned tables only.
func (p *Projection) KeepsToKey(partitionParam int, unordered bool) bool {
	return partitionParam > 0 && !unordered && p.Order != OrderGlobal
}

// Ownership returns who may change the table's rows.
func (t *Table) Ownership() Ownership {
	switch c := t.marked(); {
	case c == nil:
		return Shared
	case c.Partition:
		return Owned
	default:
		return PerEvent
	}
}

// Mark returns the place within the key of the column that holds the partition key, the position or the id of an
// event, or false for a shared table.
func (t *Table) Mark() (place int, column Column, marked bool) {
	c := t.marked()
	if c == nil {
		return 0, Column{}, false
	}
	return slices.Index(t.Key, c.Name), *c, true
}

func (t *Table) marked() *Column {
	for i := range t.Columns {
		if c := &t.Columns[i]; c.mark() != "" && slices.Contains(t.Key, c.Name) {
			return c
		}
	}
	return nil
}

// mark returns the method of the SDK that marks the column, or "".
func (c *Column) mark() string {
	switch {
	case c.Partition:
		return "Partition"
	case c.Position:
		return "Position"
	case c.EventID:
		return "EventID"
	}
	return ""
}

// Division returns what the events are divided by: the stream if nothing is declared, or all events are in one order.
func (p *Projection) Division() Partition {
	if p.Partition == nil || p.Order == OrderGlobal {
		return Partition{By: PartitionStream}
	}
	return *p.Partition
}

// markKinds are the types of a column, or of a parameter, that can hold a partition key: their values have one
// text each.
var markKinds = []Kind{KindText, KindI64, KindUUID, KindBool, KindNumeric}

// validateMarks checks the marks of a table's columns by themselves.
func (t *Table) validateMarks() string {
	first := ""
	for i := range t.Columns {
		c := &t.Columns[i]
		mark := c.mark()
		if mark == "" {
			continue
		}
		if c.Partition && (c.Position || c.EventID) || c.Position && c.EventID {
			return fmt.Sprintf("column %.60q has two marks: it holds the partition key, the position or the event's id",
				c.Name)
		}
		if !slices.Contains(t.Key, c.Name) {
			return fmt.Sprintf("column %.60q is marked %s, which only a key column can be: declare it "+
				"pup.%s(%q).Key().%s()",
				c.Name, mark, constructor(c.Type), c.Name, mark)
		}
		if first != "" {
			return fmt.Sprintf("columns %.60q and %.60q are both marked, a table has one mark at most", first, c.Name)
		}
		first = c.Name
		switch {
		case c.Type.Array:
			return fmt.Sprintf("column %.60q is %s, which cannot be marked", c.Name, c.Type)
		case c.Partition && !slices.Contains(markKinds, c.Type.Kind):
			return fmt.Sprintf("column %.60q is %s: a partition key is held by text, i64, uuid, bool or numeric",
				c.Name, c.Type)
		case c.Position && c.Type.Kind != KindI64:
			return fmt.Sprintf("column %.60q is %s: a position is held by i64", c.Name, c.Type)
		case c.EventID && c.Type.Kind != KindUUID:
			return fmt.Sprintf("column %.60q is %s: an event's id is held by uuid", c.Name, c.Type)
		}
	}
	return ""
}

// validatePartition checks what the events are divided by.
func (p *Projection) validatePartition() string {
	if p.Partition == nil {
		return ""
	}
	if err := p.Partition.validate(); err != nil {
		return err.Error()
	}
	if p.Order == OrderGlobal && !p.Partition.ByStream() {
		return fmt.Sprintf("is by %s, but with ordering %q all events are applied in one order and nothing is "+
			"divided: leave out one of them",
			p.Partition, OrderGlobal)
	}
	return ""
}

// validateOwnership checks that what the projection writes and reads does not depend on how its events are
// divided. The rest of the declaration must be valid.
func (p *Projection) validateOwnership() error {
	if p.Order == OrderGlobal {
		return nil
	}
	for i := range p.Tables {
		if t := &p.Tables[i]; t.Ownership() == Shared {
			if reason := p.validateShared(t); reason != "" {
				return &CatalogueError{Item: fmt.Sprintf("table %.60q", t.Name), Reason: reason}
			}
		}
	}
	for i := range p.Writes {
		if w := &p.Writes[i]; w.SQL != nil && !w.Unordered {
			if reason := p.validateStatement(w.SQL, w.PartitionParam); reason != "" {
				return &CatalogueError{Item: fmt.Sprintf("write %.60q", w.Name), Reason: reason}
			}
		}
	}
	for i := range p.Queries {
		if reason := p.validateQueryOwnership(&p.Queries[i]); reason != "" {
			return &CatalogueError{Item: fmt.Sprintf("query %.60q", p.Queries[i].Name), Reason: reason}
		}
	}
	return nil
}

// validateStatement checks that a statement without a promise of its author keeps to rows of the key in its parameter.
func (p *Projection) validateStatement(sql Statement, parameter int) string {
	const promise = ".Unordered(), if its outcome is the same in any order of the events, or choose Ordering: " +
		"pup.OrderGlobal"
	if parameter == 0 {
		return "is sql, and nothing shows that it keeps to rows of one partition key, while several segments run " +
			"it at once: name the parameter that holds the key, .PartitionParam(1), or add " + promise
	}
	named := 0
	for _, dialect := range dialects {
		other := ""
		_, err := p.ExpandTables(sql[dialect], func(name string) string {
			if t, _ := p.Table(name); t.Ownership() != Owned && other == "" {
				other = name
			}
			named++
			return name
		})
		if err != nil {
			return err.Error()
		}
		if other != "" {
			return fmt.Sprintf("names table %q, whose key has no column marked as the partition key, so that its "+
				"rows are of many keys: %s, or add %s",
				other, p.markHint(other), promise)
		}
	}
	if named == 0 {
		return "names no table as {name}, so that nothing shows that its rows are of one partition key: add " + promise
	}
	return ""
}

func (p *Projection) validateQueryOwnership(q *Query) string {
	if q.Unordered {
		return ""
	}
	if q.SQL != nil {
		return p.validateStatement(q.SQL, q.PartitionParam)
	}
	const promise = "add .Unordered(), if the rows of the projection do not depend on when it runs, or choose " +
		"Ordering: pup.OrderGlobal"
	t, _ := p.Table(q.Table)
	switch t.Ownership() {
	case Owned:
		return ""
	case PerEvent:
		return fmt.Sprintf("loads from table %.60q, whose rows are each of one event, so that what it finds "+
			"depends on how far other segments are: %s",
			t.Name, promise)
	default:
		return fmt.Sprintf("loads from table %.60q, which several segments write at once, so that what it finds "+
			"depends on how far they are: %s, or %s",
			t.Name, p.markHint(t.Name), promise)
	}
}
