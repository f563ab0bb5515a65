package store

import (
	"slices"
	"strings"
)

// Plan returns the writes that the steps of a projection's transactions refer to: first the declared ones, with
// their indexes, then one for each shared table that several of them write to, and then an insert for each table of
// whose rows a segment may know that they are new, see [Folder.Follow].
//
// Transactions of several segments change rows of a shared table. They would deadlock if each locked the rows in
// an order of its own, so a transaction has one statement for such a table, whatever writes the rows come from.
// That is possible because the writes agree on the action of each column, and a column that a row leaves out can
// be given as NULL, or as 0 where that is the default.
func (p *Projection) Plan() []Write {
	plan := append([]Write(nil), p.Writes...)
	for t := range p.Tables {
		if writes := p.sharedWrites(t); len(writes) > 1 {
			plan = append(plan, p.combine(writes))
		}
	}
	for t := range p.Tables {
		if insert, ok := p.freshInsert(t); ok {
			plan = append(plan, insert)
		}
	}
	return plan
}

// sharedWrites returns the indexes of the declarative writes to a table, if it is a shared one.
func (p *Projection) sharedWrites(table int) (writes []int) {
	t := &p.Tables[table]
	if p.Order == OrderGlobal || t.Ownership() != Shared || len(t.Key) == 0 {
		return nil
	}
	for i := range p.Writes {
		if w := &p.Writes[i]; w.SQL == nil && w.Table == t.Name {
			writes = append(writes, i)
		}
	}
	return writes
}

// combine makes one write of several to one table, with all of their columns.
func (p *Projection) combine(writes []int) Write {
	combined := Write{Action: Upsert, Table: p.Writes[writes[0]].Table}
	var names []string
	seen := map[string]bool{}
	for _, i := range writes {
		names = append(names, p.Writes[i].Name)
		for _, c := range p.Writes[i].Columns {
			if !seen[c.Name] {
				seen[c.Name] = true
				combined.Columns = append(combined.Columns, c)
			}
		}
	}
	combined.Name = strings.Join(names, ", ")
	return combined
}

// sharedRow says how a mutation of a write to a shared table becomes a row of the plan.
type sharedRow struct {
	keyWidth int
	// by column of the plan's write: where its value is in the mutation, or -1 when the write leaves it out
	places []int
	absent []Value // by column: what NULL, or no value, comes to
	same   bool    // a mutation is such a row already, unless it has NULL
	row    []Value // is used again
}

// newSharedRow is for a write whose rows become rows of the write into.
func newSharedRow(table *Table, w, into *Write) *sharedRow {
	s := &sharedRow{keyWidth: len(table.Key)}
	for _, c := range into.Columns {
		place := -1
		for i := range w.Columns {
			if w.Columns[i].Name == c.Name {
				place = s.keyWidth + i
			}
		}
		column, _ := table.Column(c.Name)
		absent := Null()
		if len(column.Default) > 0 { // it is 0
			absent = zeroOf(column.Type.Kind)
		}
		s.places, s.absent = append(s.places, place), append(s.absent, absent)
	}
	s.same = w == into
	return s
}

func zeroOf(kind Kind) Value {
	if kind == KindNumeric {
		return BytesOf(KindNumeric, []byte("0"))
	}
	return I64(0)
}

// of returns the row of a mutation's values, valid until it is called again: the values themselves where nothing
// is to be changed.
func (s *sharedRow) of(values []Value) []Value {
	if s.same && !slices.ContainsFunc(values[s.keyWidth:], Value.IsNull) {
		return values
	}
	s.row = append(s.row[:0], values[:s.keyWidth]...)
	for i, place := range s.places {
		value := s.absent[i]
		if place >= 0 && !values[place].IsNull() {
			value = values[place]
		}
		s.row = append(s.row, value)
	}
	return s.row
}
