package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// catalogue is an installed projection. See [store.Catalogue].
type catalogue struct {
	store   *Store
	writes  []statement
	queries []statement
	params  sync.Pool // of *parameters: their buffers are as large as a commit
}

// Install makes a projection ready to run. See [store.Projections].
func (s *Store) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	c := &catalogue{store: s, params: sync.Pool{New: func() any { return &parameters{} }}}
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
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		i := installer{tx: tx, queries: s.queries, projection: projection, timeout: s.statementTimeout()}
		return i.install(ctx, segments, c)
	})
	if err != nil {
		return nil, translate(err)
	}
	if s.options.Warm {
		c.warm(ctx)
	}
	return c, nil
}

// installer is one transaction of Install.
type installer struct {
	tx         pgx.Tx
	queries    queries
	projection *store.Projection
	timeout    int64 // of a statement, in milliseconds
}

func (i *installer) install(ctx context.Context, segments int, c *catalogue) error {
	// Statements are checked under the settings that they will run with.
	if _, err := i.tx.Exec(ctx, i.queries.pin, i.timeout); err != nil {
		return fmt.Errorf("fixing the settings: %w", err)
	}
	if _, err := i.tx.Exec(ctx, i.queries.lockProjection, i.projection.Name); err != nil {
		return fmt.Errorf("locking the projection: %w", err)
	}
	if err := i.register(ctx, segments); err != nil {
		return err
	}
	for t := range i.projection.Tables {
		if err := i.installTable(ctx, &i.projection.Tables[t]); err != nil {
			return err
		}
	}
	sandbox := &sandbox{i}
	for _, entries := range [][]statement{c.writes, c.queries} {
		for e := range entries {
			if err := sandbox.check(ctx, &entries[e]); err != nil {
				return err
			}
		}
	}
	return nil
}

// register records the projection and its segments, or finds that it is known by this version.
func (i *installer) register(ctx context.Context, segments int) error {
	name, version := i.projection.Name, i.projection.Version
	var known int
	err := i.tx.QueryRow(ctx, i.queries.projection, name).Scan(&known)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return i.registerNew(ctx, segments)
	case err != nil:
		return fmt.Errorf("looking the projection up: %w", err)
	case known != version:
		return store.VersionMismatch(name, known, version)
	}
	if err := i.reorder(ctx); err != nil {
		return err
	}
	if _, err := i.tx.Exec(ctx, i.queries.clearFailures, name); err != nil {
		return fmt.Errorf("clearing failures: %w", err)
	}
	return nil
}

// reorder records the ordering, which may be another than before. One that needs a single segment has to find one.
func (i *installer) reorder(ctx context.Context) error {
	name, whole := i.projection.Name, i.projection.Order == store.OrderGlobal
	if whole {
		var segments int
		if err := i.tx.QueryRow(ctx, i.queries.countSegments, name).Scan(&segments); err != nil {
			return fmt.Errorf("counting segments: %w", err)
		}
		if segments > 1 {
			return store.DividedOrder(name, segments)
		}
	}
	if _, err := i.tx.Exec(ctx, i.queries.setWhole, name, whole); err != nil {
		return fmt.Errorf("recording the ordering: %w", err)
	}
	return nil
}

