package cases

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// lines reads JSON lines, each of which is a case.
func (r *reader) lines(text []byte) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		place := settings.Place{File: r.path, Line: number, Column: 1}
		m, err := memberOf(place, line)
		if err != nil {
			r.fail(place, "%s", err)
			continue
		}
		r.add(&m, nil)
	}
}

// RowOf is a row of values by column: what [encoding/json] makes of them, bytes in hex.
//
// # Errors
//
// One for a value that has no JSON.
func RowOf(place settings.Place, values map[string]any) (Row, error) {
	row := Row{Place: place}
	for _, column := range slices.Sorted(maps.Keys(values)) {
		value := values[column]
		switch v := value.(type) {
		case store.UUID:
			value = v.String()
		case []byte:
			value = hex.EncodeToString(v)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return row, fmt.Errorf("column %s: %w", column, err)
		}
		m, err := memberOf(place, text)
		if err != nil {
			return row, fmt.Errorf("column %s: %w", column, err)
		}
		m.Name = column
		row.Members = append(row.Members, m)
	}
	return row, nil
}

// memberOf reads a JSON value as what it would be in YAML. All of it is at one place.
func memberOf(place settings.Place, text []byte) (settings.Member, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	v := &jsonValue{decoder: decoder, place: place}
	m, err := v.read(0)
	if err == nil && decoder.More() {
		err = errors.New("the line goes on after the JSON object")
	}
	return m, err
}

type jsonValue struct {
	decoder *json.Decoder
	place   settings.Place
}

func (v *jsonValue) read(depth int) (m settings.Member, err error) {
	token, err := v.decoder.Token()
	if err != nil {
		return m, fmt.Errorf("is not JSON: %w", err)
	}
	if depth > bounds.Depth {
		return m, fmt.Errorf("is nested deeper than %d levels", bounds.Depth)
	}
	m = settings.Member{Place: v.place, Value: v.place}
	switch token := token.(type) {
	case string:
		m.Text = token
	case json.Number:
		m.Text, m.Plain = token.String(), true
	case bool:
		m.Text, m.Plain = fmt.Sprint(token), true
	case nil:
		m.Kind = settings.Empty
	case json.Delim:
		m.Kind = settings.List
		if token == '{' {
			m.Kind, m.Map = settings.Section, &settings.Map{Place: v.place}
		}
		err = v.within(&m, depth)
	}
	return m, err
}

// within reads what an object or an array has.
func (v *jsonValue) within(m *settings.Member, depth int) error {
	seen := map[string]bool{}
	for v.decoder.More() {
		name := ""
		if m.Kind == settings.Section {
			token, err := v.decoder.Token()
			if err != nil {
				return fmt.Errorf("is not JSON: %w", err)
			}
			name, _ = token.(string) // the decoder takes nothing else
			if seen[name] {
				return fmt.Errorf("%s is there twice", settings.Show(name))
			}
			seen[name] = true
		}
		element, err := v.read(depth + 1)
		if err != nil {
			return err
		}
		element.Name = name
		if m.Kind == settings.Section {
			m.Map.Members = append(m.Map.Members, element)
		} else {
			m.List = append(m.List, element)
		}
	}
	_, err := v.decoder.Token() // the end
	return err
}
