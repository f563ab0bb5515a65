package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// validateShared checks that the rows of a table that several segments write come out the same in any order of the
// writes.
func (p *Projection) validateShared(t *Table) string {
	actions := map[string]*Write{} // the first write of each column
	for i := range p.Writes {
		w := &p.Writes[i]
		if w.SQL != nil || w.Table != t.Name {
			continue
		}
		if reason := p.validateSharedWrite(t, w, actions); reason != "" {
			return reason
		}
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if len(actions) == 0 && !p.declares(t) || slices.Contains(t.Key, c.Name) {
			continue
		}
		action := Action("")
		if w := actions[c.Name]; w != nil {
			action = w.actionOf(c.Name)
		}
		if reason := p.validateSharedColumn(t, c, action); reason != "" {
			return reason
		}
	}
	return ""
}

// declares reports whether a declarative write puts rows into the table.
func (p *Projection) declares(t *Table) bool {
	return slices.ContainsFunc(p.Writes, func(w Write) bool { return w.SQL == nil && w.Table == t.Name })
}

func (p *Projection) validateSharedWrite(t *Table, w *Write, actions map[string]*Write) string {
	const why = ", but several segments write its rows at once: "
	switch {
	case len(t.Key) == 0:
		return fmt.Sprintf("write %.60q inserts in the order of events%sgive it a key, "+
			"pup.I64(\"position\").Key().Position(), which is one row an event, or %s",
			w.Name, why, globalHint)
	case w.Action == Insert:
		return fmt.Sprintf("write %.60q inserts, which fails or not by the order of events%s%s", w.Name, why,
			p.waysOut(t))
	case w.Action == Delete:
		return fmt.Sprintf("write %.60q deletes, whose outcome depends on the order of events%s%s", w.Name, why,
			p.waysOut(t))
	case w.Action == InsertIgnore && len(w.Columns) > 0:
		return fmt.Sprintf("write %.60q keeps the first %.60q, which depends on the order of events%s%s", w.Name,
			w.Columns[0].Name, why, p.waysOut(t))
	}
	for i := range w.Columns {
		c := &w.Columns[i]
		switch c.Action {
		case ActionSet:
			return fmt.Sprintf("write %.60q sets %.60q, which depends on the order of events%s%s", w.Name, c.Name, why,
				p.waysOut(t))
		case ActionIfNull:
			return fmt.Sprintf("write %.60q keeps the first %.60q (if-null), which depends on the order of events%s%s",
				w.Name, c.Name, why, p.waysOut(t))
		}
		if first := actions[c.Name]; first == nil {
			actions[c.Name] = w
		} else if other := first.actionOf(c.Name); other != c.Action {
			return fmt.Sprintf("column %.60q has action %s in write %.60q and %s in write %.60q, whose outcome "+
				"depends on the order of events%suse one action a column, or %s",
				c.Name, other, first.Name, c.Action, w.Name, why, p.waysOut(t))
		}
	}
	return ""
}

func (w *Write) actionOf(column string) Action {
	at := slices.IndexFunc(w.Columns, func(c WriteColumn) bool { return c.Name == column })
	return w.Columns[at].Action
}

// validateSharedColumn checks what a row holds before a write has filled the column, which must not bear on what
// it holds then.
func (p *Projection) validateSharedColumn(t *Table, c *Column, action Action) string {
	if (action == ActionAdd || action == "") && bytes.Equal(bytes.TrimSpace(c.Default), []byte("0")) || !c.NotNull &&
		len(c.Default) == 0 {
		return ""
	}
	has := "is NOT NULL without default"
	if len(c.Default) > 0 {
		has = fmt.Sprintf("has default %.60s", c.Default)
	}
	right := fmt.Sprintf("pup.%s(%q)", constructor(c.Type), c.Name)
	switch action {
	case ActionAdd:
		return fmt.Sprintf("column %.60q %s, so that a sum depends on which segment writes a row first: declare "+
			"it %s, or %s.Default(0), or %s",
			c.Name, has, right, right, p.waysOut(t))
	case "":
		return fmt.Sprintf("column %.60q %s, and no write fills it, while several segments write its rows at "+
			"once: declare it %s, or %s",
			c.Name, has, right, p.waysOut(t))
	default:
		return fmt.Sprintf("column %.60q %s, so that its %s depends on which segment writes a row first: declare "+
			"it %s, or %s",
			c.Name, has, action, right, p.waysOut(t))
	}
}

const globalHint = "choose Ordering: pup.OrderGlobal"

// waysOut prints the line to add to a declaration whose writes depend on order.
func (p *Projection) waysOut(t *Table) string {
	hint := t.eventHint()
	if hint == "" {
		hint = p.markHint(t.Name)
	}
	return hint + ", or " + globalHint
}

// markHint prints the line that makes a table an owned one.
func (p *Projection) markHint(table string) string {
	t, _ := p.Table(table)
	do, name, kind := "add a key column that holds the partition key", "partition_key", typeOf(KindText)
	for _, key := range t.Key {
		if c, _ := t.Column(key); slices.Contains(markKinds, c.Type.Kind) && !c.Type.Array {
			do, name, kind = "mark the key column that holds the partition key", c.Name, c.Type
			break
		}
	}
	hint := fmt.Sprintf("%s, pup.%s(%q).Key().Partition()", do, constructor(kind), name)
	if by := p.Division(); !by.ByStream() {
		return fmt.Sprintf("%s (events are divided by %s)", hint, by)
	}
	member := strings.TrimSuffix(name, "_id")
	return fmt.Sprintf("%s: the stream's id, or a member that all events of the row have (Partition: pup.ByJSON(%q); docs/partition.md)", hint, member)
}

// eventHint prints the line that makes a table one of rows per event, where a key column is called as what it
// would hold.
func (t *Table) eventHint() string {
	for _, key := range t.Key {
		switch c, _ := t.Column(key); {
		case c.Type == typeOf(KindI64) && strings.HasSuffix(c.Name, "position"):
			return fmt.Sprintf("mark the key column that holds the event's position, pup.I64(%q).Key().Position()",
				c.Name)
		case c.Type == typeOf(KindUUID) && c.Name == "event_id":
			return fmt.Sprintf("mark the key column that holds the event's id, pup.UUID(%q).Key().EventID()", c.Name)
		}
	}
	return ""
}

func typeOf(kind Kind) Type { return Type{Kind: kind} }

// constructor returns the function of the SDK that declares a column of a type.
func constructor(t Type) string {
	switch t.Kind {
	case KindBool:
		return "Bool"
	case KindI64:
		return "I64"
	case KindF64:
		return "F64"
	case KindNumeric:
		return "Numeric"
	case KindBytes:
		return "Bytes"
	case KindJSON:
		return "JSON"
	case KindTimestamp:
		return "Timestamp"
	case KindUUID:
		return "UUID"
	default:
		return "Text"
	}
}
