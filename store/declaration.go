package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// declaration is the part of a projection that must not change under one version, since rows and checkpoints were
// made by it: all members of [Projection], whatever they are, except for those that Declaration takes out.
type declaration struct {
	SpreadFactor uint32 `json:"spread_factor"`
	Projection
}

// Declaration returns, as JSON, the part of the projection that must not change under one version. Install stores
// it beside the checkpoints, and compares the next declaration with it by CheckDeclaration.
//
// The subscription, the writes and the queries are not part of it. They are the program of the projection: by
// keeping the version, its author promises that the rows stay right with another program. Indexes change no row,
// and Install makes missing ones. Views are stored, so that Install knows which are the projection's, but they may
// change. The projection must be valid.
func (p *Projection) Declaration(dialect Dialect) string {
	d := declaration{SpreadFactor: SpreadFactor, Projection: *p}
	d.Version, d.Subscription, d.Writes, d.Queries = 0, Subscription{}, nil, nil
	if d.Partition != nil && d.Partition.ByStream() {
		d.Partition = nil // as if it were left out
	}
	d.Tables = slices.Clone(p.Tables)
	for i := range d.Tables {
		t := &d.Tables[i]
		t.Indexes, t.Columns, t.Checks = nil, slices.Clone(t.Columns), slices.Clone(t.Checks)
		for j := range t.Columns {
			c := &t.Columns[j]
			c.NotNull = c.NotNull || slices.Contains(t.Key, c.Name)
			c.Default = c.canonicalDefault()
			c.Generated = c.Generated.only(dialect)
		}
		for j := range t.Checks {
			t.Checks[j].SQL = t.Checks[j].SQL.only(dialect)
		}
	}
	d.Views = slices.Clone(p.Views)
	for i := range d.Views {
		d.Views[i].SQL = d.Views[i].SQL.only(dialect)
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("a valid declaration cannot be written as JSON: %v", err))
	}
	return string(text)
}

// canonicalDefault spells equal defaults equally.
func (c *Column) canonicalDefault() json.RawMessage {
	if len(c.Default) == 0 {
		return nil
	}
	switch c.Type.Kind { // validated with the table
	case KindI64:
		n, _ := strconv.ParseInt(string(c.Default), 10, 64)
		return strconv.AppendInt(nil, n, 10)
	case KindNumeric:
		n, _ := CanonicalNumeric(c.Default)
		return n
	}
	var value any
	if json.Unmarshal(c.Default, &value) != nil {
		return c.Default
	}
	text, _ := json.Marshal(value) // it was JSON
	return text
}

// CheckDeclaration compares the projection with the declaration that it was installed with.
//
// # Errors
//
// [*CatalogueError] that says what differs and what to do.
func (p *Projection) CheckDeclaration(dialect Dialect, installed string) error {
	given := p.Declaration(dialect)
	if given == installed {
		return nil
	}
	var before, after map[string]any
	if err := readExactly(installed, &before); err != nil {
		return fmt.Errorf("reading the stored declaration: %w", err)
	}
	if err := readExactly(given, &after); err != nil {
		return fmt.Errorf("reading the declaration: %w", err)
	}
	item, change := compareDeclarations(p.Name, before, after)
	if change == "" {
		return nil
	}
	return &CatalogueError{Item: item, Reason: fmt.Sprintf(
		"%s: undo that, or raise the version: Store.Reset(%q) then deletes the rows of version %d, and "+
			"the next run builds them again from the first event",
		change, p.Name, p.Version)}
}

// readExactly keeps numbers as they are written: two that differ may be the same float64.
func readExactly(text string, into *map[string]any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func compareDeclarations(projection string, before, after map[string]any) (item, change string) {
	if change = compareMembers(before, after, "tables", "views"); change != "" {
		return fmt.Sprintf("projection %q", projection), change
	}
	known, declared := namedIn(before["tables"]), namedIn(after["tables"])
	for _, name := range bothNames(known, declared) {
		item = fmt.Sprintf("table %q", name)
		was, is := known[name], declared[name]
		switch {
		case was == nil:
			return item, "is new, and would lack the rows of the events that are applied already"
		case is == nil:
			return item, "is no longer declared"
		}
		if change = compareMembers(was, is, "columns"); change == "" {
			change = compareColumns(was["columns"], is["columns"])
		}
		if change != "" {
			return item, change
		}
	}
	return "", ""
}

func compareColumns(before, after any) string {
	known, declared := namedIn(before), namedIn(after)
	for _, name := range bothNames(known, declared) {
		was, is := known[name], declared[name]
		switch {
		case was == nil:
			return fmt.Sprintf("column %q is new, and would be empty in the rows of the events that are applied already",
				name)
		case is == nil:
			return fmt.Sprintf("column %q is no longer declared", name)
		case !reflect.DeepEqual(was, is):
			return fmt.Sprintf("column %q was %s, and is %s now", name, shown(was), shown(is))
		}
	}
	if !reflect.DeepEqual(before, after) {
		return "the columns are in another order"
	}
	return ""
}

// compareMembers compares all members of two objects except for some.
func compareMembers(before, after map[string]any, except ...string) string {
	for _, name := range bothNames(before, after) {
		if !slices.Contains(except, name) && !reflect.DeepEqual(before[name], after[name]) {
			return fmt.Sprintf("its %s was %s, and is %s now", name, shown(before[name]), shown(after[name]))
		}
	}
	return ""
}

// namedIn returns the objects of a list by their names.
func namedIn(list any) map[string]map[string]any {
	elements, _ := list.([]any)
	found := make(map[string]map[string]any, len(elements))
	for _, element := range elements {
		object, _ := element.(map[string]any)
		if name, ok := object["name"].(string); ok {
			found[name] = object
		}
	}
	return found
}

// bothNames returns the names of both, sorted, each once.
func bothNames[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// shownMax bounds a value in an error.
const shownMax = 60

// shown is a value of a declaration for people.
func shown(value any) string {
	if value == nil {
		return "none"
	}
	if object, ok := value.(map[string]any); ok {
		object = maps.Clone(object)
		delete(object, "name")
		value = object
	}
	text, _ := json.Marshal(value) // it comes from JSON
	if runes := []rune(string(text)); len(runes) > shownMax {
		return string(runes[:shownMax-1]) + "…"
	}
	return string(text)
}
