package puptest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// tables is the database: rows by table.
type tables struct {
	d    *description
	rows map[string]*rows
}

type rows struct {
	decl  *catalogue.Table
	byKey map[string][]any // a table without a key uses the number of the row
	order []string         // keys in the order of insertion
}

func newTables(d *description) *tables {
	t := &tables{d: d, rows: map[string]*rows{}}
	for i := range d.Tables {
		t.rows[d.Tables[i].Name] = &rows{decl: &d.Tables[i], byKey: map[string][]any{}}
	}
	return t
}

// apply does to a row what a database would do. SQL statements and messages are ignored.
func (t *tables) apply(m *mutation) error {
	if m.write == nil || m.write.SQL != nil {
		return nil
	}
	r := t.rows[m.write.Table]
	if t.d.Order != catalogue.OrderGlobal && r.decl.Ownership() == catalogue.Shared {
		m = r.normalised(m)
	}
	keyWidth := len(r.decl.Key)
	key := fmt.Sprint(len(r.order))
	if keyWidth > 0 {
		key = rowKey(m.values[:keyWidth])
	}
	row, exists := r.byKey[key]
	switch m.write.Action {
	case catalogue.Delete:
		r.remove(key)
		return nil
	case catalogue.Insert:
		if exists {
			return fmt.Errorf("write %q: table %s has a row of that key: %s", m.write.Name, r.decl.Name, r.format(row))
		}
	case catalogue.InsertIgnore:
		if exists {
			return nil
		}
	}
	changed, err := r.changed(m, row)
	if err != nil {
		return fmt.Errorf("write %q: %w", m.write.Name, err)
	}
	if !exists {
		r.order = append(r.order, key)
	}
	r.byKey[key] = changed
	return nil
}

// normalised returns a mutation of a shared table with one spelling for values that compare equal, and 0 for a
// NULL that is added where 0 is the default: otherwise the row would tell which segment came first.
func (r *rows) normalised(m *mutation) *mutation {
	values := make([]any, len(m.values))
	for i, value := range m.values {
		if n, ok := value.(Numeric); ok {
			value = canonical(n)
		}
		values[i] = value
	}
	for i, c := range m.write.Columns {
		if at := len(r.decl.Key) + i; c.Action == catalogue.ActionAdd && values[at] == nil {
			values[at] = defaultValue(&r.decl.Columns[columnIndex(r.decl, c.Name)])
		}
	}
	return &mutation{write: m.write, event: m.event, values: values}
}

// changed returns the row that a mutation makes out of a row, which is nil when it does not exist.
func (r *rows) changed(m *mutation, row []any) ([]any, error) {
	keyWidth := len(r.decl.Key)
	next := append([]any(nil), row...)
	if row == nil {
		next = make([]any, len(r.decl.Columns))
		for i, c := range r.decl.Columns {
			next[i] = defaultValue(&c)
		}
		for i, name := range r.decl.Key {
			next[columnIndex(r.decl, name)] = m.values[i]
		}
	}
	for i, c := range m.write.Columns {
		at, value := columnIndex(r.decl, c.Name), m.values[keyWidth+i]
		if row == nil {
			next[at] = value
			continue
		}
		merged, err := mergeValue(c.Action, row[at], value)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.Name, err)
		}
		next[at] = merged
	}
	for i, c := range r.decl.Columns {
		if next[i] == nil && c.Generated == nil && (c.NotNull || slices.Contains(r.decl.Key, c.Name)) {
			return nil, fmt.Errorf("column %q of table %s may not be null", c.Name, r.decl.Name)
		}
	}
	return next, nil
}

func (r *rows) remove(key string) {
	delete(r.byKey, key)
	for i := range r.order {
		if r.order[i] == key {
			r.order = append(r.order[:i], r.order[i+1:]...)
			return
		}
	}
}

// formatted returns all rows as text, sorted by key, or in the order of insertion when there is none.
func (r *rows) formatted() []string {
	keys := r.keys()
	lines := make([]string, len(keys))
	for i, key := range keys {
		lines[i] = r.format(r.byKey[key])
	}
	return lines
}

// keys returns the keys of all rows, sorted, or in the order of insertion when they are numbers.
func (r *rows) keys() []string {
	keys := append([]string(nil), r.order...)
	if len(r.decl.Key) > 0 {
		slices.Sort(keys)
	}
	return keys
}

func (r *rows) format(row []any) string { return r.formatSome(row, func(int) bool { return true }) }

// rowKey returns a text that sorts like the key, as far as people care, and is the same for equal keys only.
func rowKey(values []any) string {
	parts := make([]string, len(values))
	for i, value := range values {
		switch v := value.(type) {
		case int64:
			parts[i] = fmt.Sprintf("%020d", uint64(v)^1<<63)
		case string:
			parts[i] = v
		case Numeric:
			parts[i] = rational(v).RatString()
		default:
			parts[i] = format(value)
		}
	}
	return strings.Join(parts, "\x00")
}

func defaultValue(c *catalogue.Column) any {
	if c.Default == nil {
		return nil
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(c.Default)))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil
	}
	number, isNumber := value.(json.Number)
	switch {
	case !isNumber:
		return value
	case c.Type.Kind == catalogue.KindI64:
		n, _ := number.Int64()
		return n
	case c.Type.Kind == catalogue.KindF64:
		f, _ := number.Float64()
		return f
	default:
		return Numeric(number)
	}
}
