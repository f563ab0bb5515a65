package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// installer is one transaction of Install.
type installer struct {
	conn       *conn
	queries    *queries
	projection placed
	catalogue  *catalogue
}

func (i *installer) install(segments int) error {
	before, err := i.register(segments)
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
	return i.makeViews(before)
}

// register makes the projection and its tables, or checks that they are as declared. It returns the views that exist.
func (i *installer) register(segments int) (views []store.View, err error) {
	version, known := 0, false
	var declared, shapes string
	err = i.conn.query(i.queries.projection, func(row *prepared) error {
		version, declared, shapes, known = row.ColumnInt(0), row.ColumnText(1), row.ColumnText(2), true
		return nil
	}, i.projection.Name)
	if err != nil {
		return nil, fmt.Errorf("looking the projection up: %w", err)
	}
	if !known {
		return nil, i.registerNew(segments)
	}
	fault := i.compare(version, declared, shapes)
	var catalogue *store.CatalogueError
	if errors.As(fault, &catalogue) && version <= i.projection.Version {
		replaced, err := i.replaceUnused(declared, segments)
		if err != nil || replaced {
			return nil, err
		}
	}
	if fault != nil {
		return nil, fault
	}
	if err := i.createIndexes(); err != nil {
		return nil, err
	}
	if _, err := i.conn.exec(i.queries.declare, i.projection.Name,
		i.projection.Declaration(store.DialectSQLite)); err != nil {
		return nil, fmt.Errorf("registering the projection: %w", err)
	}
	if _, err := i.conn.exec(i.queries.clearFailures, i.projection.Name); err != nil {
		return nil, fmt.Errorf("clearing failures: %w", err)
	}
	return store.DeclaredViews(declared)
}

// compare finds what differs from what was installed.
func (i *installer) compare(version int, declared, shapes string) error {
	if version != i.projection.Version {
		return store.VersionMismatch(i.projection.Name, version, i.projection.Version)
	}
	if err := i.projection.CheckDeclaration(store.DialectSQLite, declared); err != nil {
		return err
	}
	if i.projection.Bare() {
		return nil
	}
	var installed []store.TableShape
	if err := json.Unmarshal([]byte(shapes), &installed); err != nil {
		return fmt.Errorf("reading the stored tables: %w", err)
	}
	found, err := i.shapes()
	if err != nil {
		return err
	}
	return i.projection.CheckShapes(installed, found)
}

func (i *installer) registerNew(segments int) error {
	if !i.projection.Bare() {
		if err := i.checkPlace(); err != nil {
			return err
		}
	}
	shapes, err := i.createTables()
	if err != nil {
		return err
	}
	whole := i.projection.Order == store.OrderGlobal
	if _, err := i.conn.exec(i.queries.insertProjection, i.projection.Name, i.projection.Version, whole,
		i.projection.Declaration(store.DialectSQLite), shapes); err != nil {
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
	return i.layout().write(&store.Layout{}, layout)
}

// checkPlace refuses names of tables that are taken.
func (i *installer) checkPlace() error {
	tables, kinds, err := i.conn.tables(i.queries, i.projection.prefix)
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	if len(tables) > 0 {
		return store.NotTheProjections(i.projection.Name, "a "+kinds[0]+" "+tables[0])
	}
	return nil
}

func (i *installer) layout() layoutOf {
	return layoutOf{conn: i.conn, queries: i.queries, projection: i.projection.Name}
}

// replaceUnused replaces the installed tables by those that are declared now, while no event is applied and they
// are empty: nothing is lost. It reports whether it did.
func (i *installer) replaceUnused(declared string, segments int) (bool, error) {
	before, err := i.layout().read()
	if err != nil || before.Applied() {
		return false, err
	}
	tables, err := store.DeclaredTables(declared)
	if err != nil {
		return false, err
	}
	for _, table := range tables {
		if empty, err := i.isEmpty(table); err != nil || !empty {
			return false, err
		}
	}
	views, err := store.DeclaredViews(declared)
	if err != nil {
		return false, err
	}
	for _, view := range views {
		if err := i.dropView(view.Name); err != nil {
			return false, err
		}
	}
	if err := i.dropEmpty(tables); err != nil {
		return false, err
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
	if _, err := i.conn.exec(i.queries.fenceAll, i.projection.Name); err != nil {
		return false, fmt.Errorf("fencing the segments: %w", err)
	}
	if err := i.layout().write(before, after); err != nil {
		return false, err
	}
	_, err = i.conn.exec(i.queries.alterProjection, i.projection.Name, i.projection.Version, after.Single,
		i.projection.Declaration(store.DialectSQLite), shapes)
	if err != nil {
		return false, fmt.Errorf("registering the projection: %w", err)
	}
	return true, nil
}

// isEmpty reports whether a table has no row, or is not there.
func (i *installer) isEmpty(table string) (bool, error) {
	exists := false
	err := i.conn.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = $1", func(*prepared) error {
		exists = true
		return nil
	}, i.projection.tableName(table))
	if err != nil || !exists {
		return true, err
	}
	empty, err := true, error(nil)
	err = i.conn.query("SELECT 1 FROM "+i.projection.table(table)+" LIMIT 1", func(*prepared) error {
		empty = false
		return nil
	})
	return empty, err
}

// dropEmpty drops tables, which may refer to each other.
func (i *installer) dropEmpty(tables []string) error {
	if _, err := i.conn.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
		return err
	}
	for _, table := range tables {
		if err := i.conn.db.Exec("DROP TABLE IF EXISTS " + i.projection.table(table)); err != nil {
			return fmt.Errorf("dropping table %s: %w", table, err)
		}
	}
	return nil
}

// tables returns the tables and views that begin with a prefix, by name and with their kind, views first.
func (c *conn) tables(q *queries, prefix string) (names, kinds []string, err error) {
	err = c.query(q.tables, func(row *prepared) error {
		names, kinds = append(names, row.ColumnText(0)), append(kinds, row.ColumnText(1))
		return nil
	}, prefix)
	return names, kinds, err
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
