package puptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// description is what a projection declares, as the host reads it.
type description struct {
	catalogue.Projection

	Text    string   `json:"description"`
	Columns []string `json:"columns"`
	OnError string   `json:"on_error"`
	Limits  struct {
		MemoryMiB   int `json:"memory_mib"`
		BatchEvents int `json:"batch_events"`
		BatchMillis int `json:"batch_ms"`
	} `json:"limits"`
}

// parseDescription reads a description without checking it.
func parseDescription(text []byte) (*description, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	d := &description{}
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("its description cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return d, nil
}

// columnIndex returns the place of a column in a table.
func columnIndex(t *catalogue.Table, name string) int {
	return slices.IndexFunc(t.Columns, func(c catalogue.Column) bool { return c.Name == name })
}

// names returns the name of what a mutation is of, and those of its values: the columns of a declarative write, $1, $2, …,
// or what the values of a message are.
func (d *description) names(m *mutation) (name string, names []string) {
	if m.message != nil {
		return m.message.Name, append(m.message.Names(), "data")
	}
	w := m.write
	if w.SQL != nil {
		for i := range w.Params {
			names = append(names, fmt.Sprintf("$%d", i+1))
		}
		return w.Name, names
	}
	t, _ := d.Table(w.Table)
	names = append(names, t.Key...)
	for _, c := range w.Columns {
		names = append(names, c.Name)
	}
	return w.Name, names
}

// kinds returns types as the bytes that their values have in the ABI.
func kinds(types []catalogue.Type) []byte {
	all := make([]byte, len(types))
	for i, t := range types {
		all[i] = byte(t.Kind)
		if t.Array {
			all[i] |= arrayBit
		}
	}
	return all
}

// wants tells whether the projection subscribes to an event.
func (d *description) wants(e *Event) bool {
	selected := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return selected(d.Subscription.BoundedContexts, e.BoundedContext) &&
		selected(d.Subscription.AggregateTypes, e.AggregateType) &&
		selected(d.Subscription.EventTypes, e.Type)
}

// setKey gives an event the key by which the projection divides its events.
func (d *description) setKey(e *event) {
	recorded := catalogue.RecordedEvent{
		AggregateID: e.AggregateID, Payload: e.payload, Metadata: json.RawMessage(e.Metadata), CorrelationID: e.CorrelationID,
	}
	recorded.Key, e.keyFault = d.Division().Key(&recorded)
	e.key = string(recorded.KeyBytes())
}
