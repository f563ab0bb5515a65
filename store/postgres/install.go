package postgres

import (
	"context"
	"encoding/json"
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
}

func (i *installer) install(ctx context.Context, segments int) error {
	// Statements are checked under the settings that they will run with.
	if err := i.pin(ctx); err != nil {
		return err
	}
	if _, err := i.tx.Exec(ctx, i.queries.lockProjection, i.projection.Name); err != nil {
		return fmt.Errorf("locking the projection: %w", err)
	}
	before, err := i.register(ctx, segments)
	if err != nil {
		return err
	}
	sandbox := &sandbox{installer: i}
	for _, entries := range [][]statement{i.catalogue.writes, i.catalogue.queries} {
		for e := range entries {
			if err := sandbox.check(ctx, &entries[e]); err != nil {
				return err
			}
		}
	}
	if err := i.makeViews(ctx, before); err != nil {
		return err
	}
	return i.confine(ctx)
}

func (i *installer) pin(ctx context.Context) error {
	if _, err := i.tx.Exec(ctx, i.queries.pin, i.limits); err != nil {
		return fmt.Errorf("fixing the settings: %w", err)
	}
	return nil
}

// register makes the projection and its tables, or checks that they are as declared. It returns the views that exist.
func (i *installer) register(ctx context.Context, segments int) (views []store.View, err error) {
	var version int
	var declared, shapes string
	err = i.tx.QueryRow(ctx, i.queries.projection, i.projection.Name).Scan(&version, &declared, &shapes)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, i.registerNew(ctx, segments)
	}
	if err != nil {
		return nil, fmt.Errorf("looking the projection up: %w", err)
	}
	bare, err := store.DeclaredBare(declared)
	if err != nil {
		return nil, err
	}
	if bare && !i.projection.Bare() { // it had no place so far
		if err := i.checkPlace(ctx); err != nil {
			return nil, err
		}
	}
	if err := i.isolate(ctx); err != nil {
		return nil, err
	}
	fault := i.compare(ctx, version, declared, shapes)
	var catalogue *store.CatalogueError
	if errors.As(fault, &catalogue) && version <= i.projection.Version {
		replaced, err := i.replaceUnused(ctx, declared, segments)
		if err != nil || replaced {
			return nil, err
		}
	}
	if fault != nil {
		return nil, fault
	}
	if err := i.createIndexes(ctx); err != nil {
		return nil, err
	}
	if _, err := i.tx.Exec(ctx, i.queries.declare, i.projection.Name,
		i.projection.Declaration(store.DialectPostgres)); err != nil {
		return nil, fmt.Errorf("registering the projection: %w", err)
	}
	if _, err := i.tx.Exec(ctx, i.queries.clearFailures, i.projection.Name); err != nil {
		return nil, fmt.Errorf("clearing failures: %w", err)
	}
	return store.DeclaredViews(declared)
}

// compare finds what differs from what was installed.
func (i *installer) compare(ctx context.Context, version int, declared, shapes string) error {
	if version != i.projection.Version {
		return store.VersionMismatch(i.projection.Name, version, i.projection.Version)
	}
	if err := i.projection.CheckDeclaration(store.DialectPostgres, declared); err != nil {
		return err
	}
	if i.projection.Bare() {
		return nil
	}
	var installed []store.TableShape
	if err := json.Unmarshal([]byte(shapes), &installed); err != nil {
		return fmt.Errorf("reading the stored tables: %w", err)
	}
	found, err := i.shapes(ctx)
	if err != nil {
		return err
	}
	if err := i.projection.CheckShapes(installed, found); err != nil {
		return err
	}
	if len(i.projection.Tables) == 0 { // nothing is lost with the schema, which the statements are checked in
		return i.createSchema(ctx)
	}
	return i.checkDefaults(ctx)
}

