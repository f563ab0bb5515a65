package mysql

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// What is installed is replaced by what is declared now while no event is applied and the tables are empty: nothing is
// lost. Claims of before are fenced first.

// errInUse ends a replacement of tables that are in use.
var errInUse = errors.New("the tables are in use")

// replaceVersion replaces an earlier version by this one. It reports whether it did.
func (i *installer) replaceVersion(was *store.Installed, segments int) (bool, error) {
	if unused, err := i.unused(was); err != nil || !unused {
		return false, err
	}
	if err := i.store.checkOthers(i.conn, store.Versioned{*was}); err != nil {
		return false, err
	}
	err := i.make(func(c *conn, shapes string) error {
		before, err := i.lockUnused(was)
		if err != nil {
			return err
		}
		after, err := before.Renewed(i.projection.Order, segments)
		if err != nil {
			return err
		}
		if _, err := c.exec(i.queries.install.fenceAll, was.Name, was.ID().Number()); err != nil {
			return fmt.Errorf("fencing the segments: %w", err)
		}
		if err := i.renew(was, before, after, shapes); err != nil {
			return err
		}
		return c.begin(i.queries, was.Name, i.store.placed(&was.Projection).tables, work{})
	})
	if errors.Is(err, errInUse) {
		return false, nil
	}
	return err == nil, err
}

// beingMade is the failure of segments whose tables are being made again, which keeps workers from claiming them.
const beingMade = "its tables are being made again, which an install completes"

// replaceUnused replaces the tables that are installed by those that are declared now under the same version. left is
// what a host has made of that already that has ended. It reports whether it did.
func (i *installer) replaceUnused(was *store.Installed, left []string, segments int) (bool, error) {
	if unused, err := i.unused(was); err != nil || !unused {
		return false, err
	}
	if err := i.checkAgain(was, left); err != nil {
		return false, err
	}
	place := i.projection.tables
	err := i.conn.transactAgain(func(c *conn) error {
		if _, err := i.lockUnused(was); err != nil {
			return err
		}
		if _, err := c.exec(i.queries.install.hold, was.Name, was.ID().Number(), beingMade); err != nil {
			return fmt.Errorf("fencing the segments: %w", err)
		}
		return c.begin(i.queries, was.Name, place, work{Names: append(i.projection.Shown(), left...)})
	})
	if errors.Is(err, errInUse) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := i.clear(append(was.Shown(), left...)); err != nil {
		return false, err
	}
	shapes, err := i.build()
	if err != nil {
		return false, err
	}
	return true, i.conn.transactAgain(func(c *conn) error {
		before, err := i.layout(was.ID()).read()
		if err != nil {
			return err
		}
		after, err := before.Renewed(i.projection.Order, segments)
		if err != nil {
			return err
		}
		if err := i.renew(was, before, after, shapes); err != nil {
			return err
		}
		if i.projection.Bare() { // the database goes
			return c.begin(i.queries, was.Name, place, work{})
		}
		return c.finish(i.queries, place)
	})
}

// checkAgain refuses what cannot be made in the place of the tables that are there, before anything is changed.
func (i *installer) checkAgain(was *store.Installed, left []string) error {
	mine := append(was.Shown(), left...)
	if i.live {
		if err := i.readers().checkNames(mine); err != nil {
			return err
		}
	}
	found, err := i.conn.objects(i.projection.tables)
	if err != nil {
		return err
	}
	for _, o := range found {
		taken := i.projection.Bare() || slices.Contains(i.projection.Shown(), o.name)
		if taken && !slices.Contains(mine, o.name) {
			return i.notMine(o, i.projection.tables)
		}
	}
	if i.projection.Bare() {
		what, err := i.conn.foreign(i.projection.tables)
		if err == nil && what != "" {
			err = i.foreigner(what)
		}
		return cmp.Or(err, i.checkBuilt())
	}
	if err := i.checkBuilt(); err != nil {
		return err
	}
	return i.rehearse(func(at *installer) error {
		_, err := at.createTables()
		return err
	})
}

// checkBuilt refuses to drop tables that those of others refer to, or that have a trigger.
func (i *installer) checkBuilt() error {
	built := ""
	err := i.conn.query(`SELECT CONCAT('foreign key ', constraint_name, ' of table ', table_name, ' in database ', constraint_schema)
		FROM information_schema.referential_constraints WHERE unique_constraint_schema = $1 AND constraint_schema <> $1
		UNION ALL SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = $1
		ORDER BY 1 LIMIT 1`, func(r *row) error {
		built = r.text(0)
		return nil
	}, i.projection.tables)
	if err != nil {
		return fmt.Errorf("looking for foreign keys and triggers: %w", err)
	}
	if built == "" {
		return nil
	}
	return &store.CatalogueError{
		Item:   fmt.Sprintf("projection %q", i.projection.Name),
		Reason: "its empty tables are to be made again, and something was built upon them: " + built,
	}
}

// clear drops tables and views, whatever each of them is now, and the procedures of the version. Somebody may have
// others beside them.
func (i *installer) clear(names []string) error {
	found, err := i.conn.objects(i.projection.tables, append(names, trialTable)...)
	if err != nil {
		return err
	}
	for _, o := range found {
		if err := i.conn.drop(o.kind, i.projection.tables, o.name); err != nil {
			return err
		}
	}
	return i.dropProcedures()
}

// unused reports whether nothing is lost with what is installed: no event is applied, and the tables are empty. It locks
// nothing: a module that is refused, which is tried again and again, must not hold commits up.
func (i *installer) unused(was *store.Installed) (bool, error) {
	applied := false
	err := i.conn.query(i.queries.install.applied, func(r *row) error {
		applied = r.bool(0)
		return nil
	}, was.Name, was.ID().Number())
	if err != nil || applied {
		return false, err
	}
	return i.areEmpty(was)
}

// lockUnused returns the layout of what is installed and unused, which stays so until the transaction ends: commits
// wait for it.
func (i *installer) lockUnused(was *store.Installed) (*store.Layout, error) {
	before, err := i.layout(was.ID()).read()
	if err != nil {
		return nil, err
	}
	empty, err := i.areEmpty(was)
	if err != nil {
		return nil, err
	}
	if before.Applied() || !empty {
		return nil, errInUse
	}
	return before, nil
}

func (i *installer) areEmpty(was *store.Installed) (bool, error) {
	of := i.store.placed(&was.Projection)
	found, err := i.conn.objects(of.tables)
	if err != nil {
		return false, err
	}
	for t := range was.Tables {
		name := was.Tables[t].Name
		if !slices.Contains(found, object{name, kindTable}) {
			continue
		}
		empty := true
		err := i.conn.query("SELECT 1 FROM "+of.table(name)+" LIMIT 1", func(*row) error {
			empty = false
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("looking at table %s: %w", name, err)
		}
		if !empty {
			return false, nil
		}
	}
	return true, nil
}

// renew registers the projection in place of what was installed.
func (i *installer) renew(was *store.Installed, before, after *store.Layout, shapes string) error {
	if err := i.layout(was.ID()).write(before, after); err != nil {
		return err
	}
	for _, number := range []int64{was.ID().Number(), i.projection.ID().Number()} {
		if err := i.conn.deleteHeld(i.queries, was.Name, number); err != nil {
			return err
		}
	}
	if _, err := i.conn.exec(i.queries.install.alterProjection, was.Name, was.ID().Number(), i.projection.ID().Number(),
		after.Single, i.projection.Declaration(store.DialectMySQL), shapes); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	return nil
}
