package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

var _ store.Streams = (*Store)(nil)

// streamQueries are the fixed statements about streams and snapshots.
type streamQueries struct {
	read         string
	exists       string
	after        string
	loadSnapshot string
	saveSnapshot string
}

// streamQueriesFor fills in the statements.
func streamQueriesFor(in func(string) string) streamQueries {
	return streamQueries{
		read: in(`WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version >= $4 AND aggregate_version <= $5 ORDER BY aggregate_version`),
		exists: in(`SELECT 1 FROM {schema}__events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3 LIMIT 1`),
		after: in(`SELECT global_position, aggregate_version, event_id, event_type, event_version, payload, metadata,
				trace_id, correlation_id, causation_id, created_at, partition_hash
			FROM {schema}__events WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version > $4 ORDER BY aggregate_version`),
		loadSnapshot: in(`SELECT s.aggregate_version, s.event_id, s.state, e.global_position
			FROM {schema}__snapshots s JOIN {schema}__events e ON e.bounded_context = s.bounded_context
				AND e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id
				AND e.aggregate_version = s.aggregate_version AND e.event_id = s.event_id
			WHERE s.bounded_context = $1 AND s.aggregate_type = $2 AND s.aggregate_id = $3 AND s.schema_version = $4`),
		saveSnapshot: in(`INSERT INTO {schema}__snapshots AS s (bounded_context, aggregate_type, aggregate_id,
				aggregate_version, event_id, schema_version, state, created_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, {now} WHERE EXISTS (SELECT 1 FROM {schema}__events
				WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND aggregate_version = $4
				AND event_id = $5)
			ON CONFLICT (bounded_context, aggregate_type, aggregate_id) DO UPDATE SET aggregate_version = $4,
				event_id = $5, schema_version = $6, state = $7, created_at = excluded.created_at
			WHERE s.aggregate_version < $4 OR (s.aggregate_version = $4 AND s.schema_version <> $6)
			OR NOT EXISTS (SELECT 1 FROM {schema}__events e WHERE e.bounded_context = s.bounded_context
				AND e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id
				AND e.aggregate_version = s.aggregate_version AND e.event_id = s.event_id)`),
	}
}

// ReadStreamAfter reads events one by one. See [store.Streams].
func (s *Store) ReadStreamAfter(ctx context.Context, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	return s.readStreamAfter(ctx, s.read, stream, after, each)
}

// LoadSnapshot returns the snapshot of a stream. See [store.Streams].
func (s *Store) LoadSnapshot(ctx context.Context, stream store.Stream, schemaVersion int32) (*store.Snapshot, error) {
	return s.loadSnapshot(ctx, s.read, stream, schemaVersion)
}

// SaveSnapshot keeps a snapshot. See [store.Streams].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) (bool, error) {
	return s.saveSnapshot(ctx, s.write, snapshot)
}

// Streams are the streams within the transaction.
func (t *Tx) Streams() store.StreamsTx {
	return store.StreamsTx{Streams: streamsTx{t.store, func(ctx context.Context, fn func(c *conn) error) error {
		return t.store.on(ctx, t.conn, fn)
	}}}
}

// StreamsConn are the streams within the transaction of a connection that the caller opened by the same driver. See
// [Store.AppendConn].
func (s *Store) StreamsConn(db *sqlite3.Conn) store.StreamsTx {
	return store.StreamsTx{Streams: streamsTx{s, func(ctx context.Context, fn func(c *conn) error) error {
		if db.GetAutocommit() {
			return errors.New("using streams on a connection that is not in a transaction")
		}
		c, done := borrow(ctx, db)
		defer done()
		return s.on(ctx, c, fn)
	}}}
}

// runner runs statements on a connection, and puts errors into the words of package store.
type runner func(ctx context.Context, fn func(c *conn) error) error

