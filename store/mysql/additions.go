package mysql

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// extend gives a version that is installed and fits what it has additionally: columns, procedures of statements and
// views. Indexes are for BuildIndexes.
//
// Readers and commits wait while a table gets a column, which takes no longer however many rows it has. So that a module
// that is refused leaves nothing, its statements are tried before, on tables that are like those that are there.
func (i *installer) extend(was *store.Installed) error {
	joined, added := was.Join(i.projection.Projection)
	if i.live {
		if err := i.readers().checkNames(was.Shown()); err != nil {
			return err
		}
	}
	check := i.checkStatements
	if len(added) > 0 {
		check = func() error { return i.rehearse(func(at *installer) error { return i.copyTables(at, added) }) }
	}
	if err := check(); err != nil {
		return err
	}
	views, err := i.changedViews(was.Views)
	if err != nil {
		return err
	}
	w := work{Columns: added, Views: views}
	if err := i.checkUnlocked(added); err != nil {
		return err
	}
	if !w.none() {
		if err := i.conn.begin(i.queries, was.Name, i.projection.tables, w); err != nil {
			return err
		}
	}
	shapes, err := i.add(was, added)
	if err == nil {
		err = i.conn.transactAgain(func(c *conn) error { return i.declare(c, joined, shapes, !w.none()) })
	}
	if err != nil && !w.none() {
		i.giveUp()
	}
	return err
}

// add makes what the version has additionally, and returns the shapes of its tables as they are stored then.
func (i *installer) add(was *store.Installed, added []store.NewColumn) (shapes string, err error) {
	shapes = was.Shapes
	if len(added) > 0 {
		if err := i.alterTables(added); err != nil {
			return "", err
		}
		found, err := i.shapes()
		if err != nil {
			return "", err
		}
		if shapes, err = was.ShapesWith(added, found); err != nil {
			return "", err
		}
	}
	if err := i.makeProcedures(); err != nil {
		return "", err
	}
	return shapes, i.makeViews(was.Views)
}

// declare notes what is installed in the version, and lets failed segments go on.
func (i *installer) declare(c *conn, joined *store.Projection, shapes string, begun bool) error {
	id := i.projection.ID()
	if _, err := c.exec(i.queries.install.declare, id.Name, id.Number(), joined.Declaration(store.DialectMySQL),
		shapes); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	if _, err := c.exec(i.queries.status.recover, id.Name, id.Number(), true, []int{}); err != nil {
		return fmt.Errorf("clearing failures: %w", err)
	}
	if !begun {
		return nil
	}
	return c.finish(i.queries, i.projection.tables)
}

// alterTables adds columns. It writes no row: all are NULL.
func (i *installer) alterTables(added []store.NewColumn) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		var clauses []string
		for _, a := range added {
			if a.Table != table.Name {
				continue
			}
			added, _ := table.Column(a.Column)
			column, constraint, err := columnOf(table, &added, 0, nil)
			if err != nil {
				return err
			}
			clauses = append(clauses, "ADD COLUMN "+column)
			if constraint != "" {
				clauses = append(clauses, "ADD "+constraint)
			}
		}
		if len(clauses) == 0 {
			continue
		}
		if err := i.alterTable(table, clauses); err != nil {
			return err
		}
	}
	return nil
}

// checkUnlocked reports tables that are to get columns and that somebody uses, before anything is begun.
func (i *installer) checkUnlocked(added []store.NewColumn) error {
	for n, a := range added {
		if n > 0 && added[n-1].Table == a.Table {
			continue
		}
		if err := i.lockBriefly(a.Table); err != nil {
			return err
		}
		if err := i.unlock(); err != nil {
			return err
		}
	}
	return nil
}

// alterTable changes a table once nobody uses it.
func (i *installer) alterTable(table *store.Table, clauses []string) error {
	if err := i.lockBriefly(table.Name); err != nil {
		return err
	}
	err := i.define(table, "ALTER TABLE "+i.projection.table(table.Name)+" "+strings.Join(clauses, ", "))
	return cmp.Or(err, i.unlock())
}

// scratch is the name of the database in which an install tries what it is about to make: that of a version 0, which there
// is none of, and on which the user of the projection has its rights.
func (p placed) scratch() string { return p.readers + "__v0" }

// rehearse checks the statements on tables in a database that is dropped afterwards. tables makes them there.
func (i *installer) rehearse(tables func(at *installer) error) error {
	at := *i
	at.projection.tables = i.projection.scratch()
	at.catalogue = &catalogue{store: i.store, of: at.projection}
	if err := at.catalogue.read(at.projection); err != nil {
		return err
	}
	if err := i.conn.begin(i.queries, i.projection.Name, at.projection.tables, work{}); err != nil {
		return err
	}
	err := at.makeDatabase(at.projection.tables)
	if err == nil {
		err = tables(&at)
	}
	if err == nil {
		err = at.checkStatements()
	}
	dropping := i.store.dropPlace(i.conn, at.projection.tables)
	if err == nil {
		err = dropping
	}
	return err
}

// copyTables makes tables like those of the version at another place, with columns that they are to get.
func (i *installer) copyTables(at *installer, added []store.NewColumn) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		if err := at.define(table, fmt.Sprintf("CREATE TABLE %s LIKE %s", at.projection.table(table.Name),
			i.projection.table(table.Name))); err != nil {
			return err
		}
	}
	return at.alterTables(added)
}
