package mysql

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// runBy returns a worker that lives and runs a version, or has a segment of it; "" for none.
func (c *conn) runBy(q *versionQueries, of store.ProjectionID) (worker string, err error) {
	err = c.query(q.runBy, func(r *row) error {
		worker = r.text(0)
		return nil
	}, of.Name, of.Version, of.Build)
	if err != nil {
		return "", fmt.Errorf("looking for workers: %w", err)
	}
	if worker == "" {
		return c.liveOwner(q, of)
	}
	return worker, nil
}

// liveOwner returns a worker that lives and has a segment of a version, or of any where that is 0; "" for none.
func (c *conn) liveOwner(q *versionQueries, of store.ProjectionID) (owner string, err error) {
	err = c.query(q.liveOwner, func(r *row) error {
		owner = r.text(0)
		return nil
	}, of.Name, of.Number())
	if err != nil {
		return "", fmt.Errorf("looking for owners: %w", err)
	}
	return owner, nil
}

// Retire deletes a version. See [store.Versions].
func (s backend) Retire(ctx context.Context, projection store.ProjectionID) error {
	q := &s.queries.versions
	return s.alone(ctx, projection.Name, func(c *conn) error {
		if err := s.mend(c, projection.Name); err != nil {
			return err
		}
		owner, err := c.runBy(q, projection)
		if err != nil {
			return err
		}
		versions, err := c.versions(q, projection.Name)
		if err != nil {
			return err
		}
		if versions.AskedFor(projection) {
			return c.askRebuild(q, projection.Name, 0)
		}
		was, err := versions.Retirable(projection, owner)
		if err != nil {
			return err
		}
		gone := store.Versioned{*was}
		if err := s.checkOthers(c, gone); err != nil {
			return err
		}
		return s.forget(c, gone, func(c *conn, _ []*store.Layout) error {
			if err := c.deleteHeld(&s.queries, was.Name, was.ID().Number()); err != nil {
				return err
			}
			for _, statement := range []string{q.forgetReplaced, q.deleteVersion} {
				if _, err := c.exec(statement, was.Name, was.ID().Number()); err != nil {
					return fmt.Errorf("forgetting the version: %w", err)
				}
			}
			return nil
		})
	})
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	q := &s.queries.versions
	dropped, err := s.dropsLeft(ctx, projection)
	if err != nil {
		return err
	}
	return s.alone(ctx, projection, func(c *conn) error {
		if err := s.mend(c, projection); err != nil {
			return err
		}
		owner, err := c.liveOwner(q, store.ProjectionID{Name: projection})
		if err != nil {
			return err
		}
		if owner != "" {
			return store.StillOwned(projection, owner)
		}
		versions, err := c.versions(q, projection)
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			if dropped { // a reset that had come so far: the lock has ended it
				return nil
			}
			return store.UnknownProjection(projection)
		}
		if err := s.checkOthers(c, versions); err != nil {
			return err
		}
		views := s.readerViews(c, &store.Projection{Name: projection})
		if err := views.publish(versions.Live().Shown()); err != nil { // it shows nothing
			return err
		}
		err = s.forget(c, versions, func(c *conn, layouts []*store.Layout) error {
			for v := range versions {
				if !versions[v].Live {
					continue
				}
				if err := c.passOn(&s.queries, &versions[v], layouts[v], nil); err != nil {
					return err
				}
			}
			if err := c.deleteHeld(&s.queries, projection, 0); err != nil {
				return err
			}
			if _, err := c.exec(q.deleteProjection, projection); err != nil {
				return fmt.Errorf("forgetting the projection: %w", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return c.dropOwner(views.of)
	})
}

// dropsLeft reports whether databases of a projection are left that a host was about to drop.
func (s *Store) dropsLeft(ctx context.Context, projection string) (left bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		all, err := c.unfinished(&s.queries, projection)
		left = len(all) > 0
		return err
	})
	return left, err
}

// forget deletes what there is of versions, in one transaction with a note of the databases that go with them: from
// then on nobody finds or commits to them. It drops the databases after that, and so does whoever has the lock next
// where a host ends in between. Commits under way are waited for, with locks in their order.
func (s *Store) forget(
	c *conn, versions store.Versioned, remove func(c *conn, layouts []*store.Layout) error,
) error {
	err := c.transactAgain(func(c *conn) error {
		layouts := make([]*store.Layout, len(versions))
		for v := range versions {
			layout := layoutOf{conn: c, queries: &s.queries.layout, projection: versions[v].ID()}
			var err error
			if layouts[v], err = layout.read(); err != nil {
				return err
			}
			if versions[v].Bare() {
				continue
			}
			place := s.placed(&versions[v].Projection).tables
			if err := c.begin(&s.queries, versions[v].Name, place, work{}); err != nil {
				return err
			}
		}
		return remove(c, layouts)
	})
	if err != nil {
		return err
	}
	for v := range versions {
		if err := s.dropPlace(c, s.placed(&versions[v].Projection).tables); err != nil {
			return err
		}
	}
	return nil
}

// dropPlace drops a database that was noted before, unless it is another store's.
func (s *Store) dropPlace(c *conn, place string) error {
	if another, err := c.isAnothers(s.home(), place); err != nil {
		return err
	} else if another {
		return c.finish(&s.queries, place)
	}
	if _, err := c.exec("DROP DATABASE IF EXISTS " + quote(place)); err != nil {
		return fmt.Errorf("dropping database %s: %w", place, err)
	}
	return c.finish(&s.queries, place)
}

// checkOthers refuses to drop what others have made in the databases of versions, or built upon their tables with a
// foreign key or a trigger. MariaDB does not know what was built upon a table by a view: that stays, and can be used again when the
// projection is installed again.
func (s *Store) checkOthers(c *conn, versions store.Versioned) error {
	for v := range versions {
		place, what := s.placed(&versions[v].Projection).tables, ""
		if another, err := c.isAnothers(s.home(), place); err != nil {
			return err
		} else if another { // nothing in it goes
			continue
		}
		err := c.query(`SELECT IF(table_type = 'VIEW', 'view', 'table'), table_name FROM information_schema.tables
			WHERE table_schema = $1 AND table_name NOT IN $2
			UNION ALL SELECT 'foreign key', CONCAT(constraint_name, ' of table ', table_name, ' in database ', constraint_schema)
			FROM information_schema.referential_constraints
			WHERE unique_constraint_schema = $1 AND constraint_schema <> $1 LIMIT 1`, func(r *row) error {
			what = r.text(0) + " " + r.text(1)
			return nil
		}, place, append(versions[v].Shown(), ""))
		if err != nil {
			return fmt.Errorf("looking at database %s: %w", place, err)
		}
		if what == "" {
			if what, err = c.foreign(place); err != nil {
				return err
			}
		}
		if what != "" {
			return store.DependedOn(versions[v].Name, withArticle(what))
		}
	}
	return nil
}