// on is a runner for a connection in a transaction of the caller.
func (s *Store) on(ctx context.Context, c *conn, fn func(c *conn) error) error {
	interrupt := c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(interrupt)
	return s.translate(ctx, c.guard(func() error { return fn(c) }))
}

// streamsTx are streams within a transaction of the caller.
type streamsTx struct {
	store *Store
	run   runner
}

// Append adds events. See [store.Appender].
func (t streamsTx) Append(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend,
) (appended []store.Appended, err error) {
	err = t.run(ctx, func(c *conn) (err error) {
		appended, err = t.store.appendWithin(ctx, c, options, appends)
		return err
	})
	return appended, err
}

// ReadStreamAfter reads events one by one. See [store.Streams].
func (t streamsTx) ReadStreamAfter(ctx context.Context, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	return t.store.readStreamAfter(ctx, t.run, stream, after, each)
}

// LoadSnapshot returns the snapshot of a stream. See [store.Streams].
func (t streamsTx) LoadSnapshot(ctx context.Context, stream store.Stream, schemaVersion int32) (*store.Snapshot,
	error,
) {
	return t.store.loadSnapshot(ctx, t.run, stream, schemaVersion)
}

// SaveSnapshot keeps a snapshot. A statement that fails undoes what it did by itself. See [store.Streams].
func (t streamsTx) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) (bool, error) {
	return t.store.saveSnapshot(ctx, t.run, snapshot)
}

func (s *Store) readStreamAfter(ctx context.Context, run runner, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	if err := stream.Validate(); err != nil {
		return err
	}
	var own error
	err := run(ctx, func(c *conn) error {
		return c.query(s.queries.streams.after, func(row *prepared) error {
			own = each(row.event(stream))
			return own
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID, after)
	})
	if own != nil {
		return own // in the words of the caller
	}
	return err
}

// event reads a row of the query after.
func (p *prepared) event(stream store.Stream) *store.RecordedEvent {
	return &store.RecordedEvent{
		Event: store.Event{
			ID: p.uuid(2), Type: p.ColumnText(3), Version: int32(p.ColumnInt64(4)),
			Payload: p.ColumnBlob(5, []byte{}), Metadata: json.RawMessage(p.ColumnText(6)), TraceID: p.ColumnText(7),
			CorrelationID: p.ColumnText(8), CausationID: p.ColumnText(9), CreatedAt: time.UnixMicro(p.ColumnInt64(10)).UTC(),
		},
		Stream: stream, Position: p.ColumnInt64(0), AggregateVersion: p.ColumnInt64(1), PartitionHash: uint32(p.ColumnInt64(11)),
	}
}

func (s *Store) loadSnapshot(ctx context.Context, run runner, stream store.Stream, schemaVersion int32,
) (snapshot *store.Snapshot, err error) {
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	err = run(ctx, func(c *conn) error {
		return c.query(s.queries.streams.loadSnapshot, func(row *prepared) error {
			snapshot = &store.Snapshot{
				Stream: stream, SchemaVersion: schemaVersion, AggregateVersion: row.ColumnInt64(0), EventID: row.uuid(1),
				State: row.ColumnBlob(2, []byte{}), Position: row.ColumnInt64(3),
			}
			return nil
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID, int64(schemaVersion))
	})
	if err != nil {
		return nil, err
	}
	return snapshot, nil
}

func (s *Store) saveSnapshot(ctx context.Context, run runner, snapshot store.Snapshot) (saved bool, err error) {
	if err := snapshot.Validate(); err != nil {
		return false, err
	}
	state := snapshot.State
	if state == nil {
		state = []byte{}
	}
	err = run(ctx, func(c *conn) error {
		changed, err := c.exec(s.queries.streams.saveSnapshot, snapshot.Stream.BoundedContext, snapshot.Stream.AggregateType,
			snapshot.Stream.AggregateID, snapshot.AggregateVersion, snapshot.EventID, int64(snapshot.SchemaVersion), state)
		saved = changed > 0
		return err
	})
	return saved && err == nil, err
}
