package puptest

import (
	"fmt"
)

// checkMutation checks that a mutation changes a row that its event may change.
func (d *description) checkMutation(m *mutation, e *event) error {
	if d.Ordering == "global" {
		return nil
	}
	w := m.write
	if w.SQL != nil {
		if w.PartitionParam == 0 {
			return nil
		}
		value := m.values[w.PartitionParam-1]
		if text := canonicalText(value); value == nil || text != e.key {
			return e.fault(fmt.Sprintf("write %q: parameter $%d is %.100q, which is not the partition key %.100q", w.Name, w.PartitionParam, text, e.key))
		}
		return nil
	}
	t := d.table(w.Table)
	c := t.marked()
	if c == nil {
		return nil
	}
	value := m.values[t.markedIndex()]
	text, want, what := canonicalText(value), e.key, "the partition key"
	switch {
	case c.Position:
		want, what = canonicalText(e.Position), "the event's position"
	case c.EventID:
		want, what = canonicalText(UUID(e.ID)), "the event's id"
	}
	if value == nil || text != want {
		return e.fault(fmt.Sprintf("write %q: column %q is %.100q, which is not %s %.100q", w.Name, c.Name, text, what, want))
	}
	return nil
}

// checkQuery checks that a query reads rows of the batch's keys only.
func (d *description) checkQuery(q *queryDecl, args []any, events []event) error {
	if d.Ordering == "global" || q.Unordered {
		return nil
	}
	at, what := q.PartitionParam-1, fmt.Sprintf("parameter $%d", q.PartitionParam)
	if q.SQL == nil {
		t := d.table(q.Table)
		if t.ownership() != owned {
			return nil
		}
		at, what = t.markedIndex(), fmt.Sprintf("column %q", t.marked().Name)
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
		if text := canonicalText(value); value == nil || !known[text] {
			return fmt.Errorf("query %q: %s asks for %.100q, which is the partition key of no event of the batch", q.Name, what, text)
		}
	}
	return nil
}
