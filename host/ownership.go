package host

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/store"
)

// mark is what a value has to be, so that a row belongs to the event that changes it.
type mark int

const (
	unmarked mark = iota
	partitionKey
	position
	eventID
)

// rowCheck says what a write or a query is checked for. The zero value is nothing.
type rowCheck struct {
	mark     mark
	index    int    // among the values
	name     string // of the value, such as `column "fine_id"`
	numerics []int  // places of numbers that several segments write: equal ones must have one spelling
}

// prepareChecks derives what mutations and queries are checked for, and which fields of events that takes.
func (m *Module) prepareChecks() {
	p := &m.Description.Projection
	m.partition = p.Division()
	m.writeChecks = make([]rowCheck, len(p.Writes))
	m.queryChecks = make([]rowCheck, len(p.Queries))
	m.usesKeys = !m.partition.ByStream() || slices.Contains(m.columns, abi.PartitionKey)
	if p.Order != store.OrderGlobal {
		for i := range p.Writes {
			w := &p.Writes[i]
			m.writeChecks[i] = tableCheck(p, w.SQL, w.Table, w.PartitionParam)
			if table, ok := p.Table(w.Table); ok && table.Ownership() == store.Shared {
				m.writeChecks[i].numerics = numericIndexes(m.changes[i].types)
			}
		}
		for i := range p.Queries {
			if q := &p.Queries[i]; !q.Unordered {
				m.queryChecks[i] = tableCheck(p, q.SQL, q.Table, q.PartitionParam)
			}
		}
	}
	for _, check := range slices.Concat(m.writeChecks, m.queryChecks) {
		m.usesKeys = m.usesKeys || check.mark == partitionKey
		if check.mark == eventID {
			m.storeColumns |= store.ColumnEventID
		}
	}
	if m.usesKeys {
		m.storeColumns |= m.partition.Columns()
	}
	if len(p.Messages) > 0 {
		m.storeColumns |= messageColumns(p)
	}
}

func tableCheck(p *store.Projection, sql store.Statement, name string, parameter int) rowCheck {
	if sql != nil {
		if parameter == 0 {
			return rowCheck{}
		}
		return rowCheck{mark: partitionKey, index: parameter - 1, name: fmt.Sprintf("parameter $%d", parameter)}
	}
	table, _ := p.Table(name)
	place, column, marked := table.Mark()
	if !marked {
		return rowCheck{}
	}
	check := rowCheck{mark: partitionKey, index: place, name: fmt.Sprintf("column %q", column.Name)}
	switch {
	case column.Position:
		check.mark = position
	case column.EventID:
		check.mark = eventID
	}
	return check
}

func numericIndexes(types []store.Type) (places []int) {
	for i, t := range types {
		if t == (store.Type{Kind: store.KindNumeric}) {
			places = append(places, i)
		}
	}
	return places
}

// readKeys has the partition keys of a batch at hand, if the module needs them. An event whose key cannot be
// read is a fault.
func (g *Guest) readKeys(events []store.RecordedEvent) error {
	g.keys, g.keyTable = g.keys[:0], g.keyTable[:0]
	if !g.module.usesKeys {
		return nil
	}
	byStream := g.module.partition.ByStream()
	for i := range events {
		e := &events[i]
		key := e.Key
		if key == nil && !byStream {
			var err error
			if key, err = g.module.partition.Key(e); err != nil {
				fault := &Fault{Module: g.module.File, Reason: shorten(err.Error())}
				fault.setEvent(e)
				return fault
			}
		}
		if key == nil {
			key = e.StreamKey()
		}
		g.keys = append(g.keys, key)
	}
	return nil
}

// checkMutation checks the values of a mutation against the event that caused it, and gives numbers of shared
// tables one spelling.
func (g *Guest) checkMutation(write int, event *store.RecordedEvent, index int, values []store.Value) error {
	check := &g.module.writeChecks[write]
	for _, place := range check.numerics {
		if text := values[place].Bytes(); len(text) > 0 && !isCanonical(text) {
			canonical, err := store.CanonicalNumeric(text)
			if err != nil {
				return err
			}
			values[place] = store.BytesOf(store.KindNumeric, canonical)
		}
	}
	if check.mark == unmarked {
		return nil
	}
	value := values[check.index]
	switch check.mark {
	case position:
		if value.Int() == event.Position {
			return nil
		}
	case eventID:
		if bytes.Equal(value.Bytes(), event.ID[:]) {
			return nil
		}
	default:
		if !value.IsNull() && bytes.Equal(g.keyText(value), g.keys[index]) {
			return nil
		}
	}
	return g.foreignRow(write, event, index, value)
}

