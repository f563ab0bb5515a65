package mysql

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// installer is one run of Install, on a connection with the lock of the projection.
type installer struct {
	store      *Store
	conn       *conn
	queries    *queries
	projection placed
	catalogue  *catalogue
	live       bool // readers see the version
	beside     bool // the host runs an earlier version too
}

func (i *installer) install(segments int) error {
	if err := i.store.mend(i.conn, i.projection.Name); err != nil {
		return err
	}
	versions, err := i.conn.versions(&i.queries.versions, i.projection.Name)
	if err != nil {
		return err
	}
	was := versions.Find(i.projection.ID())
	if was == nil {
		was, err = i.installVersion(versions, segments)
	} else {
		i.live = was.Live
		err = i.installAgain(was, segments)
	}
	if err != nil || !i.live {
		return err
	}
	var before []string
	if was != nil {
		before = was.Shown()
	}
	if err := i.publish(before); err != nil {
		return err
	}
	if was != nil && (was.ID() != i.projection.ID() || i.projection.Bare()) { // its tables go, now that nobody reads them
		err = i.store.mend(i.conn, i.projection.Name)
	}
	return err
}

// installVersion makes a version that is not installed: the first one, one in the place of an earlier one of which
// nothing is lost, or a candidate. It returns what readers saw before, where that is another version.
func (i *installer) installVersion(versions store.Versioned, segments int) (was *store.Installed, err error) {
	live := versions.Live()
	if live == nil && i.projection.Build == 0 {
		i.live = true
		return nil, i.registerNew(segments, false)
	}
	if i.projection.Build == 0 && i.projection.Version > live.Version && len(versions) == 1 && !i.beside {
		i.live = true
		if replaced, err := i.replaceVersion(live, segments); err != nil || replaced {
			return live, err
		}
		i.live = false
	}
	if err := versions.Beside(i.projection.Projection, store.DialectMySQL); err != nil {
		return nil, err
	}
	return nil, i.registerNew(segments, versions.AskedFor(i.projection.ID()))
}

// registerNew makes a version that is new, with its tables and segments. asked says that it is the build that was asked
// for.
func (i *installer) registerNew(segments int, asked bool) error {
	return i.make(func(c *conn, shapes string) error {
		whole := i.projection.Order == store.OrderGlobal
		if _, err := c.exec(i.queries.install.insertProjection, i.projection.Name, i.projection.ID().Number(), whole,
			i.projection.Declaration(store.DialectMySQL), shapes, i.live); err != nil {
			return fmt.Errorf("registering the projection: %w", err)
		}
		if asked {
			if err := c.askRebuild(&i.queries.versions, i.projection.Name, 0); err != nil {
				return err
			}
		}
		n := segments
		if whole {
			n = 1
		}
		layout := store.NewLayout(n)
		if !i.catalogue.apart {
			log, err := c.logID(i.queries)
			if err != nil {
				return fmt.Errorf("reading the identity of the log: %w", err)
			}
			layout.Begin(log)
		}
		return i.layout(i.projection.ID()).write(&store.Layout{}, layout)
	})
}

// make makes the tables of a version that is new, and what register does to make them count.
func (i *installer) make(register func(c *conn, shapes string) error) error {
	if err := i.checkPlace(); err != nil {
		return err
	}
	if i.live {
		if err := cmp.Or(i.readers().checkPlace(), i.readers().checkNames(nil)); err != nil {
			return err
		}
	}
	place := i.projection.tables
	if err := i.conn.begin(i.queries, i.projection.Name, place, work{}); err != nil {
		return err
	}
	shapes, err := i.build()
	if err == nil {
		err = i.conn.transactAgain(func(c *conn) error {
			if err := register(c, shapes); err != nil {
				return err
			}
			return c.finish(i.queries, place)
		})
	}
	if err != nil {
		i.giveUp()
	}
	return err
}

// giveUp takes back what has been begun. Where that fails, whoever has the lock next does it.
func (i *installer) giveUp() { _ = i.store.mend(i.conn, i.projection.Name) }

// build makes the database of the version with all that is in it, and returns the shapes of the tables as they are
// stored.
func (i *installer) build() (shapes string, err error) {
	if i.projection.Bare() {
		return "[]", nil
	}
	if err := i.makeDatabase(i.projection.tables); err != nil {
		return "", err
	}
	if shapes, err = i.createTables(); err != nil {
		return "", err
	}
	if err := i.checkStatements(); err != nil {
		return "", err
	}
	if err := i.makeProcedures(); err != nil {
		return "", err
	}
	return shapes, i.makeViews(nil)
}

// checkStatements checks the writes, the queries and the views, and changes nothing.
func (i *installer) checkStatements() error {
	for _, entries := range [][]statement{i.catalogue.writes, i.catalogue.queries} {
		for e := range entries {
			if entries[e].procedure == "" {
				continue
			}
			if err := i.conn.vet(i.projection, &entries[e]); err != nil {
				return err
			}
		}
	}
	return i.checkViews()
}

// makeProcedures makes those of the statements that modules brought, unless they are there.
func (i *installer) makeProcedures() error {
	for _, entries := range [][]statement{i.catalogue.writes, i.catalogue.queries} {
		for e := range entries {
			if entries[e].procedure == "" {
				continue
			}
			if err := i.conn.makeProcedure(i.projection, &entries[e]); err != nil {
				return err
			}
		}
	}
	return nil
}

// installAgain checks that a version which is installed is as declared, and makes what it has additionally.
func (i *installer) installAgain(was *store.Installed, segments int) error {
	if err := i.conn.checkMine(i.projection); err != nil {
		return err
	}
	left, unfit, err := i.conn.left(i.queries, was.Name, i.projection.tables)
	if err != nil {
		return err
	}
	fault := i.compare(was)
	if unfit && fault == nil {
		fault = store.TableChanged(was.Name, strings.Join(left, ", "), "was being made again when its host ended")
	}
	var catalogue *store.CatalogueError
	if errors.As(fault, &catalogue) {
		if replaced, err := i.replaceUnused(was, left, segments); err != nil || replaced {
			return err
		}
	}
	if fault != nil {
		return fault
	}
	return i.extend(was)
}

// compare finds what differs from what was installed in this version.
func (i *installer) compare(was *store.Installed) error {
	var err error
	if was.Found, err = i.shapes(); err != nil {
		return err
	}
	return was.Fits(i.projection.Projection, store.DialectMySQL)
}

func (i *installer) layout(of store.ProjectionID) layoutOf {
	return layoutOf{conn: i.conn, queries: &i.queries.layout, projection: of}
}

func (i *installer) readers() *readerViews {
	return i.store.readerViews(i.conn, i.projection.Projection)
}
