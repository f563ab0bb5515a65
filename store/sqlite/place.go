package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// checkPlace refuses names that are taken: all that begin as the tables of the version do.
func (i *installer) checkPlace() error {
	if i.projection.Bare() {
		return nil
	}
	names, kinds, err := i.conn.tables(i.queries, i.projection.prefix)
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	if len(names) > 0 {
		return store.NotTheProjections(i.projection.Name, "a "+kinds[0]+" "+names[0])
	}
	return nil
}

// publish gives readers views of this version's tables and views under the plain name. before are the names that had
// views. Views that others have built upon them follow by their names.
func (i *installer) publish(before []string) error {
	shown := i.projection.Shown()
	for _, name := range before {
		if !slices.Contains(shown, name) {
			if err := i.conn.drop("view", inPlace(i.projection.readers, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range shown {
		view := inPlace(i.projection.readers, name)
		statement := fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM %s", quote(view), i.projection.table(name))
		kind, text, err := i.conn.made(view)
		switch {
		case err != nil:
			return err
		case kind != "" && (kind != "view" || !slices.Contains(before, name)):
			return store.NotTheProjections(i.projection.Name, "a "+kind+" "+view)
		case text == statement:
			continue
		}
		if err := i.conn.drop("view", view); err != nil {
			return err
		}
		if err := i.conn.db.Exec(statement); err != nil {
			return fmt.Errorf("creating view %s: %w", view, err)
		}
	}
	return nil
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	return s.write(ctx, func(c *conn) error {
		owner, err := c.liveOwner(&s.queries, store.ProjectionID{Name: projection})
		if err != nil {
			return err
		}
		if owner != "" {
			return store.StillOwned(projection, owner)
		}
		versions, err := c.versions(&s.queries, projection)
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			return store.UnknownProjection(projection)
		}
		live := versions.Live()
		if err := c.keepSent(&s.queries, live); err != nil {
			return fmt.Errorf("keeping what was sent: %w", err)
		}
		if _, err := c.exec(s.queries.deleteProjection, projection); err != nil {
			return fmt.Errorf("forgetting the projection: %w", err)
		}
		for _, name := range live.Shown() {
			if err := c.drop("view", inPlace(store.PlaceOf(s.options.Schema, live.ID()).Readers, name)); err != nil {
				return err
			}
		}
		for v := range versions {
			if err := s.dropPlace(c, &versions[v]); err != nil {
				return err
			}
		}
		return nil
	})
}

// liveOwner returns a worker that lives and has a segment of a version, or of any where that is 0; "" for none.
func (c *conn) liveOwner(q *queries, of store.ProjectionID) (owner string, err error) {
	err = c.query(q.liveOwner, func(row *prepared) error {
		owner = row.ColumnText(0)
		return nil
	}, of.Name, of.Number())
	if err != nil {
		return "", fmt.Errorf("looking for owners: %w", err)
	}
	return owner, nil
}

// dropPlace drops a version's tables. SQLite does not know what was built upon a view: views of others stay, and can be
// used again when the projection is installed again.
func (s *Store) dropPlace(c *conn, was *store.Installed) error {
	place := store.PlaceOf(s.options.Schema, was.ID())
	if err := c.dropVersion(place.Tables, was); err != nil {
		return err
	}
	names, kinds, err := c.tables(&s.queries, place.Tables)
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	if len(names) > 0 {
		return store.DependedOn(was.Name, fmt.Sprintf("a %s %s", kinds[0], names[0]))
	}
	return nil
}

// dropVersion drops the views and tables of a version. The tables may refer to each other; nothing does once all are
// gone.
func (c *conn) dropVersion(prefix string, was *store.Installed) error {
	if _, err := c.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
		return err
	}
	for v := range was.Views {
		if err := c.drop("view", inPlace(prefix, was.Views[v].Name)); err != nil {
			return err
		}
	}
	for t := range was.Tables {
		if err := c.drop("table", inPlace(prefix, was.Tables[t].Name)); err != nil {
			return err
		}
	}
	return nil
}

// drop drops a table or a view, if there is one of that name. It leaves alone what has become something else.
func (c *conn) drop(kind, name string) error {
	found, _, err := c.made(name)
	if err != nil || found != kind {
		return err
	}
	if err := c.db.Exec("DROP " + kind + " " + quote(name)); err != nil {
		return fmt.Errorf("dropping %s %s: %w", kind, name, err)
	}
	return nil
}

// made returns the kind and the SQL of a table or view, "" when there is none of that name.
func (c *conn) made(name string) (kind, text string, err error) {
	err = c.query("SELECT type, sql FROM sqlite_master WHERE lower(name) = $1", func(row *prepared) error {
		kind, text = row.ColumnText(0), row.ColumnText(1)
		return nil
	}, name)
	if err != nil {
		return "", "", fmt.Errorf("looking for %s: %w", name, err)
	}
	return kind, text, nil
}

// isEmpty reports whether a table has no row, or is not there.
func (c *conn) isEmpty(table string) (bool, error) {
	kind, _, err := c.made(table)
	if err != nil || kind != "table" {
		return true, err
	}
	some, err := c.some("SELECT 1 FROM " + quote(table) + " LIMIT 1")
	return !some, err
}

// tables returns the tables and views that begin with a prefix, by name and with their kind, views first.
func (c *conn) tables(q *queries, prefix string) (names, kinds []string, err error) {
	err = c.query(q.tables, func(row *prepared) error {
		names, kinds = append(names, row.ColumnText(0)), append(kinds, row.ColumnText(1))
		return nil
	}, prefix)
	return names, kinds, err
}