func (i *installer) registerNew(ctx context.Context, segments int) error {
	name := i.projection.Name
	var occupied bool
	err := i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = n) OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = n)
		OR EXISTS (SELECT FROM pg_type WHERE typnamespace = n) FROM to_regnamespace($1) AS n`, quote(name)).Scan(&occupied)
	if err != nil {
		return fmt.Errorf("looking at the schema: %w", err)
	}
	if occupied {
		return &store.CatalogueError{
			Item:   fmt.Sprintf("projection %q", name),
			Reason: "the database has a schema of this name that is not the projection's: choose another name",
		}
	}
	if _, err := i.tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quote(name)); err != nil {
		return fmt.Errorf("creating schema %s: %w", name, err)
	}
	if _, err := i.tx.Exec(ctx, i.queries.insertProjection, name, i.projection.Version, i.projection.Order == store.OrderGlobal); err != nil {
		return fmt.Errorf("registering the projection: %w", err)
	}
	if i.projection.Order == store.OrderGlobal {
		segments = 1
	}
	layout := layoutOf{tx: i.tx, queries: &i.queries, projection: name}
	begin := store.NewLayout(segments)
	log, err := i.logID(ctx)
	if err != nil {
		return err
	}
	begin.Begin(log)
	return layout.write(ctx, &store.Layout{}, begin)
}

// installTable creates a table that is missing, and checks that one that is there is as declared.
func (i *installer) installTable(ctx context.Context, table *store.Table) error {
	fault := func(format string, args ...any) error {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(format, args...)}
	}
	columns, err := i.columnsOf(ctx, table.Name)
	if err != nil {
		return err
	}
	if columns == nil {
		if err := i.create(ctx, table); err != nil {
			var pg *pgconn.PgError
			if errors.As(err, &pg) && !transientState(pg.Code) {
				return fault("%s", describe(pg))
			}
			return err
		}
		if columns, err = i.columnsOf(ctx, table.Name); err != nil {
			return err
		}
	}
	for _, c := range table.Columns {
		switch actual, exists := columns[c.Name]; {
		case !exists:
			return fault("column %q is declared, the table in the database lacks it: run 'pupwasm reset %s' to build it anew", c.Name, i.projection.Name)
		case actual != sqlType(c.Type):
			return fault("column %q is declared %s, in the database it is %s: run 'pupwasm reset %s' to build it anew",
				c.Name, c.Type, actual, i.projection.Name)
		}
	}
	return nil
}

func (i *installer) create(ctx context.Context, table *store.Table) error {
	statements := createTable(i.projection, table)
	if text, ok := table.DDL.For(store.DialectPostgres); ok {
		expanded, err := i.projection.ExpandTables(text, qualifier(i.projection))
		if err != nil {
			return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: err.Error()}
		}
		return i.runDDL(ctx, table, expanded)
	}
	for _, statement := range append(statements, createIndexes(i.projection, table)...) {
		if _, err := i.tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("creating table %s: %w", table.Name, err)
		}
	}
	return nil
}

// columnsOf returns the types of a table's columns by name, or nil when there is no table.
func (i *installer) columnsOf(ctx context.Context, table string) (map[string]string, error) {
	rows, err := i.tx.Query(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, quote(i.projection.Name, table))
	if err != nil {
		return nil, fmt.Errorf("looking at table %s: %w", table, err)
	}
	var columns map[string]string
	var name, sqlType string
	_, err = pgx.ForEachRow(rows, []any{&name, &sqlType}, func() error {
		if columns == nil {
			columns = map[string]string{}
		}
		columns[name] = sqlType
		return nil
	})
	return columns, err
}

// Status returns how every projection stands. See [store.Projections].
func (s *Store) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.status, append([]string{}, only...))
	if err != nil {
		return nil, translate(err)
	}
	var all []store.ProjectionStatus
	var projection store.ProjectionStatus
	var segment store.SegmentStatus
	_, err = pgx.ForEachRow(rows, []any{
		&projection.Name, &projection.Version, &projection.Asked, &segment.Segment, &segment.Range.First, &segment.Range.Last, &segment.Position,
		&segment.Epoch, &segment.Owner, &segment.Live, &segment.Failure, &segment.Merge.Into, &segment.Merge.At,
		&segment.UpdatedAt, &segment.Applied.Log.ID, &segment.Applied.Log.Timeline, &segment.Applied.Position, &segment.Applied.Event,
	}, func() error {
		if len(all) == 0 || all[len(all)-1].Name != projection.Name {
			all = append(all, projection)
		}
		last := &all[len(all)-1]
		last.Segments = append(last.Segments, segment)
		return nil
	})
	return all, translate(err)
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		var owner string
		err := tx.QueryRow(ctx, s.queries.liveOwner, projection).Scan(&owner)
		if err == nil {
			return store.StillOwned(projection, owner)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("looking for owners: %w", err)
		}
		tag, err := tx.Exec(ctx, s.queries.deleteProjection, projection)
		if err != nil {
			return fmt.Errorf("forgetting the projection: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return store.UnknownProjection(projection)
		}
		_, err = tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(projection)+" CASCADE")
		return err
	})
	return translate(err)
}
