package store

// Ownership says who may change a row of a table: that decides which writes give the same rows whatever the division.
type Ownership int

const (
	// Shared rows are written by several segments at once. Only changes that come to the same in any order are possible.
	Shared Ownership = iota
	// Owned rows have the partition key in a key column: one segment writes them, in order.
	Owned
	// PerEvent rows have the position or the id of an event in a key column: one event writes them.
	PerEvent
)

// Ownership returns who may change the table's rows.
func (t *Table) Ownership() Ownership {
	for _, name := range t.Key {
		switch c, _ := t.Column(name); {
		case c.Partition:
			return Owned
		case c.Position, c.EventID:
			return PerEvent
		}
	}
	return Shared
}
