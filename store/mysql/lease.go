package mysql

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// leaseQueries are those of workers and their claims.
//
// Segments are locked in the order of their key, by whoever locks several, and before the row of their projection and
// those of workers.
type leaseQueries struct {
	join      string
	heartbeat string
	workers   string
	free      string
	claim     string
	adopt     string
	release   string
	fail      string
	leave     string
}

func leaseQueriesFor(in func(string) string) leaseQueries {
	// Assignments see the row as it was, by the sql_mode. One that is refused leaves the row as it is.
	const register = `INSERT INTO {schema}__workers (worker, expires_at, ttl, projections, segments, refused, incarnation,
			troubles)
		VALUES ($1, {now} + $2, $2, $3, $4, $5, $6, $7)
		ON DUPLICATE KEY UPDATE `
	columns := []string{"expires_at", "ttl", "projections", "segments", "refused", "incarnation", "troubles"}
	always, unlessTaken := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		always[i] = c + " = VALUES(" + c + ")"
		unlessTaken[i] = c + " = IF(incarnation = $6 OR NOT ({leased}), VALUES(" + c + "), " + c + ")"
	}
	return leaseQueries{
		join: in(`UPDATE {schema}__segments SET owner = NULL WHERE owner = $1;
			DELETE FROM {schema}__outbox_relays WHERE owner = $1; ` + register + strings.Join(always, ", ")),
		// A worker that was killed does not leave: its row is deleted by the others.
		heartbeat: in(`DELETE FROM {schema}__workers WHERE worker <> $1
				AND (expires_at < {now} - 3600000000 OR expires_at > {now} + 2 * ttl);
			` + register + strings.Join(unlessTaken, ", ") + ` RETURNING incarnation = $6`),
		workers: in(`SELECT w.worker, w.projections, w.segments, w.refused, w.incarnation, w.troubles
			FROM {schema}__workers AS w WHERE {alive} ORDER BY w.worker`),
		// SKIP LOCKED: a segment in the middle of a commit has a live owner anyway, or is not worth waiting for.
		free: in(`SELECT f.segment, f.first_hash, f.last_hash, f.position, f.merge_at, f.epoch + 1, f.log_id, f.timeline,
				f.last_position, f.last_event
			FROM {schema}__segments AS f FORCE INDEX (PRIMARY)
			WHERE f.projection = $1 AND f.version = $2 AND f.failure IS NULL AND NOT COALESCE(f.segment IN $5, FALSE)
			AND (f.merge_at = 0 OR f.position < f.merge_at) AND ($6 = 0 OR f.position < $6)
			AND EXISTS (SELECT 1 FROM {schema}__projections AS p WHERE p.name = $1 AND p.version = $2 AND p.paused_at IS NULL)
			AND EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $3 AND w.incarnation = $4 AND {alive})
			AND (f.owner IS NULL OR f.owner = $3 OR NOT EXISTS (
				SELECT 1 FROM {schema}__workers AS w WHERE w.worker = f.owner AND {alive}))
			ORDER BY f.segment LIMIT $7 FOR UPDATE SKIP LOCKED`),
		// The lock on the projection: a claim waits for a pause under way, and a pause for claims under way. Without it, a
		// claim that has begun before a pause may give a segment after it. It comes behind those on segments: for a moment
		// SKIP LOCKED waits too, long enough for the server to see a deadlock with who has the segment and waits for the
		// projection.
		claim: in(`SELECT COUNT(*) INTO @running FROM {schema}__projections
				WHERE name = $1 AND version = $2 AND paused_at IS NULL LOCK IN SHARE MODE;
			UPDATE {schema}__segments SET owner = $3, epoch = epoch + 1
				WHERE @running > 0 AND projection = $1 AND version = $2 AND segment IN $4;
			SELECT @running`),
		adopt: in(`UPDATE {schema}__segments SET log_id = $7, timeline = $8
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6`),
		release: in(`UPDATE {schema}__segments SET owner = NULL WHERE projection = $1 AND version = $2
			AND segment = $3 AND owner = $4 AND epoch = $5`),
		fail: in(`UPDATE {schema}__segments SET owner = NULL, failure = $6, updated_at = {now}
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5`),
		// The row of the worker comes last: others delete the rows of those that are gone, and wait for this one.
		leave: in(`UPDATE {schema}__segments SET owner = NULL WHERE owner = $1
				AND NOT EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $1 AND w.incarnation <> $2);
			DELETE FROM {schema}__outbox_relays WHERE owner = $1 AND incarnation = $2;
			DELETE FROM {schema}__workers WHERE worker = $1 AND incarnation = $2`),
	}
}

