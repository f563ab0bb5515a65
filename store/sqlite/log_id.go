package sqlite

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Locate tells which log this is and what it has at some positions. See [store.Reader].
func (s backend) Locate(ctx context.Context, positions ...int64) (store.LogState, error) {
	state := store.LogState{Events: make([]store.UUID, len(positions)), Next: make([]time.Time, len(positions))}
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.locate, func(row *prepared) error {
			state.Log.ID, state.Head = row.uuid(0), row.ColumnInt64(1)
			state.Position = state.Head
			if at := row.ColumnInt(2); len(positions) > 0 { // otherwise there is one row, of the log alone
				state.Events[at], state.Next[at] = row.uuid(3), microsecond(row.ColumnInt64(4))
			}
			return nil
		}, jsonList(positions))
	})
	return state, err
}

// AppliedAt returns what a checkpoint notes of the log. See [store.Reader].
func (s backend) AppliedAt(ctx context.Context, position int64) (applied store.Applied, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.transact(beginRead, func(c *conn) (err error) {
			if applied.Log, err = c.logID(&s.queries); err != nil {
				return err
			}
			return c.query(s.queries.lastEvent, func(row *prepared) error {
				applied.Position, applied.Event = row.ColumnInt64(0), row.uuid(1)
				return nil
			}, position)
		})
	})
	return applied, err
}

// OwnLog returns the identity of the log beside the tables. See [store.Tables].
func (s backend) OwnLog(ctx context.Context) (store.LogID, error) {
	state, err := s.Locate(ctx)
	return state.Log, err
}

// Adopt notes the log of a checkpoint. See [store.Leases].
func (s backend) Adopt(ctx context.Context, claim store.Claim, log store.LogID) error {
	return s.write(ctx, func(c *conn) error { return c.adopt(&s.queries, claim, log) })
}

func (c *conn) adopt(q *queries, claim store.Claim, log store.LogID) error {
	adopted, err := c.exec(q.adopt, claim.Projection.Name, claim.Projection.Number(), claim.Segment, claim.Worker,
		claim.Epoch, claim.Position, log.ID, int64(log.Timeline))
	if err == nil && adopted == 0 {
		return store.ErrFenced
	}
	return err
}

// logID returns the identity of the file's log, which has no timeline.
func (c *conn) logID(q *queries) (log store.LogID, err error) {
	err = c.query(q.logID, func(row *prepared) error {
		log.ID = row.uuid(0)
		return nil
	})
	return log, err
}

func (p *prepared) uuid(at int) (id store.UUID) {
	copy(id[:], p.ColumnRawBlob(at))
	return id
}

// logID reads the columns log_id, timeline.
func (p *prepared) logID(at int) store.LogID {
	return store.LogID{ID: p.uuid(at), Timeline: uint32(p.ColumnInt64(at + 1))}
}

// applied reads the columns log_id, timeline, last_position, last_event.
func (p *prepared) applied(at int) store.Applied {
	return store.Applied{Log: p.logID(at), Position: p.ColumnInt64(at + 2), Event: p.uuid(at + 3)}
}
