package host

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/store"
)

// decodeReply reads the mutations of a reply against the catalogue, and makes its messages. Mutations and their values go
// into g's buffers, which the next batch overwrites; values point into reply. An error names what the guest got wrong.
func (g *Guest) decodeReply(reply []byte, events []store.RecordedEvent) ([]store.Mutation, error) {
	r, err := abi.DecodeReply(reply)
	if err != nil {
		return nil, err
	}
	if r.Status == abi.StatusError {
		fault := &Fault{Module: g.module.File, Reason: shorten(r.Message), Code: r.Code}
		if fault.Reason == "" {
			fault.Reason = fmt.Sprintf("reported error %d", r.Code)
		}
		if uint64(r.Event) < uint64(len(events)) {
			fault.setEvent(&events[r.Event])
		}
		return nil, fault
	}
	if limit := g.module.limits.MutationsMax; r.Count > limit {
		return nil, exceeded("a reply has %d mutations, the limit is %d: make batches smaller", r.Count, limit)
	}
	g.clearBuffers()
	g.beginMessages(len(events))
	values := &quota{what: "a reply", limit: g.module.limits.ValuesMax}
	for range r.Count {
		head, err := r.Mutation()
		if err != nil {
			return nil, err
		}
		if err := g.decodeMutation(r, head, events, values); err != nil {
			return nil, g.attributeToEvent(err, head.Event, events)
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	g.sortMessages()
	// The values are cut only now, since their buffer moves while it grows.
	at := 0
	for i := range g.mutations {
		m := &g.mutations[i]
		width := len(g.module.changes[m.Write].types)
		m.Values = g.values[at : at+width : at+width]
		at += width
	}
	return g.mutations, nil
}

// bufferedMax is how many values and mutations the buffers of a guest keep room for, from one batch to the next.
const bufferedMax = 1 << 16

// clearBuffers empties what the next reply is read into. A large one is not kept.
func (g *Guest) clearBuffers() {
	if cap(g.mutations) > bufferedMax {
		g.mutations = nil
	}
	if cap(g.values) > bufferedMax {
		g.values = nil
	}
	g.mutations, g.values = g.mutations[:0], g.values[:0]
}

// quota counts values, the elements of arrays among them, before there is room for them.
type quota struct {
	what        string
	used, limit int
}

func (q *quota) take(values int) error {
	if q.used += values; q.used > q.limit {
		return exceeded("%s has more than %d values: make batches smaller", q.what, q.limit)
	}
	return nil
}

func (g *Guest) decodeMutation(r *abi.Reply, head abi.Mutation, events []store.RecordedEvent, values *quota) error {
	if head.Write >= len(g.module.changes) {
		d := g.module.Description
		return fmt.Errorf("a mutation names write %d, the catalogue has %d writes and %d messages", head.Write,
			len(d.Writes), len(d.Messages))
	}
	c := &g.module.changes[head.Write]
	if head.Event >= len(events) {
		return fmt.Errorf("%s names event %d of a batch of %d", c, head.Event, len(events))
	}
	if head.Values != len(c.types) {
		return fmt.Errorf("%s takes %d values, %d were given", c, len(c.types), head.Values)
	}
	if err := values.take(len(c.types)); err != nil {
		return err
	}
	start := len(g.values)
	if err := g.decodeValues(r, c, values); err != nil {
		return err
	}
	if c.message != nil {
		err := g.makeMessage(c.message, &events[head.Event], head.Event, g.values[start:])
		g.values = g.values[:start]
		return err
	}
	if err := g.checkMutation(head.Write, &events[head.Event], head.Event, g.values[start:]); err != nil {
		return err
	}
	g.mutations = append(g.mutations, store.Mutation{Write: head.Write, Event: head.Event})
	return nil
}

// decodeValues appends the values of a mutation to g's.
func (g *Guest) decodeValues(r *abi.Reply, c *change, values *quota) error {
	for i, t := range c.types {
		if value, ok := decodeCommon(&r.Values, t); ok {
			g.values = append(g.values, value)
			continue
		}
		value, err := decodeValue(&r.Values, t, values)
		if errors.Is(err, errExceeded) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c, g.module.valueName(c, i), err)
		}
		if value.IsNull() && i < c.keys {
			return fmt.Errorf("%s, %s: a key is null", c, g.module.valueName(c, i))
		}
		g.values = append(g.values, value)
	}
	return nil
}

