package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// errNoLogID is of a log whose identity somebody has deleted. Nothing may be read on: its checkpoints could be those of
// any log.
var errNoLogID = errors.New("the log has lost its id, the one row of table log: insert it again, with the log_id " +
	"that the rows of table segments have")

// logIDQueries are the statements about the identity of the log.
type logIDQueries struct {
	id      string
	located string
	applied string
}

func logIDQueriesFor(in func(string) string) logIDQueries {
	return logIDQueries{
		id: in(`SELECT id FROM {schema}__log WHERE one = 1`),
		located: in(`SELECT $1, (SELECT event_id FROM {schema}__events WHERE global_position = $2),
			(SELECT ` + createdAt + ` FROM {schema}__events WHERE global_position > $2
				ORDER BY global_position LIMIT 1)`),
		applied: in(`SELECT l.id, COALESCE(e.global_position, 0), e.event_id FROM {schema}__log l
			LEFT JOIN (SELECT global_position, event_id FROM {schema}__events WHERE global_position <= $1
				ORDER BY global_position DESC LIMIT 1) e ON TRUE WHERE l.one = 1`),
	}
}

// Locate tells which log this is and what it has at some positions. See [store.Reader].
func (s backend) Locate(ctx context.Context, positions ...int64) (store.LogState, error) {
	state := store.LogState{Events: make([]store.UUID, len(positions)), Next: make([]time.Time, len(positions))}
	parts := make([]string, len(positions))
	for i, position := range positions {
		part, err := expand(s.queries.log.located, []any{i, position})
		if err != nil {
			return store.LogState{}, err
		}
		parts[i] = part
	}
	err := s.look(ctx, func(c *conn) (err error) {
		state.Horizon, err = s.watch.horizon(c, &s.queries, strings.Join(parts, " UNION ALL "), func(r *row) error {
			at := r.int(0)
			state.Events[at], state.Next[at] = r.uuid(1), time.Time{}
			if !r.null(2) {
				state.Next[at] = time.UnixMicro(r.int64(2)).UTC()
			}
			return nil
		})
		return err
	})
	return state, err
}

// AppliedAt returns what a checkpoint notes of the log. See [store.Reader].
func (s backend) AppliedAt(ctx context.Context, position int64) (applied store.Applied, err error) {
	err = s.read(ctx, func(c *conn) error {
		known := false
		err := c.query(s.queries.log.applied, func(r *row) error {
			known = true
			applied = store.Applied{Log: store.LogID{ID: r.uuid(0)}, Position: r.int64(1), Event: r.uuid(2)}
			return nil
		}, position)
		if err == nil && !known {
			err = errNoLogID
		}
		return err
	})
	return applied, err
}

// OwnLog returns the identity of the log beside the tables. See [store.Tables].
func (s backend) OwnLog(ctx context.Context) (log store.LogID, err error) {
	err = s.read(ctx, func(c *conn) error {
		log, err = c.logID(&s.queries)
		return err
	})
	return log, err
}

// logID returns the identity of the database's log. MariaDB has no timeline.
func (c *conn) logID(q *queries) (log store.LogID, err error) {
	known := false
	err = c.query(q.log.id, func(r *row) error {
		log.ID, known = r.uuid(0), true
		return nil
	})
	if err != nil {
		return log, fmt.Errorf("reading the identity of the log: %w", err)
	}
	if !known {
		return log, errNoLogID
	}
	return log, nil
}
