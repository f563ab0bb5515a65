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

	lacks   string // why the rows that are there do not fit it
	remedy  string // what would make it one that Install makes in place, or ""
	view    bool   // a view, which has no rows
	inPlace bool   // a column that Install adds to the table, or leaves alone: see [Backfill]
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
		if c.view || c.inPlace {
			continue
		}
		return &CatalogueError{Item: c.Item, Reason: fmt.Sprintf(
			"%s: undo that,%s or raise the version, which is then built beside version %d from the first event",
			c.What+c.lacks, c.remedy, p.Version)}
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
			c.members(item, was, is, "columns", "indexes")
			c.columns(item, was["columns"], is["columns"])
		}
	}
}

func (c *changes) columns(item string, before, after any) {
	known, declared := namedIn(before), namedIn(after)
	for _, name := range bothNames(known, declared) {
		was, is := known[name], declared[name]
		switch {
		case was == nil:
			*c = append(*c, newColumn(item, is, firstBehind(name, after, known)))
		case is == nil:
			*c = append(*c, Change{
				Item: item, What: fmt.Sprintf("column %q is no longer declared", name), inPlace: was[backfillMember] != nil,
			})
		default:
			was, is = without(was, backfillMember), without(is, backfillMember) // it says nothing of the rows that it has
			if !reflect.DeepEqual(was, is) {
				c.add(item, "column %q was %s, and is %s now", name, shown(was), shown(is))
			}
		}
	}
	if !slices.Equal(namesOf(before, declared), namesOf(after, known)) {
		c.add(item, "the columns are in another order")
	}
}

// backfillMember is the one of a column that says [Backfill].
const backfillMember = "backfill"

// newColumn is a column that a table did not have. behind is one that it had and that is declared behind it, or "".
func newColumn(item string, column map[string]any, behind string) Change {
	change := Change{Item: item, What: fmt.Sprintf("column %q is new", column["name"])}
	switch {
	case column[backfillMember] == nil:
		change.lacks = ", and would be empty in the rows of the events that are applied already"
		if column["not_null"] == nil && column["default"] == nil && column["generated"] == nil {
			change.remedy = fmt.Sprintf(" give it backfill %q if it may stay NULL there,", BackfillNone)
		}
	case behind != "":
		change.lacks = fmt.Sprintf(", and can be added behind column %q only, which is there", behind)
		change.remedy = " declare it last,"
	default:
		change.inPlace = true
	}
	return change
}

// firstBehind returns the first column behind one in a list that is among others, or "".
func firstBehind(name string, list any, among map[string]map[string]any) string {
	names := namesOf(list, nil)
	for _, other := range names[slices.Index(names, name)+1:] {
		if among[other] != nil {
			return other
		}
	}
	return ""
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

// namesOf returns the names of the objects of a list in order, or only those that are among others.
func namesOf(list any, among map[string]map[string]any) (names []string) {
	elements, _ := list.([]any)
	for _, element := range elements {
		object, _ := element.(map[string]any)
		if name, ok := object["name"].(string); ok && (among == nil || among[name] != nil) {
			names = append(names, name)
		}
	}
	return names
}

// without returns an object without a member.
func without(object map[string]any, member string) map[string]any {
	object = maps.Clone(object)
	delete(object, member)
	return object
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
		value = without(object, "name")
	}
	text, _ := json.Marshal(value) // it comes from JSON
	if runes := []rune(string(text)); len(runes) > shownMax {
		return string(runes[:shownMax-1]) + "…"
	}
	return string(text)
}
