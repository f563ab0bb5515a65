package hosttest

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Mark says what the value of a mutation has to be, so that the row is one of the event that caused it.
type Mark int

// What a value has to be.
const (
	MarkNone Mark = iota
	MarkPartitionKey
	MarkPosition
	MarkEventID
)

// mark sets what a mutation of a write is checked for.
func (p *Parameters) mark(d *description, w *describedWrite) {
	switch {
	case d.Ordering == "global":
		return
	case w.SQL != nil:
		if w.PartitionParam > 0 {
			p.Mark, p.MarkedIndex = MarkPartitionKey, w.PartitionParam-1
		}
		return
	}
	table := d.table(w.Table)
	for i, name := range table.Key {
		switch c := table.Columns[table.column(name)]; {
		case c.Partition:
			p.Mark, p.MarkedIndex = MarkPartitionKey, i
		case c.Position:
			p.Mark, p.MarkedIndex = MarkPosition, i
		case c.EventID:
			p.Mark, p.MarkedIndex = MarkEventID, i
		}
	}
}

// CheckRows checks that mutations of a batch, which [Catalogue.Mutations] has read, change rows of the events
// that caused them. A key that is a numeric is compared by its very text, which is less than a host has to
// do.
func (c *Catalogue) CheckRows(mutations []Mutation, events []Event) error {
	for _, m := range mutations {
		write, event := &c.Writes[m.Write], &events[m.Event]
		want := ""
		switch write.Mark {
		case MarkNone:
			continue
		case MarkPartitionKey:
			want = cmp.Or(event.PartitionKey, event.AggregateID)
		case MarkPosition:
			want = strconv.FormatInt(event.GlobalPosition, 10)
		case MarkEventID:
			want = uuidText(event.EventID[:])
		}
		got, err := write.markedText(m.Values)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("write %s changes row %.40q at event %d, whose rows are %.40q", write.Name, got,
				m.Event, want)
		}
	}
	return nil
}

// markedText returns the marked value of a mutation as text.
func (p *Parameters) markedText(encoded string) (string, error) {
	values := abi.NewValues([]byte(encoded))
	for i := range p.Types {
		item, err := values.Next()
		if err != nil {
			return "", err
		}
		if i == p.MarkedIndex {
			return itemText(item), nil
		}
		if !item.Array {
			continue
		}
		for range item.Word {
			if _, err := values.Next(); err != nil {
				return "", err
			}
		}
	}
	return "", fmt.Errorf("write %s has no value %d", p.Name, p.MarkedIndex+1)
}

func itemText(item abi.Item) string {
	switch item.Kind {
	case abi.KindNull:
		return "NULL"
	case abi.KindBool:
		return strconv.FormatBool(item.Word != 0)
	case abi.KindI64:
		return strconv.FormatInt(int64(item.Word), 10)
	case abi.KindUUID:
		return uuidText(item.Bytes)
	}
	return string(item.Bytes)
}

func uuidText(id []byte) string {
	return strings.Join([]string{
		fmt.Sprintf("%x", id[:4]), fmt.Sprintf("%x", id[4:6]), fmt.Sprintf("%x", id[6:8]),
		fmt.Sprintf("%x", id[8:10]), fmt.Sprintf("%x", id[10:]),
	}, "-")
}
