package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// installer is one transaction of Install.
type installer struct {
	tx         pgx.Tx
	queries    *queries
	projection placed
	catalogue  *catalogue
	home       string    // the store's schema
	isolation  Isolation // what is asked for
	owner      string    // the role that owns the tables, or "" where they are the host's own
	asOwnerNow bool      // see asOwner
	limits     []int64   // see Store.installLimits
	live       bool      // readers see the version
	beside     bool      // the host runs an earlier version too
}

func (i *installer) install(ctx context.Context, segments int) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	was, replaced, err := i.register(ctx, segments)
	if err != nil {
		return err
	}
	if err := i.checkStatements(ctx); err != nil {
		return err
	}
	var views []store.View
	var shown []string
	if was != nil {
		shown = was.Shown()
	}
	if was != nil && !replaced {
		views = was.Views
	}
	if err := i.makeViews(ctx, views); err != nil {
		return err
	}
	if i.live {
		if err := i.publish(ctx, shown); err != nil {
			return err
		}
	}
	if replaced {
		if err := i.dropReplaced(ctx, was); err != nil {
			return err
		}
	}
	return i.confine(ctx)
}

// begin keeps other installs of the projection waiting. Statements are checked under the settings that they will run
// with.
func (i *installer) begin(ctx context.Context) error {
	if err := i.pin(ctx); err != nil {
		return err
	}
	if _, err := i.tx.Exec(ctx, i.queries.lockProjection, i.projection.Name); err != nil {
		return fmt.Errorf("locking the projection: %w", err)
	}
	return nil
}

