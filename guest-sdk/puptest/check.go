package puptest

import (
	"fmt"
	"strconv"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// checkMutation checks that a mutation changes a row that its event may change, as the host does and in its words.
func (d *description) checkMutation(m *mutation, e *event) error {
	w := m.write
	place, name, c := d.checked(w.SQL, w.Table, w.PartitionParam)
	if place < 0 {
		return nil
	}
	value := m.values[place]
	text, what, own, shown := keyText(value), "partition key", e.key, fmt.Sprintf("%.100q (by %s)", e.key, d.Division())
	switch {
	case c.Position:
		what, own, shown = "position", keyText(e.Position), keyText(e.Position)
	case c.EventID:
		what, own, shown = "id", keyText(UUID(e.ID)), keyText(UUID(e.ID))
	}
	if value != nil && text == own {
		return nil
	}
	return e.fault(fmt.Sprintf("write %q, %s: is %s, but the %s of the event is %s, and an event may change rows of its own only",
		w.Name, name, shownKey(value), what, shown))
}

// checkQuery checks that a query asks for rows of the batch's keys only: those of others are at another point in time.
func (d *description) checkQuery(q *catalogue.Query, args []any, events []event) error {
	place, name, c := d.checked(q.SQL, q.Table, q.PartitionParam)
	if place < 0 || c.Position || c.EventID || q.Unordered {
		return nil
	}
	asked, many := args[place].([]any)
	if !many {
		asked = args[place : place+1]
	}
	known := map[string]bool{}
	for i := range events {
		known[events[i].key] = true
	}
	for _, value := range asked {
		if value == nil || !known[keyText(value)] {
			return fmt.Errorf("query %q, %s: asks for %s, which is the partition key (by %s) of no event of the batch",
				q.Name, name, shownKey(value), d.Division())
		}
	}
	return nil
}

// checked returns which value of a write or query has to be of the event, with its name and column, or -1.
func (d *description) checked(sql catalogue.Statement, table string, parameter int) (place int, name string,
	c catalogue.Column,
) {
	if d.Order == catalogue.OrderGlobal {
		return -1, "", c
	}
	if sql != nil {
		return parameter - 1, fmt.Sprintf("parameter $%d", parameter), c
	}
	t, _ := d.Table(table)
	place, c, marked := t.Mark()
	if !marked {
		return -1, "", c
	}
	return place, fmt.Sprintf("column %q", c.Name), c
}

// keyText returns the text that a value has as a partition key.
func keyText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case Numeric:
		return string(canonical(v))
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return format(value) // a boolean or a UUID
}

func shownKey(value any) string {
	if value == nil {
		return "NULL"
	}
	return fmt.Sprintf("%.100q", keyText(value))
}
