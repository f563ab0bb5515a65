package sqlite

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Heartbeat registers or renews a worker. See [store.Leases].
func (s *Store) Heartbeat(ctx context.Context, worker string, ttl time.Duration) error {
	return s.change(ctx, s.queries.heartbeat, worker, ttl.Microseconds())
}

// Claim gives free segments to the worker. See [store.Leases].
func (s *Store) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	held, err := json.Marshal(append([]int{}, request.Held...)) // never null, which json_each makes one row of
	if err != nil {
		return nil, err
	}
	var claims []store.Claim
	err = s.write(ctx, func(c *conn) error {
		// A negative LIMIT is none at all in SQLite.
		return c.query(s.queries.claim, func(row *prepared) error {
			claims = append(claims, store.Claim{
				Projection: request.Projection, Worker: request.Worker,
				Segment:  row.ColumnInt(0),
				Range:    store.HashRange{First: uint32(row.ColumnInt64(1)), Last: uint32(row.ColumnInt64(2))},
				Position: row.ColumnInt64(3),
				Epoch:    row.ColumnInt64(4),
			})
			return nil
		}, request.Projection, request.Worker, string(held), max(request.Limit, 0))
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(claims, func(i, j int) bool { return claims[i].Segment < claims[j].Segment })
	return claims, nil
}

// Release gives a segment up. See [store.Leases].
func (s *Store) Release(ctx context.Context, claim store.Claim) error {
	return s.change(ctx, s.queries.release, claim.Projection, claim.Segment, claim.Worker, claim.Epoch)
}

// Fail records why a segment cannot go on. See [store.Leases].
func (s *Store) Fail(ctx context.Context, claim store.Claim, reason string) error {
	return s.change(ctx, s.queries.fail, claim.Projection, claim.Segment, claim.Worker, claim.Epoch, reason)
}

// Leave releases everything that the worker owns. See [store.Leases].
func (s *Store) Leave(ctx context.Context, worker string) error {
	return s.write(ctx, func(c *conn) error {
		if _, err := c.exec(s.queries.leaveAll, worker); err != nil {
			return err
		}
		_, err := c.exec(s.queries.forget, worker)
		return err
	})
}

// change runs one statement in a transaction of its own.
func (s *Store) change(ctx context.Context, sql string, args ...any) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.exec(sql, args...)
		return err
	})
}
