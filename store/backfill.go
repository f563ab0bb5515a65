package store

import (
	"fmt"
	"slices"
)

// Backfill is the author's word for what a column has in rows that were made without it.
type Backfill string

// BackfillNone is that they stay NULL there. So a version that is installed can get the column in place, and a module
// of the same version may lack it. Every column has its value from the first event on where the tables are made with
// it.
const BackfillNone Backfill = "none"

// validateBackfill checks the author's word for a column of the table. A default is refused: SQLite would show it in
// the rows that are there, which are to stay as they are on every database.
func (t *Table) validateBackfill(c *Column) string {
	what := ""
	switch {
	case c.Backfill == "":
		return ""
	case c.Backfill != BackfillNone:
		return fmt.Sprintf("has backfill %.60q: the only one is %q", c.Backfill, BackfillNone)
	case slices.Contains(t.Key, c.Name):
		what = "is part of the key"
	case c.NotNull:
		what = "takes no null"
	case len(c.Default) > 0:
		what = "has a default"
	case c.Generated != nil:
		what = "is generated"
	default:
		return ""
	}
	return fmt.Sprintf("%s, so that it cannot have backfill %q, by which it stays NULL in the rows that are there", what,
		BackfillNone)
}
