package store

import (
	"slices"
	"strconv"
)

// segmentKeysBytesMax bounds the memory for the keys of a segment: half a million keys.
const segmentKeysBytesMax = 8 << 20

// SegmentKeys are the keys of all rows that a segment has written since the first event, as hashes. A row of another key
// is new, as far as the segment can tell: see [Folder.Follow]. When there are too many, none is known to be new any more.
type SegmentKeys struct {
	keyHasher
	slots []uint64 // by hash; a power of two, at least twice as many as are taken. nil when there are too many
	taken int
}

// NewSegmentKeys is for a segment that has not applied any event yet.
func NewSegmentKeys() *SegmentKeys {
	return &SegmentKeys{keyHasher: newKeyHasher(), slots: make([]uint64, slotsMin)}
}

// Forget gives the memory back. No key is known to be new any more.
func (k *SegmentKeys) Forget() { k.slots = nil }

// Bytes returns the memory that they take.
func (k *SegmentKeys) Bytes() int { return 8 * len(k.slots) }

// add notes a key, and reports that it is a new one. Two keys may have one hash: the second counts as known.
func (k *SegmentKeys) add(hash uint64) bool {
	if k.slots == nil {
		return false
	}
	hash = max(hash, 1) // 0 is a free slot
	slot := slotOf(k.slots, hash)
	if *slot == hash {
		return false
	}
	*slot = hash
	k.taken++
	if 2*k.taken > len(k.slots) {
		k.grow()
	}
	return true
}

func (k *SegmentKeys) grow() {
	var larger []uint64
	if 2*len(k.slots)*8 <= segmentKeysBytesMax {
		larger = make([]uint64, 2*len(k.slots))
		for _, hash := range k.slots {
			if hash != 0 {
				*slotOf(larger, hash) = hash
			}
		}
	}
	k.slots = larger
}

// slotOf is the slot of a hash, or the free one in which it belongs.
func slotOf(slots []uint64, hash uint64) *uint64 {
	for at := hash; ; at++ {
		if slot := &slots[at&uint64(len(slots)-1)]; *slot == 0 || *slot == hash {
			return slot
		}
	}
}

// Follow has the folder make one insert of all changes to a key that is not among those of the segment: the row is known
// whole, whatever writes it comes of. The folders of a segment have their keys together, and every mutation of the
// segment goes through them, from the first event on.
//
// Others may have written the row meanwhile, such as a person. Then the database refuses the insert. What was added is to
// be added again after that: its keys are known then.
func (f *Folder) Follow(keys *SegmentKeys) {
	f.keys, f.touched.keyHasher = keys, keys.keyHasher
}

// FreshRows reports whether there are inserts by Follow since the last Reset.
func (f *Folder) FreshRows() bool { return f.fresh }

// freshInsert returns the write of the plan by which rows of a table are inserted that are known whole. There is none
// where other segments, or SQL of the module, may write the same rows.
func (p *Projection) freshInsert(table int) (insert Write, ok bool) {
	t := &p.Tables[table]
	if p.HasSQL() || len(t.Key) == 0 || p.Order != OrderGlobal && t.Ownership() == Shared {
		return Write{}, false
	}
	for i := range p.Writes {
		w := &p.Writes[i]
		ok = ok || w.Table == t.Name && (w.Action == Upsert || w.Action == InsertIgnore)
	}
	insert = Write{Name: "new rows of " + t.Name, Action: Insert, Table: t.Name}
	for i := range t.Columns {
		if c := &t.Columns[i]; !slices.Contains(t.Key, c.Name) {
			insert.Columns = append(insert.Columns, WriteColumn{Name: c.Name})
		}
	}
	return insert, ok
}

// freshRow says how a mutation of a write becomes a part of a row that is known whole.
type freshRow struct {
	into    int     // the write of the plan
	absent  []Value // by value of the row: what it is where no write gives it
	places  []int   // by value of the mutation: where it is in the row
	notNull []bool  // by value of the mutation
	begins  bool    // the mutation can be the first one of a row
	row     []Value // is used again
}

// newFreshRow is for a write whose rows may be part of rows of the insert at an index of the plan.
func newFreshRow(table *Table, w, insert *Write, into int) *freshRow {
	f := &freshRow{into: into, begins: w.Action != Delete, absent: make([]Value, len(table.Key)+len(insert.Columns))}
	at := map[string]int{}
	for i, name := range table.Key {
		at[name] = i
	}
	for i := range insert.Columns {
		at[insert.Columns[i].Name] = len(table.Key) + i
	}
	given := map[string]bool{}
	give := func(name string) {
		column, _ := table.Column(name)
		given[name] = true
		f.places, f.notNull = append(f.places, at[name]), append(f.notNull, column.NotNull || slices.Contains(table.Key, name))
	}
	for _, name := range table.Key {
		give(name)
	}
	for i := range w.Columns {
		give(w.Columns[i].Name)
	}
	for i := range table.Columns {
		c := &table.Columns[i]
		value, known := c.defaultValue()
		f.absent[at[c.Name]] = value
		if !given[c.Name] && (!known || c.NotNull && value.IsNull()) {
			f.begins = false // the database is to say what the value is, or to refuse it
		}
	}
	return f
}

// holds reports that no value is NULL that must not be: the database is to refuse it.
func (f *freshRow) holds(values []Value) bool {
	for i, v := range values {
		if f.notNull[i] && v.IsNull() {
			return false
		}
	}
	return true
}

// of returns the row of its first mutation, valid until it is called again.
func (f *freshRow) of(values []Value) []Value {
	f.row = append(f.row[:0], f.absent...)
	for i, v := range values {
		f.row[f.places[i]] = v
	}
	return f.row
}

// mergeFresh changes a row that is known whole, and reports false when the database has to.
func (f *Folder) mergeFresh(w *foldWrite, row, values []Value) bool {
	switch {
	case w.Action == InsertIgnore:
		return true
	case w.Action != Upsert || !w.fresh.holds(values):
		return false
	}
	for i := range w.Columns {
		at := w.keyWidth + i
		if w.Columns[i].Action == ActionAdd && !canAdd(row[w.fresh.places[at]], values[at]) {
			return false
		}
	}
	for i := range w.Columns {
		at := w.keyWidth + i
		f.mergeValue(w.Columns[i].Action, &row[w.fresh.places[at]], values[at])
	}
	return true
}

// defaultValue is what a column has in a row that is inserted without it, as far as that can be told.
func (c *Column) defaultValue() (value Value, known bool) {
	if len(c.Default) == 0 {
		return Null(), true
	}
	switch c.Type.Kind { // validated with the table
	case KindI64:
		n, err := strconv.ParseInt(string(c.Default), 10, 64)
		return I64(n), err == nil
	case KindBool:
		return Bool(string(c.Default) == "true"), true
	case KindText:
		return Text(c.DefaultText()), true
	default: // databases write numbers with a fraction in ways of their own
		return Null(), false
	}
}
