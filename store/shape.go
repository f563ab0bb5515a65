package store

import (
	"fmt"
	"slices"
	"strings"
)

// TableShape is a table as it is in the database, as far as rows depend on it. Install stores the shapes of the
// tables that it makes, and later compares the tables with them: a table that somebody changed by hand no longer
// fits its checkpoint.
type TableShape struct {
	Name    string        `json:"name"`
	Columns []ColumnShape `json:"columns"`
	// Indexes are the columns of the indexes that find rows by equality, in order, with that of the primary key.
	Indexes []IndexShape `json:"-"`
}

// ColumnShape is a column of a table in the database.
type ColumnShape struct {
	Name string `json:"name"`
	// Type identifies the type with all its modifiers. It must not depend on settings of the database, nor on its
	// version.
	Type      string `json:"type"`
	NotNull   bool   `json:"not_null,omitempty"`
	Default   string `json:"default,omitempty"` // "" for none; its text where that never changes by itself
	Generated bool   `json:"generated,omitempty"`

	Shown string `json:"-"` // the type for people
}

// IndexShape is an index over plain columns.
type IndexShape struct {
	Columns []string
	Unique  bool // refuses equal rows at once
}

// Serves reports whether the index finds rows by the columns.
func (i *IndexShape) Serves(columns []string) bool {
	return len(columns) <= len(i.Columns) && slices.Equal(columns, i.Columns[:len(columns)])
}

// Indexed reports whether an index of the table finds rows by the columns.
func (t *TableShape) Indexed(columns []string) bool {
	return slices.ContainsFunc(t.Indexes, func(i IndexShape) bool { return i.Serves(columns) })
}

// Missing returns which of the declared indexes the table lacks, by their place in the declaration. One that another
// index serves, such as the key's or a declared one before it, is not missing.
func (t *TableShape) Missing(declared [][]string) (missing []int) {
	with := TableShape{Indexes: slices.Clone(t.Indexes)}
	for i, columns := range declared {
		if !with.Indexed(columns) {
			missing = append(missing, i)
			with.Indexes = append(with.Indexes, IndexShape{Columns: columns})
		}
	}
	return missing
}

// keyed reports whether the table has one row at most for a key.
func (t *TableShape) keyed(key []string) bool {
	same := func(i IndexShape) bool {
		return i.Unique && slices.Equal(slices.Sorted(slices.Values(i.Columns)), slices.Sorted(slices.Values(key)))
	}
	return len(key) == 0 || slices.ContainsFunc(t.Indexes, same)
}

// column returns the column of that name, or nil.
func (t *TableShape) column(name string) *ColumnShape {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// CheckShapes compares tables in the database with the shapes that they were installed with. Columns that were
// added are left alone, as are indexes and constraints, unless rows could not be inserted.
//
// # Errors
//
// [*CatalogueError] that says what differs and what to do.
func (p *Projection) CheckShapes(installed, found []TableShape) error {
	for i := range p.Tables {
		table := &p.Tables[i]
		was, is := shapeOf(installed, table.Name), shapeOf(found, table.Name)
		if was == nil {
			continue // a table that was installed has a shape
		}
		change := ""
		switch {
		case is == nil:
			change = "was dropped or renamed since it was installed"
		case !is.keyed(table.Key):
			change = fmt.Sprintf("its key (%s) was dropped or changed since it was installed",
				strings.Join(table.Key, ", "))
		default:
			change = was.changed(is)
		}
		if change != "" {
			return TableChanged(p.Name, table.Name, change)
		}
	}
	return p.CheckTables(found)
}

// CheckTables checks that the tables in the database take the rows of the projection's writes.
//
// # Errors
//
// [*CatalogueError].
func (p *Projection) CheckTables(found []TableShape) error {
	for i := range p.Tables {
		table := &p.Tables[i]
		is := shapeOf(found, table.Name)
		if is == nil {
			continue
		}
		if !is.keyed(table.Key) {
			return &CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(
				"its key is (%s), the table in the database has no primary key or unique constraint of exactly "+
					"these columns that is checked at once",
				strings.Join(table.Key, ", "))}
		}
		for _, c := range is.Columns {
			if !c.NotNull || c.Default != "" || c.Generated {
				continue
			}
			if err := p.checkLeftOut(table, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func shapeOf(shapes []TableShape, table string) *TableShape {
	for i := range shapes {
		if shapes[i].Name == table {
			return &shapes[i]
		}
	}
	return nil
}

// changed describes how a table differs, or returns "".
func (t *TableShape) changed(is *TableShape) string {
	for _, was := range t.Columns {
		c := is.column(was.Name)
		switch {
		case c == nil:
			return fmt.Sprintf("column %q was dropped or renamed since it was installed", was.Name)
		case c.Type != was.Type:
			return fmt.Sprintf("column %q was changed to the type %s since it was installed", was.Name, c.Shown)
		case c.NotNull != was.NotNull && was.NotNull:
			return fmt.Sprintf("column %q was changed since it was installed: it was not null, and takes null now",
				was.Name)
		case c.NotNull != was.NotNull:
			return fmt.Sprintf("column %q was changed since it was installed: it took null, and is not null now",
				was.Name)
		case c.Default != was.Default:
			return fmt.Sprintf("column %q was changed since it was installed: its default is another", was.Name)
		case c.Generated != was.Generated:
			return fmt.Sprintf("column %q was changed since it was installed: it is generated by the database, or "+
				"no longer is", was.Name)
		}
	}
	return ""
}
