package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// checkPlace refuses schemas that are somebody else's: that of a version's tables when something is in it, and, for the
// first version, that of its readers when something is in it and no host has made it. In one that a host has made, others may have
// things of their own beside the views.
func (i *installer) checkPlace(ctx context.Context) error {
	if occupied, _, err := i.schemaState(ctx, i.projection.schema); err != nil || occupied {
		return i.occupied(err, i.projection.schema)
	}
	if !i.live {
		return i.checkSchema(ctx, i.projection.schema)
	}
	if occupied, ours, err := i.schemaState(ctx, i.projection.readers); err != nil || occupied && !ours {
		return i.occupied(err, i.projection.readers)
	}
	for _, schema := range []string{i.projection.schema, i.projection.readers} {
		if err := i.checkSchema(ctx, schema); err != nil {
			return err
		}
	}
	return nil
}

// checkFirstPlace is checkPlace for a known projection without tables: it may have had no place so far, or functions
// in one that a host has made for it.
func (i *installer) checkFirstPlace(ctx context.Context) error {
	_, ours, err := i.schemaState(ctx, i.projection.schema)
	if err != nil {
		return fmt.Errorf("looking at schema %s: %w", i.projection.schema, err)
	}
	if ours {
		return nil
	}
	return i.checkPlace(ctx)
}

