package sqlite

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Join registers a process that starts. See [store.Leases].
func (s backend) Join(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	return s.write(ctx, func(c *conn) error {
		if err := c.leave(&s.queries, worker.Name); err != nil {
			return err
		}
		_, err := c.exec(s.queries.join, describeWorker(worker, ttl)...)
		return err
	})
}

// Heartbeat registers or renews a worker. See [store.Leases].
func (s backend) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	return s.write(ctx, func(c *conn) error {
		if _, err := c.exec(s.queries.bury, worker.Name); err != nil {
			return err
		}
		registered := false
		err := c.query(s.queries.heartbeat, func(*prepared) error { registered = true; return nil },
			describeWorker(worker, ttl)...)
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
	err = s.read(ctx, func(c *conn) error {
		return c.query(s.queries.workers, func(row *prepared) error {
			w := store.Worker{Name: row.ColumnText(0), Segments: row.ColumnInt(2), Incarnation: row.ColumnText(4)}
			if err := json.Unmarshal([]byte(row.ColumnText(1)), &w.Projections); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(row.ColumnText(3)), &w.Refused); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(row.ColumnText(5)), &w.Troubles); err != nil {
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
	err := s.write(ctx, func(c *conn) error {
		// A negative LIMIT is none at all in SQLite.
		return c.query(s.queries.claim, func(row *prepared) error {
			claims = append(claims, store.Claim{
				Projection: request.Projection, Worker: request.Worker,
				Segment:  row.ColumnInt(0),
				Range:    store.HashRange{First: uint32(row.ColumnInt64(1)), Last: uint32(row.ColumnInt64(2))},
				Position: row.ColumnInt64(3),
				MergeAt:  row.ColumnInt64(4),
				Epoch:    row.ColumnInt64(5),
				Applied:  row.applied(6),
			})
			return nil
		}, request.Projection.Name, request.Worker, jsonList(request.Held), max(request.Limit, 0),
			request.Projection.Number(), request.Below, request.Incarnation)
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(claims, func(i, j int) bool { return claims[i].Segment < claims[j].Segment })
	return claims, nil
}

// Release gives a segment up. See [store.Leases].
func (s backend) Release(ctx context.Context, claim store.Claim) error {
	return s.change(ctx, s.queries.release, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch)
}

// Fail records why a segment cannot go on. See [store.Leases].
func (s backend) Fail(ctx context.Context, claim store.Claim, reason string) error {
	return s.write(ctx, func(c *conn) error {
		failed, err := c.exec(s.queries.fail, claim.Projection.Name, claim.Projection.Number(),
			claim.Segment, claim.Worker, claim.Epoch, reason)
		if err == nil && failed == 0 {
			return store.ErrFenced
		}
		return err
	})
}

// Leave releases everything that the worker owns. See [store.Leases].
func (s backend) Leave(ctx context.Context, worker store.Worker) error {
	return s.write(ctx, func(c *conn) error {
		superseded := false
		err := c.query(s.queries.superseded, func(*prepared) error { superseded = true; return nil }, worker.Name,
			worker.Incarnation)
		if err != nil || superseded {
			return err
		}
		if err := c.leave(&s.queries, worker.Name); err != nil {
			return err
		}
		_, err = c.exec(s.queries.forget, worker.Name, worker.Incarnation)
		return err
	})
}

// leave gives up what workers of a name have.
func (c *conn) leave(q *queries, worker string) error {
	for _, statement := range []string{q.leaveAll, q.outbox.leaveRelays} {
		if _, err := c.exec(statement, worker); err != nil {
			return err
		}
	}
	return nil
}

// change runs one statement in a transaction of its own.
func (s *Store) change(ctx context.Context, sql string, args ...any) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.exec(sql, args...)
		return err
	})
}

// jsonList is a list as the SQL functions take it: never null, which json_each makes one row of.
func jsonList[T int | int64 | string | store.Membership | store.Refusal | store.Trouble](list []T) string {
	text, _ := json.Marshal(append([]T{}, list...)) // these types never fail
	return string(text)
}
