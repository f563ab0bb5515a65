package bundle

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/store"
)

// Redacted is the text in the place of one that was redacted.
const Redacted = "redacted"

// Redact replaces the values of fields by values of the same type: a text by "redacted", a number by 0, true by false.
// null stays, and within an object or an array each value is replaced. A field is a path of names with dots between
// them, in the payload and in the metadata; a step through an array goes through all of its elements.
//
// In the rows it is the columns that are called as the last name, or as all names with underscores between them, and
// the same path within columns of JSON, which may begin with the column's name. In the text of the fault it is the
// values that were replaced elsewhere.
//
// # Errors
//
// One for a field that is or has the partition key, or that is a key column; one for a payload that is no JSON, in
// which nothing can be found; one for a field that is nowhere.
func (b *Bundle) Redact(fields []string, projection *store.Projection) error {
	values := map[string]string{}
	for _, field := range fields {
		f, err := newRedaction(field, values, projection)
		if err != nil {
			return err
		}
		if err := f.events(b.Events); err != nil {
			return err
		}
		if err := f.rows(b.Rows, projection); err != nil {
			return fmt.Errorf("field %s %w", field, err)
		}
		if !f.found {
			return fmt.Errorf("field %s is in no event and in no row of the bundle", field)
		}
	}
	b.Fault.Error = withoutValues(b.Fault.Error, values)
	b.Redacted = fields
	return nil
}

// redaction is one field.
type redaction struct {
	field  string
	path   []string
	found  bool
	values map[string]string // that were replaced, and by what
}

// newRedaction returns one whose field may be replaced for a projection, which may be nil.
func newRedaction(field string, values map[string]string, projection *store.Projection) (*redaction, error) {
	f := &redaction{field: field, path: strings.Split(field, "."), values: values}
	if err := f.check(projection); err != nil {
		return nil, fmt.Errorf("field %s %w", field, err)
	}
	return f, nil
}

// check refuses a field on which the replay depends. projection may be nil.
func (f *redaction) check(projection *store.Projection) error {
	if slices.Contains(f.path, "") {
		return errors.New("is no path: names with dots between them, such as customer.email")
	}
	if projection == nil {
		return nil
	}
	key := projection.Division().Path
	if n := min(len(key), len(f.path)); n > 0 && slices.Equal(key[:n], f.path[:n]) {
		return fmt.Errorf("is or has the partition key (%s), without which the events are of another key",
			projection.Division())
	}
	for i := range projection.Tables {
		table := &projection.Tables[i]
		if table.Ownership() != store.Owned {
			continue
		}
		place, _, _ := table.Mark()
		for n, name := range table.Key {
			if n == place && f.field == name {
				return fmt.Errorf("is column %s of table %s, which holds the partition key", name, table.Name)
			}
			if n != place && f.names(name) {
				return fmt.Errorf("is key column %s of table %s, whose rows could no longer be told apart", name, table.Name)
			}
		}
	}
	return nil
}

// names reports whether a column has the field.
func (f *redaction) names(column string) bool {
	return column == f.path[len(f.path)-1] || column == strings.Join(f.path, "_")
}

func (f *redaction) events(events []store.RecordedEvent) error {
	for i := range events {
		e := &events[i]
		if len(e.Payload) > 0 {
			if !json.Valid(e.Payload) || !utf8.Valid(e.Payload) {
				return fmt.Errorf("event %d: its payload is no JSON, so that no field can be redacted in it", e.Position)
			}
			e.Payload = f.within(e.Payload, f.path)
		}
		e.Metadata = f.within(e.Metadata, f.path)
	}
	return nil
}

func (f *redaction) rows(rows []Row, projection *store.Projection) error {
	for i := range rows {
		table, _ := projection.Table(rows[i].Table)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(rows[i].Values, &members); err != nil {
			return err
		}
		for name, text := range members {
			column, _ := table.Column(name)
			switch {
			case slices.Contains(table.Key, name):
			case f.names(name):
				members[name] = f.column(column.Type, text)
			case column.Type.Kind == store.KindJSON && column.Type.Array:
				members[name] = f.jsonArray(name, text)
			case column.Type.Kind == store.KindJSON:
				members[name] = f.json(name, text)
			}
		}
		rows[i].Values = nil
		for _, column := range table.Columns {
			if text, has := members[column.Name]; has {
				rows[i].Values = append(append(eventline.AppendText(append(rows[i].Values, ','), column.Name), ':'), text...)
			}
		}
		rows[i].Values = append(rows[i].Values, '}')
		rows[i].Values[0] = '{'
	}
	return nil
}

