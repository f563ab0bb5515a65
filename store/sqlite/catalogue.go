package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// catalogue is an installed projection. See [store.Catalogue].
type catalogue struct {
	store   *Store
	policy  *policy
	writes  []statement
	queries []statement
}

// Install makes a projection ready to run. See [store.Projections].
func (s *Store) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	if projection.Name == s.options.Schema {
		return nil, &store.CatalogueError{
			Item: fmt.Sprintf("projection %q", projection.Name), Reason: "has the name of the schema, choose another",
		}
	}
	c := &catalogue{store: s, policy: newPolicy(projection)}
	for i := range projection.Writes {
		statement, err := writeStatement(projection, &projection.Writes[i])
		if err != nil {
			return nil, err
		}
		c.writes = append(c.writes, statement)
	}
	for i := range projection.Queries {
		statement, err := queryStatement(projection, &projection.Queries[i])
		if err != nil {
			return nil, err
		}
		c.queries = append(c.queries, statement)
	}
	err := s.write(ctx, func(conn *conn) error {
		i := installer{conn: conn, queries: &s.queries, projection: projection, catalogue: c}
		return i.install(segments)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// installer is one transaction of Install.
type installer struct {
	conn       *conn
	queries    *queries
	projection *store.Projection
	catalogue  *catalogue
}

func (i *installer) install(segments int) error {
	if err := i.register(segments); err != nil {
		return err
	}
	for t := range i.projection.Tables {
		if err := i.installTable(&i.projection.Tables[t]); err != nil {
			return err
		}
	}
	for w := range i.catalogue.writes {
		if err := i.checkWrite(&i.catalogue.writes[w]); err != nil {
			return err
		}
	}
	for q := range i.catalogue.queries {
		if err := i.checkQuery(&i.catalogue.queries[q]); err != nil {
			return err
		}
	}
	return nil
}

// register records the projection and its segments, or finds that it is known by this version.
func (i *installer) register(segments int) error {
	name, version := i.projection.Name, i.projection.Version
	known := 0
	err := i.conn.query(i.queries.projection, func(row *prepared) error {
		known = row.ColumnInt(0)
		return nil
	}, name)
	switch {
	case err != nil:
		return fmt.Errorf("looking the projection up: %w", err)
	case known == 0:
		return i.registerNew(segments)
	case known != version:
		return store.VersionMismatch(name, known, version)
	}
	if err := i.reorder(); err != nil {
		return err
	}
	if _, err := i.conn.exec(i.queries.clearFailures, name); err != nil {
		return fmt.Errorf("clearing failures: %w", err)
	}
	return nil
}

// reorder records the ordering, which may be another than before. One that needs a single segment has to find one.
func (i *installer) reorder() error {
	name, whole := i.projection.Name, i.projection.Order == store.OrderGlobal
	if whole {
		segments := 0
		err := i.conn.query(i.queries.countSegments, func(row *prepared) error {
			segments = row.ColumnInt(0)
			return nil
		}, name)
		if err != nil {
			return fmt.Errorf("counting segments: %w", err)
		}
		if segments > 1 {
			return store.DividedOrder(name, segments)
		}
	}
	if _, err := i.conn.exec(i.queries.setWhole, name, whole); err != nil {
		return fmt.Errorf("recording the ordering: %w", err)
	}
	return nil
}

func (i *installer) registerNew(segments int) error {
	name := i.projection.Name
	tables, err := i.conn.tables(i.queries, name)
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	if len(tables) > 0 {
		return &store.CatalogueError{
			Item:   fmt.Sprintf("projection %q", name),
			Reason: fmt.Sprintf("the database has a table %s that is not the projection's: choose another name", tables[0]),
		}
	}
	if _, err := i.conn.exec(i.queries.insertProjection, name, i.projection.Version, i.projection.Order == store.OrderGlobal); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	if i.projection.Order == store.OrderGlobal {
		segments = 1
	}
	layout := layoutOf{conn: i.conn, queries: i.queries, projection: name}
	begin := store.NewLayout(segments)
	log, err := i.conn.logID(i.queries)
	if err != nil {
		return fmt.Errorf("reading the identity of the log: %w", err)
	}
	begin.Begin(log)
	return layout.write(&store.Layout{}, begin)
}

// tables returns the names of the tables that begin with the projection's prefix.
func (c *conn) tables(q *queries, projection string) (names []string, err error) {
	err = c.query(q.tables, func(row *prepared) error {
		names = append(names, row.ColumnText(0))
		return nil
	}, projection)
	return names, err
}

func (i *installer) checkWrite(entry *statement) error {
	checked, err := i.check(entry, "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
	if err != nil {
		return err
	}
	defer checked.close()
	if checked.ReadOnly() {
		return &store.CatalogueError{Item: entry.name, Reason: "changes nothing: it is a query"}
	}
	return nil
}

func (i *installer) checkQuery(entry *statement) error {
	checked, err := i.check(entry, "SELECT", "WITH", "VALUES")
	if err != nil {
		return err
	}
	defer checked.close()
	fault := ""
	switch columns := checked.ColumnCount(); {
	case !checked.ReadOnly():
		fault = "changes rows: it must be a write"
	case columns != len(entry.results):
		fault = fmt.Sprintf("gives %d columns, declared are %d results", columns, len(entry.results))
	}
	if fault != "" {
		return &store.CatalogueError{Item: entry.name, Reason: fault}
	}
	return nil
}

// check prepares a statement of the catalogue as it will run. The caller closes it.
func (i *installer) check(entry *statement, verbs ...string) (*prepared, error) {
	checked, fault, err := i.conn.vet(i.catalogue.policy, entry.sql, verbs...)
	if err != nil {
		return nil, err
	}
	if fault == "" && len(checked.places) > len(entry.params) {
		fault = fmt.Sprintf("uses $%d, declared are %d parameters", len(checked.places), len(entry.params))
		checked.close()
	}
	if fault != "" {
		return nil, &store.CatalogueError{Item: entry.name, Reason: fault}
	}
	return checked, nil
}

// Status returns how every projection stands. See [store.Projections].
func (s *Store) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	var all []store.ProjectionStatus
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.status, func(row *prepared) error {
			name := row.ColumnText(0)
			if len(all) == 0 || all[len(all)-1].Name != name {
				all = append(all, store.ProjectionStatus{Name: name, Version: row.ColumnInt(1), Asked: row.ColumnInt(2)})
			}
			last := &all[len(all)-1]
			last.Segments = append(last.Segments, store.SegmentStatus{
				Segment:   row.ColumnInt(3),
				Range:     store.HashRange{First: uint32(row.ColumnInt64(4)), Last: uint32(row.ColumnInt64(5))},
				Position:  row.ColumnInt64(6),
				Epoch:     row.ColumnInt64(7),
				Owner:     row.ColumnText(8),
				Live:      row.ColumnInt64(9) != 0,
				Failure:   row.ColumnText(10),
				Merge:     store.Merge{Into: row.ColumnInt(11), At: row.ColumnInt64(12)},
				UpdatedAt: time.UnixMicro(row.ColumnInt64(13)).UTC(),
				Applied:   row.applied(14),
			})
			return nil
		}, jsonList(only))
	})
	return all, err
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	return s.write(ctx, func(c *conn) error {
		owner := ""
		err := c.query(s.queries.liveOwner, func(row *prepared) error {
			owner = row.ColumnText(0)
			return nil
		}, projection)
		if err != nil {
			return fmt.Errorf("looking for owners: %w", err)
		}
		if owner != "" {
			return store.StillOwned(projection, owner)
		}
		// The tables may refer to each other; nothing does once all are gone.
		if _, err := c.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		forgotten, err := c.exec(s.queries.deleteProjection, projection)
		if err != nil {
			return fmt.Errorf("forgetting the projection: %w", err)
		}
		if forgotten == 0 {
			return store.UnknownProjection(projection)
		}
		tables, err := c.tables(&s.queries, projection)
		if err != nil {
			return fmt.Errorf("looking at the tables: %w", err)
		}
		for _, table := range tables {
			if err := c.db.Exec("DROP TABLE " + quote(table)); err != nil {
				return fmt.Errorf("dropping table %s: %w", table, err)
			}
		}
		return nil
	})
}
