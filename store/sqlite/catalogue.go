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
	apart   bool // the log is in another database
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
	c := &catalogue{store: s, policy: newPolicy(of), apart: how.apart}
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
		i := installer{
			conn: conn, queries: &s.queries, home: s.options.Schema, projection: of, catalogue: c, beside: how.beside,
		}
		return i.install(how.segments)
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
			id := store.NumberedID(row.ColumnText(0), row.ColumnInt64(1))
			if len(all) == 0 || all[len(all)-1].ProjectionID != id {
				all = append(all, store.ProjectionStatus{
					ProjectionID: id, Desired: row.ColumnInt(2),
					Parked: row.ColumnInt(3), ParkedEvents: row.ColumnInt64(4), ParkedExhausted: row.ColumnInt(5),
					PausedAt: microsecond(row.ColumnInt64(22)),
					Code:     row.ColumnText(27),
					Live:     row.ColumnBool(23), Replaced: store.NumberedID(id.Name, row.ColumnInt64(24)), Rebuild: row.ColumnInt(28),
					InstalledAt: microsecond(row.ColumnInt64(25)), PromotedAt: microsecond(row.ColumnInt64(26)),
				})
			}
			last := &all[len(all)-1]
			last.Segments = append(last.Segments, store.SegmentStatus{
				Segment:   row.ColumnInt(6),
				Range:     store.HashRange{First: uint32(row.ColumnInt64(7)), Last: uint32(row.ColumnInt64(8))},
				Position:  row.ColumnInt64(9),
				Epoch:     row.ColumnInt64(10),
				Owner:     row.ColumnText(11),
				Live:      row.ColumnInt64(12) != 0,
				Failure:   row.ColumnText(13),
				Merge:     store.Merge{Into: row.ColumnInt(14), At: row.ColumnInt64(15)},
				UpdatedAt: time.UnixMicro(row.ColumnInt64(16)).UTC(), BehindSince: microsecond(row.ColumnInt64(17)),
				Applied: row.applied(18),
			})
			return nil
		}, jsonList(only))
	})
	store.SortStatus(all)
	return all, err
}

// microsecond is the time of a column, where 0 is for none.
func microsecond(since1970 int64) time.Time {
	if since1970 == 0 {
		return time.Time{}
	}
	return time.UnixMicro(since1970).UTC()
}

// Recover lets segments go on that have failed. See [store.Projections].
func (s *Store) Recover(
	ctx context.Context, projection store.ProjectionID, segments ...int,
) (recovered int, err error) {
	err = s.write(ctx, func(c *conn) error {
		changed, err := c.exec(s.queries.recover, projection.Name, projection.Number(), jsonList(segments))
		recovered = int(changed)
		return err
	})
	return recovered, err
}

// SetPaused pauses or resumes a projection. See [store.Projections].
func (s backend) SetPaused(ctx context.Context, projection string, paused bool) (changed bool, err error) {
	err = s.write(ctx, func(c *conn) error {
		if paused { // a worker whose lease has ended could still commit: while nobody claims, nothing else fences it
			if _, err := c.exec(s.queries.fenceGone, projection); err != nil {
				return err
			}
		}
		rows, err := c.exec(s.queries.setPaused, projection, paused)
		if err != nil || rows > 0 {
			changed = err == nil
			return err
		}
		known := false
		err = c.query(s.queries.known, func(*prepared) error { known = true; return nil }, projection)
		if err == nil && !known {
			return store.UnknownProjection(projection)
		}
		return err
	})
	return changed, err
}
