package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// park does what becomes of events that the commit passes and does not apply.
func (x *tx) park(c *conn, commit *store.Commit) error {
	q, id := &x.catalogue.store.queries, x.claim.Projection
	if len(commit.Parked) > 0 && commit.ParkedMax > 0 {
		parked := 0
		err := c.query(q.parkedKeys, func(row *prepared) error {
			parked = row.ColumnInt(0)
			return nil
		}, id.Name, id.Number())
		if err == nil && parked+len(commit.Parked) > commit.ParkedMax {
			err = &store.ParkedMaxError{Projection: id.Name, Max: commit.ParkedMax}
		}
		if err != nil {
			return err
		}
	}
	for i := range commit.Parked {
		n := &commit.Parked[i]
		_, err := c.exec(q.park, id.Name, id.Number(), n.Key, int64(store.Spread(store.PartitionHashOf(n.Key))),
			n.Fault.Position, n.Fault.Event, n.Fault.Error, n.Fault.Attempts, delay(n.Fault.RetryAfter), n.Fault.Code)
		if err != nil {
			return err
		}
	}
	for i := range commit.Noted {
		n := &commit.Noted[i]
		counted, err := c.exec(q.countNoted, id.Name, id.Number(), n.Key, n.Position)
		if err == nil && counted == 0 {
			err = store.ErrNotParked
		}
		if err == nil {
			_, err = c.exec(q.note, id.Name, id.Number(), n.Key, n.Position)
		}
		if err != nil {
			return err
		}
	}
	return x.skip(c, commit.Skipped)
}

// skip records events that are left out.
func (x *tx) skip(c *conn, skipped []store.SkippedEvent) error {
	id := x.claim.Projection
	for i := range skipped {
		s := &skipped[i]
		_, err := c.exec(x.catalogue.store.queries.skip, id.Name, id.Number(), s.Key, s.Position, s.Event, s.Error)
		if err != nil {
			return err
		}
	}
	return nil
}

// delay is a time from now in microseconds; below 0 there is none.
func delay(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

// Retry applies events of a parked key. See [store.Tx].
func (x *tx) Retry(ctx context.Context, retry store.Retry) (unparked bool, err error) {
	x.running, x.explains = "", retry.Explain
	err = x.write(ctx, func(c *conn) error {
		if err := x.holds(c, retry.Log); err != nil {
			return err
		}
		if unparked, err = x.pass(c, &retry); err != nil {
			return err
		}
		if err := x.skip(c, retry.Skipped); err != nil {
			return err
		}
		if err := x.put(c, retry.Messages); err != nil {
			return err
		}
		return x.applySteps(c, retry.Steps)
	})
	return unparked && err == nil, x.named(err)
}

// holds checks that the claim holds, wherever its checkpoint is, and that what was read is of its log, which the
// file must still have where the log is its own.
func (x *tx) holds(c *conn, log store.LogID) error {
	q, claim, apart := &x.catalogue.store.queries, &x.claim, x.catalogue.apart
	if apart {
		if err := c.refuseOwnLog(q, log); err != nil {
			return err
		}
	}
	err := store.ErrFenced
	failed := c.query(q.holds, func(row *prepared) error {
		err = nil
		if row.ColumnInt64(0) == 0 {
			err = store.ErrOtherLog
		}
		return nil
	}, claim.Projection.Name, claim.Projection.Number(), claim.Segment, claim.Worker, claim.Epoch, log.ID,
		int64(log.Timeline), apart)
	if failed != nil {
		return failed
	}
	return err
}

// pass takes events off a parked key, and reports that it is parked no longer.
func (x *tx) pass(c *conn, retry *store.Retry) (unparked bool, err error) {
	q, id := &x.catalogue.store.queries, x.claim.Projection
	applied, err := c.exec(q.applied, id.Name, id.Number(), retry.Key, retry.Through)
	if err != nil {
		return false, err
	}
	next := int64(0)
	err = c.query(q.nextParked, func(row *prepared) error {
		next = row.ColumnInt64(0)
		return nil
	}, id.Name, id.Number(), retry.Key)
	if err != nil {
		return false, err
	}
	changed := int64(0)
	switch fault := retry.Fault; {
	case next == 0:
		changed, err = c.exec(q.unpark, id.Name, id.Number(), retry.Key)
	case fault != nil:
		changed, err = c.exec(q.failParked, id.Name, id.Number(), retry.Key, applied, fault.Position, fault.Event, fault.Error,
			fault.Attempts, delay(fault.RetryAfter), fault.Code, retry.Orders)
	default:
		changed, err = c.exec(q.advanceParked, id.Name, id.Number(), retry.Key, applied, next, retry.Orders)
	}
	if err == nil && changed == 0 {
		err = store.ErrNotParked
	}
	return next == 0, err
}

// Parked returns parked keys. See [store.Parking].
func (s backend) Parked(ctx context.Context, request store.ParkedRequest) (all []store.ParkedKey, err error) {
	of, keys, after := request.Projection, request.Range, request.After
	sql, args := s.queries.dueParked, []any{
		of.Name, of.Number(), int64(keys.First), int64(keys.Last), after.Projection.Name, after.Projection.Number(),
		append([]byte{}, after.Key...), request.Limit,
	}
	if !request.DueByTime() {
		sql, args = s.queries.parked, append(args, request.Key, request.Code, request.Due)
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(sql, func(row *prepared) error {
			key, err := row.parkedKey()
			all = append(all, key)
			return err
		}, args...)
	})
	return all, err
}

