package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// catalogue is an installed projection. See [store.Catalogue].
type catalogue struct {
	store       *Store
	writes      []statement
	queries     []statement
	expressions [][]expression // by table
	views       []view
	foreign     bool      // SQL of the module runs when rows are written or queried
	apart       bool      // the log is in another database
	params      sync.Pool // of *parameters: their buffers are as large as a commit
}

// Install makes a projection ready to run. See [store.Projections].
func (s *Store) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	return s.install(ctx, projection, segments, false)
}

func (s *Store) install(
	ctx context.Context, projection *store.Projection, segments int, apart bool,
) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	of := s.placed(projection)
	c := &catalogue{
		store: s, foreign: projection.HasSQL(), apart: apart,
		params: sync.Pool{New: func() any { return &parameters{} }},
	}
	if err := c.read(of); err != nil {
		return nil, err
	}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		i := installer{
			tx: tx, queries: &s.queries, projection: of, catalogue: c, home: s.options.Schema,
			isolation: s.options.Isolation, limits: s.installLimits(),
		}
		return i.install(ctx, segments)
	})
	if err != nil {
		return nil, translate(err)
	}
	if !s.options.Lazy {
		c.rehearse(ctx)
	}
	return c, nil
}

// read reads all SQL of a projection, before anything of it reaches the server.
func (c *catalogue) read(of placed) error {
	plan := of.Plan()
	for i := range plan {
		write, err := writeStatement(of, &plan[i])
		if err != nil {
			return err
		}
		c.writes = append(c.writes, write)
	}
	for i := range of.Queries {
		query, err := queryStatement(of, &of.Queries[i])
		if err != nil {
			return err
		}
		c.queries = append(c.queries, query)
	}
	for i := range of.Tables {
		expressions, err := expressionsOf(of, &of.Tables[i])
		if err != nil {
			return err
		}
		c.expressions = append(c.expressions, expressions)
		for w := range c.writes {
			c.writes[w].computes = c.writes[w].computes || plan[w].Table == of.Tables[i].Name && len(expressions) > 0
		}
	}
	for i := range of.Views {
		view, err := viewOf(of, &of.Views[i])
		if err != nil {
			return err
		}
		c.views = append(c.views, view)
	}
	return nil
}

// Status returns the state of projections. See [store.Projections].
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
	var behindSince *time.Time
	_, err = pgx.ForEachRow(rows, append([]any{
		&projection.Name, &projection.Version, &projection.Desired, &projection.Parked, &segment.Segment, &segment.Range.First,
		&segment.Range.Last, &segment.Position,
		&segment.Epoch, &segment.Owner, &segment.Live, &segment.Failure, &segment.Merge.Into, &segment.Merge.At,
		&segment.UpdatedAt, &behindSince,
	}, scanApplied(&segment.Applied)...), func() error {
		segment.BehindSince = time.Time{}
		if behindSince != nil {
			segment.BehindSince = *behindSince
		}
		if len(all) == 0 || all[len(all)-1].Name != projection.Name {
			all = append(all, projection)
		}
		last := &all[len(all)-1]
		last.Segments = append(last.Segments, segment)
		return nil
	})
	return all, translate(err)
}

// Recover lets segments go on that have failed. See [store.Projections].
func (s *Store) Recover(ctx context.Context, projection string, segments ...int) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, s.queries.recover, projection, append([]int{}, segments...))
	return int(tag.RowsAffected()), translate(err)
}

// Reset forgets a projection. See [store.Projections].
func (s *Store) Reset(ctx context.Context, projection string) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
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
		var declared string
		err = tx.QueryRow(ctx, s.queries.deleteProjection, projection).Scan(&declared)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.UnknownProjection(projection)
		}
		if err != nil {
			return fmt.Errorf("forgetting the projection: %w", err)
		}
		return s.dropTables(ctx, tx, projection, declared)
	})
	return translate(err)
}

// dropTables drops the schema of a projection's tables, or the tables alone where the schema is somebody else's or
// could not be made again.
func (s *Store) dropTables(ctx context.Context, tx pgx.Tx, projection, declared string) error {
	if bare, err := store.DeclaredBare(declared); bare || err != nil {
		return err
	}
	schema := store.TablesSchema(s.options.Schema, projection)
	var mine, shared bool
	err := tx.QueryRow(ctx, `SELECT pg_has_role(nspowner, 'USAGE') AND coalesce(obj_description(n.oid,
		'pg_namespace') = $2, false),
		EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'migration') AND EXISTS (SELECT
		FROM pg_class WHERE relnamespace = n.oid AND relname = 'events')
		FROM pg_namespace AS n WHERE nspname = $1`, schema, madeHere).Scan(&mine, &shared)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("looking at schema %s: %w", schema, err)
	case shared:
		return store.SharedPlace(projection, "in schema "+schema)
	case mine:
		_, err = tx.Exec(ctx, "DROP SCHEMA "+quote(schema)+" CASCADE")
		return err
	}
	if err := dropFunctions(ctx, tx, schema); err != nil {
		return err
	}
	tables, err := store.DeclaredTables(declared)
	if err != nil {
		return err
	}
	views, err := store.DeclaredViews(declared)
	if err != nil {
		return err
	}
	for _, view := range views {
		if _, err := tx.Exec(ctx, "DROP VIEW IF EXISTS "+quote(schema, view.Name)+" CASCADE"); err != nil {
			return fmt.Errorf("dropping view %s: %w", view.Name, err)
		}
	}
	for _, table := range tables {
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+quote(schema, table)+" CASCADE"); err != nil {
			return fmt.Errorf("dropping table %s: %w", table, err)
		}
	}
	return nil
}
