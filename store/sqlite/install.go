package sqlite

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// installer is one transaction of Install.
type installer struct {
	conn       *conn
	queries    *queries
	home       string // the prefix of the store's own tables
	projection placed
	catalogue  *catalogue
	live       bool // readers see the version
	beside     bool // the host runs an earlier version too
}

func (i *installer) install(segments int) error {
	was, replaced, err := i.register(segments)
	if err != nil {
		return err
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
	var shown []string
	var views []store.View
	if was != nil {
		shown = was.Shown()
		if !replaced {
			views = was.Views
		}
	}
	if err := i.makeViews(views); err != nil {
		return err
	}
	if !i.live {
		return nil
	}
	return i.publish(shown)
}

// register makes the version and its tables, or checks that they are as declared. It returns what was installed
// before, or nil, and whether that was replaced.
func (i *installer) register(segments int) (was *store.Installed, replaced bool, err error) {
	versions, err := i.conn.versions(i.queries, i.projection.Name)
	if err != nil {
		return nil, false, err
	}
	if was = versions.Find(i.projection.ID()); was == nil {
		return i.registerVersion(versions, segments)
	}
	i.live = was.Live
	fault := i.compare(was)
	var catalogue *store.CatalogueError
	if errors.As(fault, &catalogue) {
		replaced, err := i.replaceUnused(was, segments)
		if err != nil || replaced {
			return was, replaced, err
		}
	}
	if fault != nil {
		return nil, false, fault
	}
	joined, added := was.Join(i.projection.Projection)
	shapes, err := i.addColumns(was, added)
	if err != nil {
		return nil, false, err
	}
	if err := i.createIndexes(); err != nil {
		return nil, false, err
	}
	id := i.projection.ID()
	if _, err := i.conn.exec(i.queries.declare, id.Name, id.Number(),
		joined.Declaration(store.DialectSQLite), shapes); err != nil {
		return nil, false, fmt.Errorf("registering the projection: %w", err)
	}
	if _, err := i.conn.exec(i.queries.recover, id.Name, id.Number(), jsonList([]int{})); err != nil {
		return nil, false, fmt.Errorf("clearing failures: %w", err)
	}
	return was, false, nil
}

// registerVersion makes a version that is not installed: the first one, one in the place of an earlier one of which
// nothing is lost, or a candidate. It returns what it has replaced.
func (i *installer) registerVersion(
	versions store.Versioned, segments int,
) (was *store.Installed, replaced bool, err error) {
	live := versions.Live()
	if live == nil && i.projection.Build == 0 {
		i.live = true
		return nil, false, i.registerNew(segments)
	}
	if i.projection.Build == 0 && i.projection.Version > live.Version && len(versions) == 1 && !i.beside {
		if replaced, err := i.replaceUnused(live, segments); err != nil || replaced {
			i.live = replaced
			return live, replaced, err
		}
	}
	if err := versions.Beside(i.projection.Projection, store.DialectSQLite); err != nil {
		return nil, false, err
	}
	if versions.AskedFor(i.projection.ID()) {
		if err := i.conn.askRebuild(i.queries, i.projection.Name, 0); err != nil {
			return nil, false, err
		}
	}
	return nil, false, i.registerNew(segments)
}

// compare finds what differs from what was installed in this version.
func (i *installer) compare(was *store.Installed) error {
	var err error
	if was.Found, err = i.shapes(); err != nil {
		return err
	}
	return was.Fits(i.projection.Projection, store.DialectSQLite)
}

func (i *installer) registerNew(segments int) error {
	if err := i.checkPlace(); err != nil {
		return err
	}
	shapes, err := i.createTables()
	if err != nil {
		return err
	}
	whole := i.projection.Order == store.OrderGlobal
	if _, err := i.conn.exec(i.queries.insertProjection, i.projection.Name, i.projection.ID().Number(), whole,
		i.projection.Declaration(store.DialectSQLite), shapes, i.live); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	if whole {
		segments = 1
	}
	layout := store.NewLayout(segments)
	if !i.catalogue.apart {
		log, err := i.conn.logID(i.queries)
		if err != nil {
			return fmt.Errorf("reading the identity of the log: %w", err)
		}
		layout.Begin(log)
	}
	return i.layout(i.projection.ID()).write(&store.Layout{}, layout)
}

func (i *installer) layout(of store.ProjectionID) layoutOf {
	return layoutOf{conn: i.conn, queries: i.queries, projection: of}
}

// replaceUnused replaces what is installed by what is declared now, while no event is applied and the tables are
// empty: nothing is lost. It reports whether it did.
func (i *installer) replaceUnused(was *store.Installed, segments int) (bool, error) {
	before, err := i.layout(was.ID()).read()
	if err != nil || before.Applied() {
		return false, err
	}
	place := store.PlaceOf(i.home, was.ID())
	for t := range was.Tables {
		if empty, err := i.conn.isEmpty(inPlace(place.Tables, was.Tables[t].Name)); err != nil || !empty {
			return false, err
		}
	}
	if err := i.conn.dropVersion(place.Tables, was); err != nil {
		return false, err
	}
	if was.ID() != i.projection.ID() {
		if err := i.checkPlace(); err != nil {
			return false, err
		}
	}
	shapes, err := i.createTables()
	if err != nil {
		return false, err
	}
	after, err := before.Renewed(i.projection.Order, segments)
	if err != nil {
		return false, err
	}
	// Earlier claims are for the earlier tables.
	if _, err := i.conn.exec(i.queries.fenceAll, was.Name, was.ID().Number()); err != nil {
		return false, fmt.Errorf("fencing the segments: %w", err)
	}
	if err := i.layout(was.ID()).write(before, after); err != nil {
		return false, err
	}
	_, err = i.conn.exec(i.queries.alterProjection, was.Name, was.ID().Number(), i.projection.ID().Number(), after.Single,
		i.projection.Declaration(store.DialectSQLite), shapes)
	if err != nil {
		return false, fmt.Errorf("registering the projection: %w", err)
	}
	return true, nil
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
	rules := i.catalogue.policy
	if entry.owned {
		rules = ownedPolicy(i.projection)
	}
	checked, fault, err := i.conn.vet(rules, entry.sql, verbs...)
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
