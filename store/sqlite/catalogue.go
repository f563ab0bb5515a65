package sqlite

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// catalogue is an installed projection. See [store.Catalogue].
type catalogue struct {
	store   *Store
	policy  *policy
	writes  []statement
	queries []statement
}

// Install makes a projection ready to run. See [store.Projections].
func (s *Store) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	of := s.placed(projection)
	c := &catalogue{store: s, policy: newPolicy(of)}
	plan := projection.Plan()
	for i := range plan {
		statement, err := writeStatement(of, &plan[i])
		if err != nil {
			return nil, err
		}
		c.writes = append(c.writes, statement)
	}
	for i := range projection.Queries {
		statement, err := queryStatement(of, &projection.Queries[i])
		if err != nil {
			return nil, err
		}
		c.queries = append(c.queries, statement)
	}
	err := s.write(ctx, func(conn *conn) error {
		i := installer{conn: conn, queries: &s.queries, home: s.options.Schema, projection: of, catalogue: c}
		return i.install(segments)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Status returns the state of projections. See [store.Projections].
func (s *Store) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	var all []store.ProjectionStatus
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.status, func(row *prepared) error {
			id := store.ProjectionID{Name: row.ColumnText(0), Version: row.ColumnInt(1)}
			if len(all) == 0 || all[len(all)-1].ProjectionID != id {
				all = append(all, store.ProjectionStatus{ProjectionID: id, Desired: row.ColumnInt(2)})
			}
			last := &all[len(all)-1]
			last.Segments = append(last.Segments, store.SegmentStatus{
				Segment:   row.ColumnInt(3),
				Range:     store.HashRange{First: uint32(row.ColumnInt64(4)), Last: uint32(row.ColumnInt64(5))},
				Position:  row.ColumnInt64(6),
				Epoch:     row.ColumnInt64(7),
				Owner:     row.ColumnText(8),
				Live:      row.ColumnInt64(9) != 0,
				Failure:   row.ColumnText(10),
				Merge:     store.Merge{Into: row.ColumnInt(11), At: row.ColumnInt64(12)},
				UpdatedAt: time.UnixMicro(row.ColumnInt64(13)).UTC(), BehindSince: microsecond(row.ColumnInt64(14)),
				Applied: row.applied(15),
			})
			return nil
		}, jsonList(only))
	})
	return all, err
}

// microsecond is the time of a column, where 0 is for none.
func microsecond(since1970 int64) time.Time {
	if since1970 == 0 {
		return time.Time{}
	}
	return time.UnixMicro(since1970).UTC()
}
