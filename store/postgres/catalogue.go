package postgres

import (
	"context"
	"errors"
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
func (s backend) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	return s.install(ctx, projection, installation{segments: segments})
}

// InstallBeside makes a projection ready to run beside an earlier version. See [store.Projections].
func (s backend) InstallBeside(
	ctx context.Context, projection *store.Projection, segments int,
) (store.Catalogue, error) {
	return s.install(ctx, projection, installation{segments: segments, beside: true})
}

// installation is how a projection is installed.
type installation struct {
	segments int  // of a version that is new
	apart    bool // the log is in another database
	beside   bool // the host runs an earlier version too
}

func (s *Store) install(
	ctx context.Context, projection *store.Projection, how installation,
) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	of := s.placed(projection)
	c := &catalogue{
		store: s, foreign: projection.HasSQL(), apart: how.apart,
		params: sync.Pool{New: func() any { return &parameters{} }},
	}
	if err := c.read(of); err != nil {
		return nil, err
	}
	within := func(fn func(*installer) error) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return fn(&installer{
				tx: tx, queries: &s.queries, projection: of, catalogue: c, home: s.options.Schema,
				isolation: s.options.Isolation, limits: s.installLimits(),
				beside: how.beside,
			})
		})
	}
	install := func(i *installer) error { return i.install(ctx, how.segments) }
	err := within(install)
	if errors.Is(err, errNewColumns) {
		if err = within(func(i *installer) error { return i.extend(ctx) }); err == nil {
			err = within(install)
		}
	}
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
	var behindSince, pausedAt, promotedAt *time.Time
	var version, replaced int64
	_, err = pgx.ForEachRow(rows, append([]any{
		&projection.Name, &version, &projection.Desired, &projection.Parked, &projection.ParkedEvents,
		&projection.ParkedExhausted, &segment.Segment, &segment.Range.First, &segment.Range.Last, &segment.Position,
		&segment.Epoch, &segment.Owner, &segment.Live, &segment.Failure, &segment.Merge.Into, &segment.Merge.At,
		&segment.UpdatedAt, &behindSince,
	}, append(scanApplied(&segment.Applied), &pausedAt, &projection.Live, &replaced, &projection.InstalledAt,
		&promotedAt, &projection.Code, &projection.Rebuild)...), func() error {
		projection.ProjectionID = store.NumberedID(projection.Name, version)
		projection.Replaced = store.NumberedID(projection.Name, replaced)
		segment.BehindSince = timeOrZero(behindSince)
		projection.PausedAt, projection.PromotedAt = timeOrZero(pausedAt), timeOrZero(promotedAt)
		if len(all) == 0 || all[len(all)-1].ProjectionID != projection.ProjectionID {
			all = append(all, projection)
		}
		last := &all[len(all)-1]
		last.Segments = append(last.Segments, segment)
		return nil
	})
	store.SortStatus(all)
	return all, translate(err)
}

// timeOrZero is the time of a column, where NULL is for none.
func timeOrZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// Recover lets segments go on that have failed. See [store.Projections].
func (s *Store) Recover(ctx context.Context, projection store.ProjectionID, segments ...int) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, s.queries.recover, projection.Name, projection.Number(), append([]int{}, segments...))
	return int(tag.RowsAffected()), translate(err)
}

// SetPaused pauses or resumes a projection. See [store.Projections].
func (s backend) SetPaused(ctx context.Context, projection string, paused bool) (changed bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var known bool
	err = s.control.QueryRow(ctx, s.queries.setPaused, projection, paused).Scan(&changed, &known)
	if err == nil && !known {
		err = store.UnknownProjection(projection)
	}
	return changed, translate(err)
}
