package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is how two declarations of a projection differ in one place.
type Change struct {
	Item string `json:"item"` // such as `table "fines"`
	What string `json:"what"` // what is other there, such as `column "note" is new`

	lacks string // why the rows that are there do not fit it
	view  bool   // a view, which has no rows
}

// String is one line.
func (c Change) String() string { return c.Item + ": " + c.What }

// CheckDeclaration compares the projection with the declaration that it was installed with.
//
// # Errors
//
// [*CatalogueError] that says what differs and what to do.
func (p *Projection) CheckDeclaration(dialect Dialect, installed string) error {
	changes, err := p.Changes(dialect, installed)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.view {
			continue
		}
		return &CatalogueError{Item: c.Item, Reason: fmt.Sprintf(
			"%s: undo that, or raise the version: Store.Reset(%q) then deletes the rows of version %d, and "+
				"the next run builds them again from the first event",
			c.What+c.lacks, p.Name, p.Version)}
	}
	return nil
}

// Changes returns how the projection differs from one that is installed, which [Projection.Declaration] has written, in
// this version or another. Differences of views come last. There are none when the rows and views are made alike.
//
// # Errors
//
// That what is installed cannot be read.
func (p *Projection) Changes(dialect Dialect, installed string) ([]Change, error) {
	given := p.Declaration(dialect)
	if given == installed {
		return nil, nil
	}
	var before, after map[string]any
	if err := readExactly(installed, &before); err != nil {
		return nil, fmt.Errorf("reading the stored declaration: %w", err)
	}
	if err := readExactly(given, &after); err != nil {
		return nil, fmt.Errorf("reading the declaration: %w", err)
	}
	var found changes
	found.members(fmt.Sprintf("projection %q", p.Name), before, after, "tables", "views")
	found.tables(before["tables"], after["tables"])
	found.views(before["views"], after["views"])
	return found, nil
}

// readExactly keeps numbers as they are written: two that differ may be the same float64.
func readExactly(text string, into *map[string]any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

type changes []Change

func (c *changes) add(item, format string, args ...any) {
	*c = append(*c, Change{Item: item, What: fmt.Sprintf(format, args...)})
}

func (c *changes) tables(before, after any) {
	known, declared := namedIn(before), namedIn(after)
	for _, name := range bothNames(known, declared) {
		item := fmt.Sprintf("table %q", name)
		was, is := known[name], declared[name]
		switch {
		case was == nil:
			*c = append(*c, Change{
				Item: item, What: "is new", lacks: ", and would lack the rows of the events that are applied already",
			})
		case is == nil:
			c.add(item, "is no longer declared")
		default:
			c.members(item, was, is, "columns")
			c.columns(item, was["columns"], is["columns"])
		}
	}
}

func (c *changes) columns(item string, before, after any) {
	known, declared := namedIn(before), namedIn(after)
	others := len(*c)
	for _, name := range bothNames(known, declared) {
		was, is := known[name], declared[name]
		switch {
		case was == nil:
			*c = append(*c, Change{
				Item: item, What: fmt.Sprintf("column %q is new", name),
				lacks: ", and would be empty in the rows of the events that are applied already",
			})
		case is == nil:
			c.add(item, "column %q is no longer declared", name)
		case !reflect.DeepEqual(was, is):
			c.add(item, "column %q was %s, and is %s now", name, shown(was), shown(is))
		}
	}
	if len(*c) == others && !reflect.DeepEqual(before, after) {
		c.add(item, "the columns are in another order")
	}
}

// members compares all members of two objects except for some.
func (c *changes) members(item string, before, after map[string]any, except ...string) {
	for _, name := range bothNames(before, after) {
		if !slices.Contains(except, name) && !reflect.DeepEqual(before[name], after[name]) {
			c.add(item, "its %s was %s, and is %s now", name, shown(before[name]), shown(after[name]))
		}
	}
}

func (c *changes) views(before, after any) {
	known, declared := namedIn(before), namedIn(after)
	for _, name := range bothNames(known, declared) {
		change := Change{Item: fmt.Sprintf("view %q", name), view: true}
		switch was, is := known[name], declared[name]; {
		case was == nil:
			change.What = "is new"
		case is == nil:
			change.What = "is no longer declared"
		case !reflect.DeepEqual(was, is):
			change.What = "has another query"
		default:
			continue
		}
		*c = append(*c, change)
	}
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