func (i *installer) registerNew(ctx context.Context, segments int) error {
	if !i.projection.Bare() {
		if err := i.checkPlace(ctx); err != nil {
			return err
		}
	}
	if err := i.isolate(ctx); err != nil {
		return err
	}
	shapes, err := i.createTables(ctx)
	if err != nil {
		return err
	}
	whole := i.projection.Order == store.OrderGlobal
	if _, err := i.tx.Exec(ctx, i.queries.insertProjection, i.projection.Name, i.projection.Version, whole,
		i.projection.schema,
		i.projection.Declaration(store.DialectPostgres), shapes); err != nil {
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
	return i.layout().write(ctx, &store.Layout{}, layout)
}

// checkPlace refuses a schema in which something is already, or that is somebody else's.
func (i *installer) checkPlace(ctx context.Context) error {
	var occupied bool
	err := i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = n) OR EXISTS (SELECT
		FROM pg_proc WHERE pronamespace = n)
		OR EXISTS (SELECT FROM pg_type WHERE typnamespace = n) FROM to_regnamespace($1) AS n`,
		quote(i.projection.schema)).Scan(&occupied)
	if err != nil {
		return fmt.Errorf("looking at the schema: %w", err)
	}
	if occupied {
		return store.NotTheProjections(i.projection.Name, "something in schema "+i.projection.schema)
	}
	return i.checkSchema(ctx)
}

// checkSchema refuses an existing schema that was made neither by a host nor for it by an administrator: even an
// empty one may be somebody's. Where this role may not create schemas, one that it may use was made for it.
func (i *installer) checkSchema(ctx context.Context) error {
	var foreign bool
	err := i.tx.QueryRow(ctx, `SELECT coalesce(bool_or(has_database_privilege(current_database(), 'CREATE')
		AND pg_get_userbyid(nspowner) <> $2
			AND obj_description(oid, 'pg_namespace') IS DISTINCT FROM $3), false)
		FROM pg_namespace WHERE nspname = $1`, i.projection.schema, RoleName(i.home,
		i.projection.Name), madeHere).Scan(&foreign)
	if err != nil {
		return fmt.Errorf("looking at the schema: %w", err)
	}
	if foreign {
		return store.NotTheProjections(i.projection.Name, "a schema "+i.projection.schema)
	}
	return nil
}

func (i *installer) layout() layoutOf {
	return layoutOf{tx: i.tx, queries: i.queries, projection: i.projection.Name}
}

// replaceUnused replaces the installed tables by those that are declared now, while no event is applied and they
// are empty: nothing is lost. It reports whether it did.
func (i *installer) replaceUnused(ctx context.Context, declared string, segments int) (bool, error) {
	// Commits wait for the reader of the layout: a module that is refused, which is tried again and again, must not
	// hold them up.
	var applied bool
	if err := i.tx.QueryRow(ctx, i.queries.applied, i.projection.Name).Scan(&applied); err != nil || applied {
		return false, err
	}
	before, err := i.layout().read(ctx)
	if err != nil || before.Applied() {
		return false, err
	}
	tables, err := store.DeclaredTables(declared)
	if err != nil {
		return false, err
	}
	for _, table := range tables {
		if empty, err := i.isEmpty(ctx, table); err != nil || !empty {
			return false, err
		}
	}
	views, err := store.DeclaredViews(declared)
	if err != nil {
		return false, err
	}
	for _, view := range views {
		if err := i.dropView(ctx, view.Name); err != nil {
			return false, err
		}
	}
	if err := i.dropEmpty(ctx, tables); err != nil {
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
	after, err := before.Renewed(i.projection.Order, segments)
	if err != nil {
		return false, err
	}
	// Earlier claims are for the earlier tables.
	if _, err := i.tx.Exec(ctx, i.queries.fenceAll, i.projection.Name); err != nil {
		return false, fmt.Errorf("fencing the segments: %w", err)
	}
	if err := i.layout().write(ctx, before, after); err != nil {
		return false, err
	}
	_, err = i.tx.Exec(ctx, i.queries.alterProjection, i.projection.Name, i.projection.Version, after.Single,
		i.projection.schema,
		i.projection.Declaration(store.DialectPostgres), shapes)
	if err != nil {
		return false, fmt.Errorf("registering the projection: %w", err)
	}
	return true, nil
}

// isEmpty reports whether a table has no row, or is not there.
func (i *installer) isEmpty(ctx context.Context, table string) (empty bool, err error) {
	if exists, err := i.exists(ctx, table); err != nil || !exists {
		return true, err
	}
	err = i.asOwner(ctx, func() error {
		return i.tx.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM "+i.projection.table(table)+")").Scan(&empty)
	})
	if err != nil {
		return false, fmt.Errorf("looking at table %s: %w", table, err)
	}
	return empty, nil
}

// exists reports whether a table, a view or an index of that name is in the schema of the projection.
func (i *installer) exists(ctx context.Context, name string) (exists bool, err error) {
	err = i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)
		AND relname = $2)`,
		quote(i.projection.schema), name).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", name, err)
	}
	return exists, nil
}

// dropEmpty drops tables together, since they may refer to each other.
func (i *installer) dropEmpty(ctx context.Context, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	list := ""
	for n, table := range tables {
		if n > 0 {
			list += ", "
		}
		list += i.projection.table(table)
	}
	err := i.asOwner(ctx, func() error {
		_, err := i.tx.Exec(ctx, "DROP TABLE IF EXISTS "+list)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateDependentObjects {
		return &store.CatalogueError{
			Item:   fmt.Sprintf("projection %q", i.projection.Name),
			Reason: "its empty tables are to be made again, and something was built upon them: " + describe(pg),
		}
	}
	return err
}
