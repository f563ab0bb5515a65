package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/store"
)

// fast reports that the call can be left to routines of the log: events of one stream, in one statement, nothing of
// which is to be looked for.
func (a *appending) fast() bool {
	limit := a.packet
	if len(a.ids) > 1 {
		limit = min(limit, textMax)
	}
	return len(a.appends) == 1 && len(a.ids) > 0 && !a.options.SkipDuplicates && !a.look && a.known == nil &&
		a.size+streamTextMax <= limit
}

// single reports that the call is one event of that kind, and not so large that it is to be measured.
func (a *appending) single() bool {
	if len(a.appends) != 1 || len(a.ids) != 1 || a.options.SkipDuplicates || a.look || a.known != nil {
		return false
	}
	return eventSize(&a.appends[0].Events[0], &a.appends[0].Stream) <= smallText
}

// runFast appends in a transaction of its own, in one round trip.
func (a *appending) runFast(c *conn) error {
	text := append(a.callLock([]byte("START TRANSACTION; ")), "; "...)
	err := c.query(string(append(a.insertAll(text), "; COMMIT"...)), a.collector())
	if err != nil {
		c.rollback()
	}
	return err
}

// appendOne appends the only event by a prepared statement, which is a transaction by itself and costs the server two
// thirds of what the text does.
func (s *Store) appendOne(ctx context.Context, a *appending) error {
	statement, err := s.one.get(ctx, s.db, a.queries.one)
	if err != nil {
		return err
	}
	given := &a.appends[0]
	e, of := &given.Events[0], &given.Stream
	optional := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	metadata, created := "{}", any(nil)
	if len(e.Metadata) > 0 {
		metadata = string(e.Metadata)
	}
	if !e.CreatedAt.IsZero() {
		created = e.CreatedAt.UTC().Format(timeLayout)
	}
	payload := e.Payload
	if payload == nil {
		payload = []byte{}
	}
	rows, err := statement.QueryContext(ctx, of.BoundedContext, of.AggregateType, of.AggregateID, of.BoundedContext,
		of.AggregateType, of.AggregateID, given.Expected.Code(), a.ids[0][:], e.Type, max(e.Version, 1), payload, metadata,
		optional(e.TraceID), optional(e.CorrelationID), optional(e.CausationID), created, int64(a.streams[0].hash))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		a.result[0].ID = a.ids[0]
		if err := rows.Scan(&a.result[0].Position, &a.result[0].AggregateVersion); err != nil {
			return fmt.Errorf("reading what an append has returned: %w", err)
		}
	}
	return rows.Err() // the end of the rows comes with the commit
}

// preparedOnce is a statement that the first use prepares, on each connection.
type preparedOnce struct{ statement atomic.Pointer[sql.Stmt] }

func (p *preparedOnce) get(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	if known := p.statement.Load(); known != nil {
		return known, nil
	}
	statement, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if !p.statement.CompareAndSwap(nil, statement) {
		_ = statement.Close()
	}
	return p.statement.Load(), nil
}

// nextVersion is the variable with the version of the first event.
const nextVersion = "@pupwasm_next"

// runFastWithin appends in a transaction of the caller.
func (a *appending) runFastWithin(c *conn) error {
	if _, err := c.exec(string(a.callLock(nil))); err != nil {
		return err
	}
	return c.query(string(a.insertAll(nil)), a.collector())
}

// collector takes the positions and versions of the events, in order.
func (a *appending) collector() func(r *row) error {
	at := 0
	return func(r *row) error {
		a.result[at] = store.Appended{ID: a.ids[at], Position: r.int64(0), AggregateVersion: r.int64(1)}
		at++
		return nil
	}
}

// callLock is the call that locks the stream, and leaves the version of the first event in a variable.
func (a *appending) callLock(text []byte) []byte {
	given := &a.appends[0]
	text = appendStream(append(text, a.queries.stream...), &given.Stream)
	return fmt.Appendf(text, ", %d, %d, %s)", len(given.Events), given.Expected.Code(), nextVersion)
}

// insertAll is the statement that inserts all events, from that version on.
func (a *appending) insertAll(text []byte) []byte {
	given := &a.appends[0]
	text = append(text, a.queries.events...)
	for i := range given.Events {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = appendStream(append(text, '('), &given.Stream)
		text = fmt.Appendf(text, ", %s + %d, ", nextVersion, i)
		text = appendEvent(text, &given.Events[i], a.ids[i], "UTC_TIMESTAMP(6)")
		text = fmt.Appendf(text, ", %d)", a.streams[0].hash)
	}
	return append(text, " RETURNING global_position, aggregate_version"...)
}
