package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// Compare compares the rows of two versions. See [store.Versions].
func (s backend) Compare(
	ctx context.Context, a, b store.ProjectionID, examples int, met func(),
) (comparison *store.Comparison, err error) {
	err = s.read(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries.versions, a.Name)
		if err != nil {
			return err
		}
		var sides [2]*store.Installed
		for side, id := range [2]store.ProjectionID{a, b} {
			if sides[side], err = versions.Known(id); err != nil {
				return err
			}
		}
		if err := s.snapshot(c, a, b); err != nil {
			return err
		}
		defer c.rollback()
		if comparison, err = s.begunComparison(c, sides); err != nil {
			return err
		}
		met()
		if err := c.query(s.queries.versions.countParked, func(r *row) error {
			comparison.Parked = [2]int{r.int(0), r.int(1)}
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

// snapshot begins a transaction that sees both versions at one moment. MariaDB may show a transaction without one that
// was committed just before it, where both end while it looks which are open. So commits to the versions wait for that
// long: what they follow is in the snapshot then, and they are not.
func (s *Store) snapshot(c *conn, versions ...store.ProjectionID) error {
	release, err := s.takeSecond(c.ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.write(c.ctx, func(held *conn) error {
		for _, id := range versions {
			of := layoutOf{conn: held, queries: &s.queries.layout, projection: id}
			if _, err := of.read(); err != nil {
				return err
			}
		}
		_, err := c.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; " +
			"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
		return err
	})
}

// begunComparison begins a comparison with where the versions stand.
func (s *Store) begunComparison(c *conn, sides [2]*store.Installed) (*store.Comparison, error) {
	var layouts [2]*store.Layout
	for side := range sides {
		var err error
		of := layoutOf{conn: c, queries: &s.queries.layout, projection: sides[side].ID()}
		if layouts[side], err = of.look(); err != nil {
			return nil, err
		}
	}
	return store.NewComparison(&sides[0].Projection, &sides[1].Projection, layouts)
}

// uncomparable is the error of a table that cannot be compared.
func uncomparable(table string, err error) error {
	if isNumber(err, erNoSuchTable) || isNumber(err, erBadDatabase) {
		return &store.InputError{Field: "table " + table, Reason: "is not there in one of the versions: " + refusal(err)}
	}
	return fmt.Errorf("comparing table %s: %w", table, err)
}

// compareTable compares the rows of a table that both versions have.
func (s *Store) compareTable(c *conn, sides [2]*store.Installed, t *store.TableComparison, examples int) error {
	if t.Uncompared != "" || t.In != [2]bool{true, true} {
		return nil
	}
	sql := store.CompareSQL{
		Quote: quoteIn, Integer: "SIGNED",
		Differs: func(_ store.Type, a, b string) string { return "NOT (" + a + " <=> " + b + ")" },
		Shown:   func(expression string, _ store.Type) string { return expression },
	}
	for side := range sides {
		sql.Tables[side] = s.placed(&sides[side].Projection).table(t.Table)
	}
	for _, count := range sql.Counts(t) {
		err := c.query(count.SQL, func(r *row) error {
			for i := range count.Into {
				*count.Into[i] = r.int64(i)
			}
			return nil
		})
		if err != nil {
			return uncomparable(t.Table, err)
		}
	}
	if !t.Differ() || examples < 1 {
		return nil
	}
	for _, query := range sql.Examples(t, examples) {
		rows := store.Rows{}
		rows.Reset(len(query.Results))
		err := c.query(query.SQL, func(r *row) error { return r.collect(query.Results, &rows) })
		if err != nil {
			return fmt.Errorf("comparing table %s: %w", t.Table, rejected(&statement{name: store.TableRows(t.Table)}, err))
		}
		query.Add(t, &rows)
	}
	return nil
}

// quoteIn quotes a name, which may be within a table.
func quoteIn(names ...string) string { return strings.Join(quoteEach(names), ".") }