// foreignRow says that a mutation would change a row that is not the event's.
func (g *Guest) foreignRow(write int, event *store.RecordedEvent, index int, value store.Value) error {
	check := &g.module.writeChecks[write]
	what, own := "position", strconv.FormatInt(event.Position, 10)
	switch check.mark {
	case eventID:
		what, own = "id", event.ID.String()
	case partitionKey:
		what, own = "partition key", fmt.Sprintf("%.100q (by %s)", g.keys[index], g.module.partition)
	}
	return fmt.Errorf("write %q, %s: is %s, but the %s of the event is %s, and an event may change rows of its "+
		"own only",
		g.module.Description.Writes[write].Name, check.name, g.quoted(value), what, own)
}

func (g *Guest) quoted(value store.Value) string {
	if value.IsNull() {
		return "NULL"
	}
	return fmt.Sprintf("%.100q", g.keyText(value))
}

// keyText returns the text that a value has as a partition key. It is valid until it is called again.
func (g *Guest) keyText(value store.Value) []byte {
	switch value.Kind {
	case store.KindI64, store.KindBool, store.KindUUID:
		g.scratch = value.AppendKeyText(g.scratch[:0])
	case store.KindNumeric:
		if text := value.Bytes(); isCanonical(text) {
			return text
		}
		g.scratch, _ = store.CanonicalNumeric(value.Bytes()) // it was checked when it was decoded
	default:
		return value.Bytes()
	}
	return g.scratch
}

// isCanonical tells whether a numeric, which was checked, is what [store.CanonicalNumeric] makes of it.
func isCanonical(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	switch {
	case digits[0] == '+', digits[0] == '0' && len(digits) > 1 && digits[1] != '.':
		return false
	case bytes.IndexByte(digits, '.') >= 0:
		return digits[len(digits)-1] != '0'
	}
	return len(digits) == len(text) || digits[0] != '0'
}

// foreignKeyError says that a query asks for rows of a key that no event of the batch has.
type foreignKeyError string

// Error names the query and the key.
func (e foreignKeyError) Error() string { return string(e) }

// Is marks it as the guest's own doing.
func (foreignKeyError) Is(target error) bool { return target == errGuest }

// checkQuery checks that a query asks for rows of keys of the batch only: those of others are at another point in time.
func (g *Guest) checkQuery(query int, arguments []store.Value) error {
	check := &g.module.queryChecks[query]
	if check.mark != partitionKey {
		return nil
	}
	argument := arguments[check.index : check.index+1]
	if argument[0].Array {
		argument = argument[0].Elements()
	}
	for _, value := range argument {
		if value.IsNull() || !g.hasKey(g.keyText(value)) {
			return foreignKeyError(fmt.Sprintf("query %q, %s: asks for %s, which is the partition key (by %s) of "+
				"no event of the batch",
				g.module.Description.Queries[query].Name, check.name, g.quoted(value), g.module.partition))
		}
	}
	return nil
}

// hasKey tells whether an event of the batch has the key. The first call for a batch puts its keys into a
// hash table of their places.
func (g *Guest) hasKey(key []byte) bool {
	if len(g.keyTable) == 0 {
		size := 2
		for size < 2*len(g.keys) {
			size *= 2
		}
		g.keyTable = slices.Grow(g.keyTable, size)[:size]
		clear(g.keyTable)
		for i := range g.keys {
			if at := g.keySlot(g.keys[i]); g.keyTable[at] == 0 {
				g.keyTable[at] = int32(i + 1)
			}
		}
	}
	return g.keyTable[g.keySlot(key)] != 0
}

// keySlot returns where the place of a key is, or has to be, in the hash table, which always has room left.
func (g *Guest) keySlot(key []byte) uint32 {
	mask := uint32(len(g.keyTable) - 1)
	at := store.Spread(store.PartitionHashOf(key)) >> 7 & mask
	for g.keyTable[at] != 0 && !bytes.Equal(g.keys[g.keyTable[at]-1], key) {
		at = (at + 1) & mask
	}
	return at
}