// attributeToEvent blames the event that a mutation names for what is wrong with it. A limit that is exceeded
// is another matter.
func (g *Guest) attributeToEvent(err error, event int, events []store.RecordedEvent) error {
	if event >= len(events) || errors.Is(err, errExceeded) {
		return err
	}
	fault := &Fault{Module: g.module.File, Reason: shorten(err.Error())}
	fault.setEvent(&events[event])
	return fault
}

// change is what a mutation names: a write, or a message, which are counted on from the writes.
type change struct {
	write   *store.Write       // nil for a message
	message *store.MessageType // nil for a write
	types   []store.Type       // of the values
	keys    int                // how many of the first values are a key
}

// String names the change.
func (c *change) String() string {
	if c.message != nil {
		return fmt.Sprintf("message %q", c.message.Name)
	}
	return fmt.Sprintf("write %q", c.write.Name)
}

// valueName names a value of a change, from 0: its column, its place among the parameters of a statement, or what it is
// of a message.
func (m *Module) valueName(c *change, i int) string {
	switch {
	case c.message != nil:
		return c.message.ParamName(i)
	case c.write.SQL != nil:
		return fmt.Sprintf("parameter $%d", i+1)
	}
	table, _ := m.Description.Table(c.write.Table)
	if i < len(table.Key) {
		return fmt.Sprintf("column %q", table.Key[i])
	}
	return fmt.Sprintf("column %q", c.write.Columns[i-len(table.Key)].Name)
}

// decodeCommon reads a value of a type that most values have. It reads nothing and reports false when it is
// another one, a null, or wrong in any way.
func decodeCommon(values *abi.Values, t store.Type) (store.Value, bool) {
	if t.Array {
		return store.Value{}, false
	}
	switch t.Kind {
	case store.KindI64, store.KindTimestamp:
		word, ok := values.Word(abi.Kind(t.Kind))
		return store.Word(t.Kind, word), ok
	case store.KindText:
		text, ok := values.Text()
		return store.BytesOf(store.KindText, text), ok
	}
	return store.Value{}, false
}

// decodeValue reads one value that has to be of a type or null. The elements of an array are counted before
// they are read.
func decodeValue(values *abi.Values, t store.Type, count *quota) (store.Value, error) {
	item, err := values.Next()
	if err != nil {
		return store.Value{}, err
	}
	if !item.Array {
		value := scalar(item)
		if !t.Accepts(value) {
			return store.Value{}, fmt.Errorf("is %s, must be %s", value.Kind, t)
		}
		return value, nil
	}
	if !t.Array || store.Kind(item.Kind) != t.Kind {
		return store.Value{}, fmt.Errorf("is %s[], must be %s", store.Kind(item.Kind), t)
	}
	if err := count.take(int(item.Word)); err != nil {
		return store.Value{}, err
	}
	elements := make([]store.Value, 0, item.Word)
	for range item.Word {
		element, err := values.Next()
		if err != nil {
			return store.Value{}, err
		}
		value := scalar(element)
		if element.Array || !value.IsNull() && value.Kind != t.Kind {
			return store.Value{}, fmt.Errorf("has an element that is not %s", t.Kind)
		}
		elements = append(elements, value)
	}
	return store.ArrayOf(t.Kind, elements), nil
}

func scalar(item abi.Item) store.Value {
	switch item.Kind {
	case abi.KindNull:
		return store.Null()
	case abi.KindBool:
		return store.Bool(item.Word != 0)
	case abi.KindI64:
		return store.I64(int64(item.Word))
	case abi.KindF64:
		return store.Word(store.KindF64, item.Word)
	case abi.KindTimestamp:
		return store.Timestamp(int64(item.Word))
	default:
		return store.BytesOf(store.Kind(item.Kind), item.Bytes)
	}
}
