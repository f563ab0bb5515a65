package puptest

import (
	"fmt"
	"strconv"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// checkMutation checks that a mutation changes a row that its event may change, as the host does.
func (d *description) checkMutation(m *mutation, e *event) error {
	if d.Order == catalogue.OrderGlobal {
		return nil
	}
	w := m.write
	if w.SQL != nil {
		if w.PartitionParam == 0 {
			return nil
		}
		value := m.values[w.PartitionParam-1]
		if text := keyText(value); value == nil || text != e.key {
			return e.fault(fmt.Sprintf("write %q: parameter $%d is %.100q, which is not the partition key %.100q", w.Name, w.PartitionParam, text, e.key))
		}
		return nil
	}
	t, _ := d.Table(w.Table)
	place, c, marked := t.Mark()
	if !marked {
		return nil
	}
	value := m.values[place]
	text, want, what := keyText(value), e.key, "the partition key"
	switch {
	case c.Position:
		want, what = keyText(e.Position), "the event's position"
	case c.EventID:
		want, what = keyText(UUID(e.ID)), "the event's id"
	}
	if value == nil || text != want {
		return e.fault(fmt.Sprintf("write %q: column %q is %.100q, which is not %s %.100q", w.Name, c.Name, text, what, want))
	}
	return nil
}

// checkQuery checks that a query reads rows of the batch's keys only.
func (d *description) checkQuery(q *catalogue.Query, args []any, events []event) error {
	if d.Order == catalogue.OrderGlobal || q.Unordered {
		return nil
	}
	at, what := q.PartitionParam-1, fmt.Sprintf("parameter $%d", q.PartitionParam)
	if q.SQL == nil {
		t, _ := d.Table(q.Table)
		place, c, marked := t.Mark()
		if !marked || !c.Partition {
			return nil
		}
		at, what = place, fmt.Sprintf("column %q", c.Name)
	}
	if at < 0 {
		return nil
	}
	asked, many := args[at].([]any)
	if !many {
		asked = args[at : at+1]
	}
	known := map[string]bool{}
	for i := range events {
		known[events[i].key] = true
	}
	for _, value := range asked {
		if text := keyText(value); value == nil || !known[text] {
			return fmt.Errorf("query %q: %s asks for %.100q, which is the partition key of no event of the batch", q.Name, what, text)
		}
	}
	return nil
}

// keyText returns the text of a value as it is compared with a partition key.
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
