package mysql

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// statusQueries are those of the state of projections, as people see and change it.
type statusQueries struct {
	status    string
	recover   string
	fenceGone string
	setPaused string
	known     string
}

func statusQueriesFor(in func(string) string) statusQueries {
	return statusQueries{
		status: in(`SELECT p.name, p.version, p.segments,
			COALESCE(k.parked, 0), COALESCE(k.events, 0), COALESCE(k.exhausted, 0),
			s.segment, s.first_hash, s.last_hash, s.position, s.epoch, COALESCE(s.owner, ''),
			EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = s.owner AND {alive}),
			COALESCE(s.failure, ''), s.merge_into, s.merge_at, s.updated_at, COALESCE(s.behind_since, 0),
			s.log_id, s.timeline, s.last_position, s.last_event, COALESCE(p.paused_at, 0),
			p.live, p.replaced, p.installed_at, COALESCE(p.promoted_at, 0), p.code, p.rebuild
			FROM {schema}__projections AS p JOIN {schema}__segments AS s ON s.projection = p.name AND s.version = p.version
			LEFT JOIN (SELECT projection, version, COUNT(*) AS parked, SUM(events) AS events,
				SUM(next_attempt_at IS NULL AND wanted = '') AS exhausted
				FROM {schema}__parked GROUP BY projection, version) AS k ON k.projection = p.name AND k.version = p.version
			WHERE $1 OR p.name IN $2 ORDER BY p.name, p.version, s.segment`),
		recover: in(`UPDATE {schema}__segments SET failure = NULL WHERE projection = $1 AND version = $2
			AND failure IS NOT NULL AND ($3 OR segment IN $4)`),
		// A worker whose lease has ended could still commit: while nobody claims its segments, nothing else fences it.
		// Segments come before the projection, as in commits that park a key.
		fenceGone: in(`UPDATE {schema}__segments AS s SET s.owner = NULL, s.epoch = s.epoch + 1
			WHERE s.projection = $1 AND s.owner IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = s.owner AND {alive})`),
		setPaused: in(`UPDATE {schema}__projections SET paused_at = IF($2, {now}, NULL)
			WHERE name = $1 AND (paused_at IS NULL) = $2`),
		known: in(`SELECT 1 FROM {schema}__projections WHERE name = $1`),
	}
}

// Status returns the state of projections. See [store.Projections].
func (s *Store) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	var all []store.ProjectionStatus
	err := s.controlled(ctx, func(c *conn) error {
		return c.query(s.queries.status.status, func(r *row) error {
			id := store.NumberedID(r.text(0), r.int64(1))
			if len(all) == 0 || all[len(all)-1].ProjectionID != id {
				all = append(all, store.ProjectionStatus{
					ProjectionID: id, Desired: r.int(2),
					Parked: r.int(3), ParkedEvents: r.int64(4), ParkedExhausted: r.int(5),
					PausedAt: microsecond(r.int64(22)),
					Live:     r.bool(23), Replaced: store.NumberedID(id.Name, r.int64(24)), Rebuild: r.int(28),
					InstalledAt: microsecond(r.int64(25)), PromotedAt: microsecond(r.int64(26)), Code: r.text(27),
				})
			}
			last := &all[len(all)-1]
			last.Segments = append(last.Segments, store.SegmentStatus{
				Segment:   r.int(6),
				Range:     store.HashRange{First: uint32(r.int64(7)), Last: uint32(r.int64(8))},
				Position:  r.int64(9),
				Epoch:     r.int64(10),
				Owner:     r.text(11),
				Live:      r.bool(12),
				Failure:   r.text(13),
				Merge:     store.Merge{Into: r.int(14), At: r.int64(15)},
				UpdatedAt: microsecond(r.int64(16)), BehindSince: microsecond(r.int64(17)),
				Applied: r.applied(18),
			})
			return nil
		}, len(only) == 0, only)
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
func (s *Store) Recover(ctx context.Context, projection store.ProjectionID, segments ...int) (int, error) {
	recovered, err := s.controlledExec(ctx, s.queries.status.recover, projection.Name, projection.Number(),
		len(segments) == 0, segments)
	return int(recovered), err
}

// SetPaused pauses or resumes a projection. See [store.Projections].
func (s backend) SetPaused(ctx context.Context, projection string, paused bool) (changed bool, err error) {
	err = s.controlledWrite(ctx, func(c *conn) error {
		changed = false
		if paused {
			if _, err := c.exec(s.queries.status.fenceGone, projection); err != nil {
				return err
			}
		}
		rows, err := c.exec(s.queries.status.setPaused, projection, paused)
		if err != nil || rows > 0 {
			changed = err == nil
			return err
		}
		known := false
		err = c.query(s.queries.status.known, func(*row) error { known = true; return nil }, projection)
		if err == nil && !known {
			return store.UnknownProjection(projection)
		}
		return err
	})
	return changed, err
}