// checkStatements checks the writes and queries.
func (i *installer) checkStatements(ctx context.Context) error {
	sandbox := &sandbox{installer: i}
	for _, entries := range [][]statement{i.catalogue.writes, i.catalogue.queries} {
		for e := range entries {
			if err := sandbox.check(ctx, &entries[e]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *installer) pin(ctx context.Context) error {
	if _, err := i.tx.Exec(ctx, i.queries.pin, i.limits); err != nil {
		return fmt.Errorf("fixing the settings: %w", err)
	}
	return nil
}

// register makes the version and its tables, or checks that they are as declared. It returns what was installed
// before, or nil, and whether that was replaced.
func (i *installer) register(ctx context.Context, segments int) (was *store.Installed, replaced bool, err error) {
	versions, err := readVersions(ctx, i.tx, i.queries, i.projection.Name)
	if err != nil {
		return nil, false, err
	}
	if was = versions.Find(i.projection.ID()); was == nil {
		return i.registerVersion(ctx, versions, segments)
	}
	i.live = was.Live
	if was.Bare() && !i.projection.Bare() {
		if err := i.checkFirstPlace(ctx); err != nil {
			return nil, false, err
		}
	}
	if err := i.isolate(ctx); err != nil {
		return nil, false, err
	}
	fault := i.compare(ctx, was)
	var catalogue *store.CatalogueError
	if errors.As(fault, &catalogue) {
		replaced, err := i.replaceUnused(ctx, was, segments)
		if err != nil || replaced {
			return was, replaced, err
		}
	}
	if fault != nil {
		return nil, false, fault
	}
	joined, added := was.Join(i.projection.Projection)
	if len(added) > 0 {
		return nil, false, cmp.Or(i.tryColumns(ctx, added), errNewColumns)
	}
	if err := i.declare(ctx, joined, was.Shapes); err != nil {
		return nil, false, err
	}
	id := i.projection.ID()
	if _, err := i.tx.Exec(ctx, i.queries.recover, id.Name, id.Number(), []int{}); err != nil {
		return nil, false, fmt.Errorf("clearing failures: %w", err)
	}
	return was, false, nil
}

// declare notes what is installed in the version.
func (i *installer) declare(ctx context.Context, projection *store.Projection, shapes string) error {
	if _, err := i.tx.Exec(ctx, i.queries.declare, projection.Name, projection.ID().Number(),
		projection.Declaration(store.DialectPostgres), shapes); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	return nil
}

// compare finds what differs from what was installed in this version.
func (i *installer) compare(ctx context.Context, was *store.Installed) error {
	var err error
	if was.Found, err = i.shapes(ctx); err != nil {
		return err
	}
	if err := was.Fits(i.projection.Projection, store.DialectPostgres); err != nil || i.projection.Bare() {
		return err
	}
	// Nothing is lost with a schema for readers, or with one without tables, which the statements are checked in.
	if err := i.createSchemas(ctx); err != nil {
		return err
	}
	return i.checkDefaults(ctx)
}

// registerVersion makes a version that is not installed: the first one, one in the place of an earlier one of which
// nothing is lost, or a candidate. It returns what it has replaced.
func (i *installer) registerVersion(
	ctx context.Context, versions store.Versioned, segments int,
) (was *store.Installed, replaced bool, err error) {
	live := versions.Live()
	if live == nil && i.projection.Build == 0 {
		i.live = true
		return nil, false, i.registerNew(ctx, segments)
	}
	if i.projection.Build == 0 && i.projection.Version > live.Version && len(versions) == 1 && !i.beside {
		before, err := i.unused(ctx, live)
		if err != nil {
			return nil, false, err
		}
		if before != nil {
			i.live = true
			return live, true, i.replaceVersion(ctx, live, before, segments)
		}
	}
	if err := versions.Beside(i.projection.Projection, store.DialectPostgres); err != nil {
		return nil, false, err
	}
	if versions.AskedFor(i.projection.ID()) {
		if err := askRebuild(ctx, i.tx, i.queries, i.projection.Name, 0); err != nil {
			return nil, false, err
		}
	}
	return nil, false, i.registerNew(ctx, segments)
}

func (i *installer) registerNew(ctx context.Context, segments int) error {
	shapes, err := i.makePlace(ctx)
	if err != nil {
		return err
	}
	whole := i.projection.Order == store.OrderGlobal
	if _, err := i.tx.Exec(ctx, i.queries.insertProjection, i.projection.Name, i.projection.ID().Number(), whole,
		i.projection.Declaration(store.DialectPostgres), shapes, i.live); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	if whole {
		segments = 1
	}
	log, err := i.logID(ctx)
	if err != nil {
		return err
	}
	layout := store.NewLayout(segments)
	layout.Begin(log)
	return i.layout(i.projection.ID()).write(ctx, &store.Layout{}, layout)
}

// makePlace makes the schemas and tables of a version that is new. It returns the shapes of the tables.
func (i *installer) makePlace(ctx context.Context) (shapes string, err error) {
	if !i.projection.Bare() {
		if err := i.checkPlace(ctx); err != nil {
			return "", err
		}
	}
	if err := i.isolate(ctx); err != nil {
		return "", err
	}
	return i.createTables(ctx)
}

func (i *installer) placeOf(was *store.Installed) store.Place { return store.PlaceOf(i.home, was.ID()) }

func (i *installer) layout(of store.ProjectionID) layoutOf {
	return layoutOf{tx: i.tx, queries: i.queries, projection: of}
}

// replaceVersion replaces an earlier version whose tables are not in use. Its tables go last, once readers have
// views of the new ones.
func (i *installer) replaceVersion(
	ctx context.Context, was *store.Installed, before *store.Layout, segments int,
) error {
	shapes, err := i.makePlace(ctx)
	if err != nil {
		return err
	}
	return i.renew(ctx, was, before, shapes, segments)
}

// replaceUnused replaces the installed tables by those that are declared now under the same version, while they are
// not in use. It reports whether it did.
func (i *installer) replaceUnused(ctx context.Context, was *store.Installed, segments int) (bool, error) {
	before, err := i.unused(ctx, was)
	if err != nil || before == nil {
		return false, err
	}
	for _, name := range was.Shown() {
		if err := i.dropReader(ctx, name); err != nil {
			return false, err
		}
	}
	for _, view := range was.Views {
		if err := i.dropView(ctx, view.Name); err != nil {
			return false, err
		}
	}
	if err := i.dropEmpty(ctx, was); err != nil {
		return false, err
	}
	others, err := i.shapes(ctx)
	if err != nil {
		return false, err
	}
	if len(others) > 0 {
		return false, store.NotTheProjections(i.projection.Name,
			fmt.Sprintf("a table %s in schema %s", others[0].Name, i.projection.schema))
	}
	shapes, err := i.createTables(ctx)
	if err != nil {
		return false, err
	}
	return true, i.renew(ctx, was, before, shapes, segments)
}

// unused returns the layout of what is installed when nothing is lost with it: no event is applied, and the tables
// are empty. Otherwise it returns nil.
func (i *installer) unused(ctx context.Context, was *store.Installed) (*store.Layout, error) {
	// Commits wait for the reader of the layout: a module that is refused, which is tried again and again, must not
	// hold them up.
	var applied bool
	err := i.tx.QueryRow(ctx, i.queries.applied, was.Name, was.ID().Number()).Scan(&applied)
	if err != nil || applied {
		return nil, err
	}
	before, err := i.layout(was.ID()).read(ctx)
	if err != nil || before.Applied() {
		return nil, err
	}
	for t := range was.Tables {
		if empty, err := i.isEmpty(ctx, was, was.Tables[t].Name); err != nil || !empty {
			return nil, err
		}
	}
	return before, nil
}

// renew registers the projection in place of what was installed.
func (i *installer) renew(
	ctx context.Context, was *store.Installed, before *store.Layout, shapes string, segments int,
) error {
	after, err := before.Renewed(i.projection.Order, segments)
	if err != nil {
		return err
	}
	// Earlier claims are for the earlier tables.
	if _, err := i.tx.Exec(ctx, i.queries.fenceAll, was.Name, was.ID().Number()); err != nil {
		return fmt.Errorf("fencing the segments: %w", err)
	}
	held := handover{tx: i.tx, queries: &i.queries.outbox, projection: was.Name}
	if err := held.dropHeld(ctx, was.ID().Number()); err != nil {
		return err
	}
	if err := i.layout(was.ID()).write(ctx, before, after); err != nil {
		return err
	}
	_, err = i.tx.Exec(ctx, i.queries.alterProjection, was.Name, was.ID().Number(), i.projection.ID().Number(), after.Single,
		i.projection.Declaration(store.DialectPostgres), shapes)
	if err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	return nil
}

// isEmpty reports whether a table has no row, or is not there.
func (i *installer) isEmpty(ctx context.Context, was *store.Installed, table string) (empty bool, err error) {
	schema := i.placeOf(was).Tables
	if exists, err := i.exists(ctx, schema, table); err != nil || !exists {
		return true, err
	}
	err = i.asOwner(ctx, func() error {
		return i.tx.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM "+quote(schema, table)+")").Scan(&empty)
	})
	if err != nil {
		return false, fmt.Errorf("looking at table %s: %w", table, err)
	}
	return empty, nil
}

// exists reports whether a table, a view or an index of that name is in a schema.
func (i *installer) exists(ctx context.Context, schema, name string) (exists bool, err error) {
	err = i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)
		AND relname = $2)`,
		quote(schema), name).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", name, err)
	}
	return exists, nil
}

// dropEmpty drops the tables of what was installed.
func (i *installer) dropEmpty(ctx context.Context, was *store.Installed) error {
	err := i.asOwner(ctx, func() error { return dropTables(ctx, i.tx, i.placeOf(was).Tables, was) })
	return i.builtUpon(err)
}

// dropReplaced drops what is left of an earlier version that this one replaces, and the schemas that it no longer
// needs.
func (i *installer) dropReplaced(ctx context.Context, was *store.Installed) error {
	if was.ID() == i.projection.ID() && !i.projection.Bare() {
		return nil
	}
	place := i.placeOf(was)
	if err := i.builtUpon(dropVersion(ctx, i.tx, place.Tables, was)); err != nil || !i.projection.Bare() {
		return err
	}
	return dropReaders(ctx, i.tx, place.Readers)
}

// builtUpon says what keeps empty tables from being replaced.
func (i *installer) builtUpon(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateDependentObjects {
		return &store.CatalogueError{
			Item:   fmt.Sprintf("projection %q", i.projection.Name),
			Reason: "its empty tables are to be made again, and something was built upon them: " + describe(pg),
		}
	}
	return err
}
