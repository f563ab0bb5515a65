package sqlite

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Compare compares the rows of two versions. See [store.Versions].
func (s backend) Compare(
	ctx context.Context, a, b store.ProjectionID, examples int, met func(),
) (comparison *store.Comparison, err error) {
	err = s.read(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries, a.Name)
		if err != nil {
			return err
		}
		var sides [2]*store.Installed
		var layouts [2]*store.Layout
		for side, id := range [2]store.ProjectionID{a, b} {
			if sides[side], err = versions.Known(id); err != nil {
				return err
			}
			if layouts[side], err = (layoutOf{conn: c, queries: &s.queries, projection: id}).read(); err != nil {
				return err
			}
		}
		if comparison, err = store.NewComparison(&sides[0].Projection, &sides[1].Projection, layouts); err != nil {
			return err
		}
		met()
		if err := c.query(s.queries.countParked, func(row *prepared) error {
			comparison.Parked = [2]int{row.ColumnInt(0), row.ColumnInt(1)}
			return nil
		}, a.Name, a.Number(), b.Number()); err != nil {
			return fmt.Errorf("counting parked keys: %w", err)
		}
		for t := range comparison.Tables {
			if err := s.compareTable(c, sides, &comparison.Tables[t], examples); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return comparison, nil
}

// compareTable compares the rows of a table that both versions have.
func (s backend) compareTable(
	c *conn, sides [2]*store.Installed, t *store.TableComparison, examples int,
) error {
	if t.Uncompared != "" || t.In != [2]bool{true, true} {
		return nil
	}
	sql := store.CompareSQL{
		Quote: quoteIn, Integer: "BIGINT", Differs: differs,
		Shown: func(expression string, _ store.Type) string { return expression },
	}
	for side := range sides {
		sql.Tables[side] = s.placed(&sides[side].Projection).table(t.Table)
	}
	for _, count := range sql.Counts(t) {
		err := c.query(count.SQL, func(row *prepared) error {
			for i := range count.Into {
				*count.Into[i] = row.ColumnInt64(i)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("comparing table %s: %w", t.Table, err)
		}
	}
	if !t.Differ() || examples < 1 {
		return nil
	}
	for _, query := range sql.Examples(t, examples) {
		rows := store.Rows{}
		rows.Reset(len(query.Results))
		entry := statement{name: store.TableRows(t.Table), results: query.Results}
		found, err := c.prepareNew(query.SQL)
		if err == nil {
			err = found.collect(&entry, 0, &rows)
			found.close()
		}
		if err != nil {
			return fmt.Errorf("comparing table %s: %w", t.Table, rejected(entry.name, err))
		}
		query.Add(t, &rows)
	}
	return nil
}

// quoteIn quotes a name, which may be within a table.
func quoteIn(names ...string) string {
	quoted := quote(names[0])
	for _, name := range names[1:] {
		quoted += "." + quote(name)
	}
	return quoted
}

// differs is the condition that two values differ. Numerics are stored with the decimals that they came with, and are
// equal when neither is smaller.
func differs(t store.Type, a, b string) string {
	if t.Kind != store.KindNumeric || t.Array {
		return a + " IS NOT " + b
	}
	return fmt.Sprintf("CASE WHEN %[1]s IS NULL OR %[2]s IS NULL THEN %[1]s IS NOT %[2]s ELSE %[3]s(%[1]s, %[2]s) <> "+
		"%[4]s(%[1]s, %[2]s) END", a, b, minNumericFunction, maxNumericFunction)
}
