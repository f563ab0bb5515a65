package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// NewColumn is a column that is declared and not there.
type NewColumn struct {
	Table  string `json:"table"`
	Column string `json:"column"`
}

// String names the table and the column.
func (c NewColumn) String() string { return c.Table + " (" + c.Column + ")" }

// Join returns what is stored of a projection when it is installed again in its version, which
// [Projection.CheckDeclaration] allows: with the columns of before and those of now. So the columns that an older module
// lacks stay, whichever of two modules comes last. added are those that the tables lack, as the tables get them.
func (i *Installed) Join(p *Projection) (joined *Projection, added []NewColumn) {
	with := *p
	with.Tables = slices.Clone(p.Tables)
	for t := range with.Tables {
		table := &with.Tables[t]
		was, _ := i.Table(table.Name)
		if was == nil {
			continue // which CheckDeclaration refuses
		}
		columns := slices.Clone(was.Columns)
		for _, c := range table.Columns {
			at := slices.IndexFunc(columns, func(known Column) bool { return known.Name == c.Name })
			if at < 0 {
				columns = append(columns, c)
				added = append(added, NewColumn{Table: table.Name, Column: c.Name})
				continue
			}
			c.Backfill = cmp.Or(c.Backfill, columns[at].Backfill)
			columns[at] = c
		}
		table.Columns = columns
	}
	return &with, added
}

// Fits reports whether a projection of the version can be installed again: it is declared as it was installed, but for
// columns that are added in place, and the tables in the database, which are in Found, are as they were made.
//
// # Errors
//
// [*CatalogueError] that says what differs and what to do; one when what is stored cannot be read.
func (i *Installed) Fits(p *Projection, dialect Dialect) error {
	if err := p.CheckDeclaration(dialect, i.Declared); err != nil || p.Bare() {
		return err
	}
	var installed []TableShape
	if err := json.Unmarshal([]byte(i.Shapes), &installed); err != nil {
		return fmt.Errorf("reading the stored tables: %w", err)
	}
	if err := p.CheckShapes(installed, i.Found); err != nil {
		return err
	}
	_, added := i.Join(p)
	for _, c := range added {
		if is := shapeOf(i.Found, c.Table); is != nil && is.column(c.Column) != nil {
			return &CatalogueError{Item: fmt.Sprintf("table %q", c.Table), Reason: fmt.Sprintf(
				"column %q is new, and the table has one of that name, which somebody has added by hand: drop or rename that",
				c.Column)}
		}
	}
	return nil
}

// ShapesWith returns Shapes with columns that were added, as found has them.
//
// # Errors
//
// That what is stored cannot be read.
func (i *Installed) ShapesWith(added []NewColumn, found []TableShape) (string, error) {
	var shapes []TableShape
	if err := json.Unmarshal([]byte(i.Shapes), &shapes); err != nil {
		return "", fmt.Errorf("reading the stored tables: %w", err)
	}
	for _, c := range added {
		was, is := shapeOf(shapes, c.Table), shapeOf(found, c.Table)
		if was == nil || is == nil || is.column(c.Column) == nil {
			return "", fmt.Errorf("table %s has no column %s after it was added", c.Table, c.Column)
		}
		was.Columns = append(was.Columns, *is.column(c.Column))
	}
	text, err := json.Marshal(shapes)
	return string(text), err
}