// Join registers a process that starts. See [store.Leases].
func (s backend) Join(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	return s.controlledWrite(ctx, func(c *conn) error {
		return c.last(s.queries.lease.join, describeWorker(worker, ttl)...)
	})
}

// Heartbeat registers or renews a worker. See [store.Leases].
func (s backend) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	return s.controlled(ctx, func(c *conn) error {
		registered := false
		err := c.query(s.queries.lease.heartbeat, func(r *row) error {
			registered = r.bool(0)
			return nil
		}, describeWorker(worker, ttl)...)
		if err == nil && !registered {
			return store.ErrNameTaken
		}
		return err
	})
}

// describeWorker returns the parameters of join and heartbeat.
func describeWorker(worker store.Worker, ttl time.Duration) []any {
	return []any{
		worker.Name, ttl.Microseconds(), jsonList(worker.Projections), worker.Segments, jsonList(worker.Refused),
		worker.Incarnation, jsonList(worker.Troubles),
	}
}

// Workers returns the workers that are alive. See [store.Leases].
func (s backend) Workers(ctx context.Context) (workers []store.Worker, err error) {
	err = s.controlled(ctx, func(c *conn) error {
		return c.query(s.queries.lease.workers, func(r *row) error {
			w := store.Worker{Name: r.text(0), Segments: r.int(2), Incarnation: r.text(4)}
			if err := json.Unmarshal(r.bytes(1), &w.Projections); err != nil {
				return err
			}
			if err := json.Unmarshal(r.bytes(3), &w.Refused); err != nil {
				return err
			}
			if err := json.Unmarshal(r.bytes(5), &w.Troubles); err != nil {
				return err
			}
			workers = append(workers, w)
			return nil
		})
	})
	return workers, err
}

// Claim gives free segments to the worker. See [store.Leases].
func (s backend) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	var claims []store.Claim
	name, version := request.Projection.Name, request.Projection.Number()
	err := s.controlledWrite(ctx, func(c *conn) error {
		var segments []int
		claims = nil
		err := c.query(s.queries.lease.free, func(r *row) error {
			segments = append(segments, r.int(0))
			claims = append(claims, store.Claim{
				Projection: request.Projection, Worker: request.Worker,
				Segment:  r.int(0),
				Range:    store.HashRange{First: uint32(r.int64(1)), Last: uint32(r.int64(2))},
				Position: r.int64(3),
				MergeAt:  r.int64(4),
				Epoch:    r.int64(5),
				Applied:  r.applied(6),
			})
			return nil
		}, name, version, request.Worker, request.Incarnation, request.Held, request.Below, max(request.Limit, 0))
		if err != nil || len(claims) == 0 {
			return err
		}
		return c.lastQuery(s.queries.lease.claim, func(r *row) error {
			if !r.bool(0) {
				claims = nil
			}
			return nil
		}, name, version, request.Worker, segments)
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// Adopt notes the log of a checkpoint. See [store.Leases].
func (s backend) Adopt(ctx context.Context, claim store.Claim, log store.LogID) error {
	adopted, err := s.controlledExec(ctx, s.queries.lease.adopt, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch, claim.Position, log.ID, int64(log.Timeline))
	if err == nil && adopted == 0 {
		return store.ErrFenced
	}
	return err
}

// Release gives a segment up. See [store.Leases].
func (s backend) Release(ctx context.Context, claim store.Claim) error {
	_, err := s.controlledExec(ctx, s.queries.lease.release, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch)
	return err
}

// Fail records why a segment cannot go on. See [store.Leases].
func (s backend) Fail(ctx context.Context, claim store.Claim, reason string) error {
	failed, err := s.controlledExec(ctx, s.queries.lease.fail, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch, reason)
	if err == nil && failed == 0 {
		return store.ErrFenced
	}
	return err
}

// Leave releases everything that the worker owns. See [store.Leases].
func (s backend) Leave(ctx context.Context, worker store.Worker) error {
	return s.controlledWrite(ctx, func(c *conn) error {
		return c.last(s.queries.lease.leave, worker.Name, worker.Incarnation)
	})
}

// jsonList is a list as the columns have it.
func jsonList[T store.Membership | store.Refusal | store.Trouble](list []T) string {
	text, _ := json.Marshal(append([]T{}, list...)) // these types never fail
	return string(text)
}