func (p *prepared) parkedKey() (store.ParkedKey, error) {
	var tried []string
	if err := json.Unmarshal(p.ColumnRawText(12), &tried); err != nil {
		return store.ParkedKey{}, fmt.Errorf("reading what a key was tried with: %w", err)
	}
	return store.ParkedKey{
		ParkedID: store.ParkedID{
			Projection: store.NumberedID(p.ColumnText(0), p.ColumnInt64(1)),
			Key:        p.ColumnBlob(2, []byte{}),
		},
		First: p.ColumnInt64(3), Last: p.ColumnInt64(4), Events: p.ColumnInt64(5), Event: p.uuid(6),
		Error: p.ColumnText(7), Attempts: p.ColumnInt(8), ParkedAt: microsecond(p.ColumnInt64(9)),
		NextAttempt: microsecond(p.ColumnInt64(10)), Order: store.ParkedAction(p.ColumnText(11)),
		Tried: tried, Orders: p.ColumnInt64(13), Due: p.ColumnInt64(14) != 0,
	}, nil
}

// ParkedPositions returns where events of a parked key are noted. See [store.Parking].
func (s backend) ParkedPositions(
	ctx context.Context, id store.ParkedID, after int64, limit int,
) (all []int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(s.queries.parkedPositions, func(row *prepared) error {
			all = append(all, row.ColumnInt64(0))
			return nil
		}, id.Projection.Name, id.Projection.Number(), id.Key, after, limit)
	})
	return all, err
}

// Skipped returns the events that were skipped. See [store.Parking].
func (s backend) Skipped(
	ctx context.Context, projection store.ProjectionID, after int64, limit int,
) (all []store.SkippedEvent, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(s.queries.skipped, func(row *prepared) error {
			all = append(all, store.SkippedEvent{
				Key: row.ColumnBlob(0, []byte{}), Position: row.ColumnInt64(1), Event: row.uuid(2),
				Error: row.ColumnText(3), SkippedAt: microsecond(row.ColumnInt64(4)),
			})
			return nil
		}, projection.Name, projection.Number(), after, limit)
	})
	return all, err
}

// Order records what somebody wants of a parked key. See [store.Parking].
func (s backend) Order(ctx context.Context, id store.ParkedID, order store.ParkedAction) error {
	return s.write(ctx, func(c *conn) error {
		changed, err := c.exec(s.queries.order, id.Projection.Name, id.Projection.Number(), id.Key, string(order))
		if err == nil && changed == 0 {
			err = store.NotParked(id)
		}
		return err
	})
}

// ClaimAlert returns a parked key of which nobody was told yet. See [store.Parking]. It takes the file's writer only
// when there is one.
func (s backend) ClaimAlert(
	ctx context.Context, projections []string, hold time.Duration,
) (key *store.ParkedKey, err error) {
	of, some := jsonList(projections), false
	err = s.read(ctx, func(c *conn) error {
		return c.query(s.queries.untold, func(*prepared) error {
			some = true
			return nil
		}, of)
	})
	if err != nil || !some {
		return nil, err
	}
	err = s.write(ctx, func(c *conn) error {
		return c.query(s.queries.claimAlert, func(row *prepared) error {
			claimed, err := row.parkedKey()
			key = &claimed
			return err
		}, of, hold.Microseconds())
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// SettleAlert notes what came of telling somebody. See [store.Parking].
func (s backend) SettleAlert(ctx context.Context, key *store.ParkedKey, alert store.Alert) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.exec(s.queries.settleAlert, key.Projection.Name, key.Projection.Number(), key.Key,
			key.ParkedAt.UnixMicro(), alert.Told, alert.Again.Microseconds())
		return err
	})
}