func (i *installer) occupied(err error, schema string) error {
	if err != nil {
		return fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	return store.NotTheProjections(i.projection.Name, "something in schema "+schema)
}

// schemaState reports whether something is in a schema, and whether it was made by a host.
func (i *installer) schemaState(ctx context.Context, schema string) (occupied, ours bool, err error) {
	err = i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = n) OR EXISTS (SELECT
		FROM pg_proc WHERE pronamespace = n)
		OR EXISTS (SELECT FROM pg_type WHERE typnamespace = n),
		coalesce(obj_description(n, 'pg_namespace') = $2, false) FROM to_regnamespace($1) AS n`,
		quote(schema), madeHere).Scan(&occupied, &ours)
	return occupied, ours, err
}

// checkSchema refuses an existing schema that was made neither by a host nor for it by an administrator: even an
// empty one may be somebody's. Where this role may not create schemas, one that it may use was made for it.
func (i *installer) checkSchema(ctx context.Context, schema string) error {
	var foreign bool
	err := i.tx.QueryRow(ctx, `SELECT coalesce(bool_or(has_database_privilege(current_database(), 'CREATE')
		AND pg_get_userbyid(nspowner) <> $2
			AND obj_description(oid, 'pg_namespace') IS DISTINCT FROM $3), false)
		FROM pg_namespace WHERE nspname = $1`, schema, RoleName(i.home, i.projection.Name), madeHere).Scan(&foreign)
	if err != nil {
		return fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	if foreign {
		return store.NotTheProjections(i.projection.Name, "a schema "+schema)
	}
	return nil
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		owner, err := s.liveOwner(ctx, tx, store.ProjectionID{Name: projection})
		if err != nil {
			return err
		}
		if owner != "" {
			return store.StillOwned(projection, owner)
		}
		versions, err := readVersions(ctx, tx, &s.queries, projection)
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			return store.UnknownProjection(projection)
		}
		if err := s.stopSending(ctx, tx, versions.Live()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.queries.deleteProjection, projection); err != nil {
			return fmt.Errorf("forgetting the projection: %w", err)
		}
		if err := s.handover(tx, projection).dropHeld(ctx, 0); err != nil { // with those of the last commits
			return err
		}
		return s.dropPlace(ctx, tx, versions)
	})
	return translate(err)
}

// stopSending keeps what the live version has sent, once no commit of it is under way.
func (s *Store) stopSending(ctx context.Context, tx pgx.Tx, live *store.Installed) error {
	layout := &store.Layout{}
	stored := layoutOf{tx: tx, queries: &s.queries, projection: live.ID()}
	if err := stored.readSegments(ctx, s.queries.segments, layout); err != nil {
		return err
	}
	return s.handover(tx, live.Name).end(ctx, live, layout)
}

// liveOwner returns a worker that lives and has a segment of a version, or of any where that is 0; "" for none.
func (s *Store) liveOwner(ctx context.Context, tx pgx.Tx, of store.ProjectionID) (owner string, err error) {
	err = tx.QueryRow(ctx, s.queries.liveOwner, of.Name, of.Number()).Scan(&owner)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("looking for owners: %w", err)
	}
	return owner, nil
}

// dropPlace drops what readers have of a projection, and the tables of its versions. It keeps the rights of readers.
func (s *Store) dropPlace(ctx context.Context, tx pgx.Tx, versions store.Versioned) error {
	live := versions.Live()
	readers := store.PlaceOf(s.options.Schema, live.ID()).Readers
	if _, err := tx.Exec(ctx, s.queries.keepGrants, live.Name, quote(readers), live.Shown()); err != nil {
		return fmt.Errorf("keeping the rights of readers: %w", err)
	}
	err := dropRelations(ctx, tx, "VIEW", readers, live.Shown())
	for v := range versions {
		if err == nil {
			err = dropVersion(ctx, tx, store.PlaceOf(s.options.Schema, versions[v].ID()).Tables, &versions[v])
		}
	}
	if err := dependedOn(live.Name, err); err != nil {
		return err
	}
	return dropReaders(ctx, tx, readers)
}

// dependedOn says what keeps tables or views from being dropped.
func dependedOn(projection string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateDependentObjects {
		return store.DependedOn(projection, describe(pg))
	}
	return err
}

// dropReaders drops the schema of readers, if a host has made it and nothing else is in it. One on which somebody
// was granted something, or that has default privileges, which are in it, stays: who reads the projection may read it
// when it is installed again.
func dropReaders(ctx context.Context, tx pgx.Tx, schema string) error {
	var drop bool
	err := tx.QueryRow(ctx, `SELECT coalesce(bool_and(pg_has_role(n.nspowner, 'USAGE')
			AND coalesce(obj_description(n.oid, 'pg_namespace') = $2, false)
			AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner)
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass
				AND d.refobjid = n.oid)), false)
		FROM pg_namespace n WHERE n.nspname = $1`, schema, madeHere).Scan(&drop)
	if err != nil {
		return fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	if !drop {
		return nil
	}
	if _, err := tx.Exec(ctx, "DROP SCHEMA "+quote(schema)); err != nil {
		return fmt.Errorf("dropping schema %s: %w", schema, err)
	}
	return nil
}

// dropVersion drops the tables, views and functions of a version, and their schema where a host has made it: one
// that an administrator has made could not be made again. Nothing of others goes with it.
func dropVersion(ctx context.Context, tx pgx.Tx, schema string, was *store.Installed) error {
	views := make([]string, len(was.Views))
	for i := range was.Views {
		views[i] = was.Views[i].Name
	}
	if err := dropRelations(ctx, tx, "VIEW", schema, views); err != nil {
		return err
	}
	if err := dropFunctions(ctx, tx, schema); err != nil {
		return err
	}
	if err := dropTables(ctx, tx, schema, was); err != nil {
		return err
	}
	var mine bool
	err := tx.QueryRow(ctx, `SELECT coalesce(bool_and(pg_has_role(nspowner, 'USAGE')
		AND coalesce(obj_description(oid, 'pg_namespace') = $2, false)), false)
		FROM pg_namespace WHERE nspname = $1`, schema, madeHere).Scan(&mine)
	if err != nil {
		return fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	if !mine {
		return nil
	}
	if _, err := tx.Exec(ctx, "DROP SCHEMA "+quote(schema)); err != nil {
		return fmt.Errorf("dropping schema %s: %w", schema, err)
	}
	return nil
}

func dropTables(ctx context.Context, tx pgx.Tx, schema string, was *store.Installed) error {
	return dropRelations(ctx, tx, "TABLE", schema, tableNames(was))
}

// lockTables waits until nobody uses the tables, and keeps them from being used until the transaction ends.
func lockTables(ctx context.Context, tx pgx.Tx, schema string, was *store.Installed) error {
	list, err := relations(ctx, tx, "TABLE", schema, tableNames(was))
	if err != nil || list == "" {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+list+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return fmt.Errorf("locking %s: %w", list, err)
	}
	return nil
}

func tableNames(of *store.Installed) []string {
	tables := make([]string, len(of.Tables))
	for i := range of.Tables {
		tables[i] = of.Tables[i].Name
	}
	return tables
}

// dropRelations drops tables or views together, since they may refer to each other. It leaves alone what has become
// something else.
func dropRelations(ctx context.Context, tx pgx.Tx, kind, schema string, names []string) error {
	list, err := relations(ctx, tx, kind, schema, names)
	if err != nil || list == "" {
		return err
	}
	if _, err := tx.Exec(ctx, "DROP "+kind+" "+list); err != nil {
		return fmt.Errorf("dropping %s: %w", list, err)
	}
	return nil
}

// relations lists those of the names that are tables, or views, as SQL has them.
func relations(ctx context.Context, tx pgx.Tx, kind, schema string, names []string) (list string, err error) {
	kinds := map[string][]string{"TABLE": {"r", "p"}, "VIEW": {"v"}}[kind]
	rows, err := tx.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)
		AND relname = ANY ($2) AND relkind = ANY ($3::text[]::"char"[]) ORDER BY 1`,
		quote(schema), names, kinds)
	if err != nil {
		return "", fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&name}, func() error {
		if list != "" {
			list += ", "
		}
		list += quote(schema, name)
		return nil
	}); err != nil {
		return "", fmt.Errorf("looking at schema %s: %w", schema, err)
	}
	return list, nil
}

// dropFunctions drops the functions that write rows, which name tables that are about to go.
func dropFunctions(ctx context.Context, tx pgx.Tx, schema string) error {
	rows, err := tx.Query(ctx, `SELECT p.oid::regprocedure::text FROM pg_proc p
		WHERE p.pronamespace = to_regnamespace($1) AND starts_with(p.proname, $2)`,
		quote(schema), functionPrefix)
	if err != nil {
		return err
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, function := range functions {
		if _, err := tx.Exec(ctx, "DROP FUNCTION "+function); err != nil {
			return fmt.Errorf("dropping function %s: %w", function, err)
		}
	}
	return nil
}