// json replaces the field within a column of JSON, which is a text in rows.jsonl.
func (f *redaction) json(column string, text json.RawMessage) json.RawMessage {
	var inner string
	if string(text) == "null" || json.Unmarshal(text, &inner) != nil || !json.Valid([]byte(inner)) {
		return text
	}
	outcome := f.within([]byte(inner), f.path)
	if f.path[0] == column && len(f.path) > 1 {
		outcome = f.within(outcome, f.path[1:])
	}
	return eventline.AppendText(nil, string(outcome))
}

func (f *redaction) jsonArray(column string, text json.RawMessage) json.RawMessage {
	var elements []json.RawMessage
	if json.Unmarshal(text, &elements) != nil || elements == nil {
		return text
	}
	for i := range elements {
		elements[i] = f.json(column, elements[i])
	}
	joined, _ := json.Marshal(elements) // each is JSON
	return joined
}

// column replaces the value of a column by one that the column can have.
func (f *redaction) column(t store.Type, text json.RawMessage) json.RawMessage {
	f.found = true
	if string(text) == "null" {
		return text
	}
	if t.Array {
		var elements []json.RawMessage
		_ = json.Unmarshal(text, &elements) // it is an array of ours
		for i := range elements {
			elements[i] = f.column(store.Type{Kind: t.Kind}, elements[i])
		}
		joined, _ := json.Marshal(elements)
		return joined
	}
	var plain string
	if json.Unmarshal(text, &plain) != nil {
		plain = string(text)
	}
	switch t.Kind {
	case store.KindBool:
		return json.RawMessage("false")
	case store.KindI64, store.KindF64, store.KindTimestamp:
		f.values[plain] = "0"
		return json.RawMessage("0")
	case store.KindNumeric:
		f.values[plain] = "0"
		return json.RawMessage(`"0"`)
	case store.KindText:
		f.values[plain] = Redacted
		return json.RawMessage(`"` + Redacted + `"`)
	case store.KindJSON:
		return eventline.AppendText(nil, string(f.within([]byte(plain), nil)))
	case store.KindUUID:
		f.values[plain] = store.UUID{}.String()
		return eventline.AppendText(nil, store.UUID{}.String())
	default: // bytes
		return json.RawMessage(`""`)
	}
}

// valueRunesMin is what a value has at least to be looked for in a text: a shorter one says little.
const valueRunesMin = 3

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// withoutValues replaces values in a text where no letter or digit is beside them, as they are, as errors quote them, and
// also those that it has cut off. The longest come first.
func withoutValues(text string, values map[string]string) string {
	plain := values
	values = maps.Clone(plain)
	for value, by := range plain {
		quoted := strconv.Quote(value)
		values[quoted[1:len(quoted)-1]] = by
	}
	longestFirst := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	longestFirst = slices.DeleteFunc(longestFirst, func(value string) bool {
		return utf8.RuneCountInString(value) < valueRunesMin
	})
	text = withoutCutValues(text, longestFirst, values)
	for _, value := range longestFirst {
		var out strings.Builder
		for rest := text; ; {
			before, after, found := strings.Cut(rest, value)
			if !found {
				text = out.String() + rest
				break
			}
			last, _ := utf8.DecodeLastRuneInString(before)
			next, _ := utf8.DecodeRuneInString(after)
			first, _ := utf8.DecodeRuneInString(value)
			final, _ := utf8.DecodeLastRuneInString(value)
			if wordy(last) && wordy(first) || wordy(next) && wordy(final) {
				out.WriteString(before + value)
			} else {
				out.WriteString(before + values[value])
			}
			rest = after
		}
	}
	return text
}

// cut is what errors have behind a value that they have cut off, which may be in quotes.
const cut = "…"

// withoutCutValues replaces the beginnings of values in front of each cut.
func withoutCutValues(text string, longestFirst []string, values map[string]string) string {
	parts := strings.Split(text, cut)
	for i, part := range parts[:len(parts)-1] {
		shown := strings.TrimRight(part, "\"'`")
		for _, value := range longestFirst {
			if begin := beginning(shown, value); begin >= 0 {
				parts[i] = shown[:begin] + values[value] + part[len(shown):]
				break
			}
		}
	}
	return strings.Join(parts, cut)
}

// beginning is where a text begins to end with a beginning of a value, the longest one, or -1.
func beginning(text, value string) int {
	first := 0 // bytes of what is looked for at least
	for range valueRunesMin {
		_, size := utf8.DecodeRuneInString(value[first:])
		first += size
	}
	for from := max(len(text)-len(value), 0); ; from++ {
		next := strings.Index(text[from:], value[:first])
		if next < 0 {
			return -1
		}
		from += next
		before, _ := utf8.DecodeLastRuneInString(text[:from])
		initial, _ := utf8.DecodeRuneInString(value)
		if strings.HasPrefix(value, text[from:]) && !(wordy(before) && wordy(initial)) {
			return from
		}
	}
}
