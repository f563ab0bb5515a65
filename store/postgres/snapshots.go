package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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
		exists: in(`SELECT EXISTS (SELECT FROM {schema}.events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3)`),
		// Drivers of applications read what is bytea and text here in the same way, and have no common way for others.
		after: in(`SELECT global_position, aggregate_version, uuid_send(event_id), event_type, event_version, payload,
				metadata::text, coalesce(trace_id, ''), coalesce(correlation_id, ''), coalesce(causation_id, ''), created_at,
				partition_hash
			FROM {schema}.events WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version > $4 ORDER BY aggregate_version`),
		// One look-up of the event. A plain join may read the whole stream, of which the planner believes that it is short.
		loadSnapshot: in(`SELECT s.aggregate_version, uuid_send(s.event_id), s.state, e.global_position
			FROM {schema}.snapshots s CROSS JOIN LATERAL (SELECT e.global_position FROM {schema}.events e
				WHERE e.bounded_context = s.bounded_context AND e.aggregate_type = s.aggregate_type
				AND e.aggregate_id = s.aggregate_id AND e.aggregate_version = s.aggregate_version
				AND e.event_id = s.event_id LIMIT 1) e
			WHERE s.bounded_context = $1 AND s.aggregate_type = $2 AND s.aggregate_id = $3 AND s.schema_version = $4`),
		// The state is not taken from excluded, which would ask for the right to read states.
		saveSnapshot: in(`INSERT INTO {schema}.snapshots AS s (bounded_context, aggregate_type, aggregate_id,
				aggregate_version, event_id, schema_version, state)
			SELECT $1::text, $2::text, $3::text, $4::bigint, $5::uuid, $6::integer, $7::bytea
			WHERE {schema}.snapshot_counts($1, $2, $3, $4, $5)
			ON CONFLICT ON CONSTRAINT snapshots_pkey DO UPDATE
			SET aggregate_version = $4, event_id = $5, schema_version = $6, state = $7, created_at = now()
			WHERE s.aggregate_version < $4 OR (s.aggregate_version = $4 AND s.schema_version <> $6)
			OR NOT {schema}.snapshot_counts(s.bounded_context, s.aggregate_type, s.aggregate_id, s.aggregate_version,
				s.event_id)
			RETURNING s.aggregate_version`),
	}
}

// ReadStreamAfter reads events one by one. See [store.Streams].
func (s *Store) ReadStreamAfter(ctx context.Context, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release()
	return s.readStreamAfter(ctx, driverQuerier{conn}, stream, after, each)
}

// LoadSnapshot returns the snapshot of a stream. See [store.Streams].
func (s *Store) LoadSnapshot(ctx context.Context, stream store.Stream, schemaVersion int32) (*store.Snapshot, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	defer conn.Release()
	return s.loadSnapshot(ctx, driverQuerier{conn}, stream, schemaVersion)
}

// SaveSnapshot keeps a snapshot. See [store.Streams].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) (bool, error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return false, translate(err)
	}
	defer conn.Release()
	return s.saveSnapshot(ctx, driverQuerier{conn}, snapshot)
}

// StreamsTx are the streams within the caller's transaction. After an error of an append or a read the transaction is
// aborted, as after any failed statement. The connection's client_encoding must be UTF8.
func (s *Store) StreamsTx(tx pgx.Tx) store.StreamsTx {
	return store.StreamsTx{Streams: streamsTx{store: s, to: driverQuerier{tx}, encoding: func(context.Context) error {
		if conn := tx.Conn(); conn != nil {
			return checkEncodings(conn.PgConn())
		}
		return nil
	}}}
}

// StreamsSQLTx is [Store.StreamsTx] for a transaction of database/sql, which must be one of pgx's driver
// (github.com/jackc/pgx/v5/stdlib). Each call asks for the connection's client_encoding first, which is a round trip
// more.
func (s *Store) StreamsSQLTx(tx *sql.Tx) store.StreamsTx {
	return store.StreamsTx{Streams: streamsTx{store: s, to: sqlTx{tx}, encoding: func(ctx context.Context) error {
		return checkSQLEncoding(ctx, tx)
	}}}
}

// streamsTx are streams within a transaction of the caller.
type streamsTx struct {
	store    *Store
	to       querier
	encoding func(ctx context.Context) error // refuses a connection that changes text
}

// Append adds events. See [store.Appender].
func (t streamsTx) Append(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, t.store.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	if err := t.encoding(ctx); err != nil {
		return nil, err
	}
	return t.store.appendTo(ctx, t.to, options, appends, count)
}

// ReadStreamAfter reads events one by one. See [store.Streams].
func (t streamsTx) ReadStreamAfter(ctx context.Context, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	if err := t.encoding(ctx); err != nil {
		return err
	}
	return t.store.readStreamAfter(ctx, t.to, stream, after, each)
}

// LoadSnapshot returns the snapshot of a stream. See [store.Streams].
func (t streamsTx) LoadSnapshot(ctx context.Context, stream store.Stream, schemaVersion int32) (*store.Snapshot,
	error,
) {
	if err := t.encoding(ctx); err != nil {
		return nil, err
	}
	return t.store.loadSnapshot(ctx, t.to, stream, schemaVersion)
}

// SaveSnapshot keeps a snapshot, within a savepoint. See [store.Streams].
func (t streamsTx) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) (saved bool, err error) {
	if err := t.encoding(ctx); err != nil {
		return false, err
	}
	if err := execute(ctx, t.to, "SAVEPOINT pupwasm_snapshot"); err != nil {
		return false, translate(err)
	}
	saved, err = t.store.saveSnapshot(ctx, t.to, snapshot)
	if err == nil {
		return saved, translate(execute(ctx, t.to, "RELEASE SAVEPOINT pupwasm_snapshot"))
	}
	for _, undo := range []string{"ROLLBACK TO SAVEPOINT pupwasm_snapshot", "RELEASE SAVEPOINT pupwasm_snapshot"} {
		if failure := execute(ctx, t.to, undo); failure != nil {
			return false, errors.Join(err, translate(failure))
		}
	}
	return false, err
}

// execute runs a statement without a result.
func execute(ctx context.Context, to querier, sql string) error {
	rows, err := to.query(ctx, sql)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// queryRows gives each row of a result to read, whose error is returned as it is.
func queryRows(ctx context.Context, to querier, read func(rows resultRows) error, sql string, args ...any) error {
	rows, err := to.query(ctx, sql, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

func (s *Store) readStreamAfter(ctx context.Context, to querier, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	if err := stream.Validate(); err != nil {
		return err
	}
	read := func(rows resultRows) error {
		event, err := scanEvent(rows, stream)
		if err != nil {
			return translate(err)
		}
		return each(event)
	}
	return queryRows(ctx, to, read, s.queries.streams.after, stream.BoundedContext, stream.AggregateType,
		stream.AggregateID, after)
}

// scanEvent reads a row of the query after.
func scanEvent(rows resultRows, stream store.Stream) (*store.RecordedEvent, error) {
	event := &store.RecordedEvent{Stream: stream}
	var id, metadata []byte
	var hash int64
	err := rows.Scan(&event.Position, &event.AggregateVersion, &id, &event.Type, &event.Version, &event.Payload,
		&metadata, &event.TraceID, &event.CorrelationID, &event.CausationID, &event.CreatedAt, &hash)
	if err != nil {
		return nil, fmt.Errorf("reading an event of stream %s: %w", stream, err)
	}
	copy(event.ID[:], id)
	event.Metadata, event.PartitionHash, event.CreatedAt = json.RawMessage(metadata), uint32(hash), event.CreatedAt.UTC()
	return event, nil
}

func (s *Store) loadSnapshot(ctx context.Context, to querier, stream store.Stream, schemaVersion int32,
) (snapshot *store.Snapshot, err error) {
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	err = queryRows(ctx, to, func(rows resultRows) error {
		var event []byte
		snapshot = &store.Snapshot{Stream: stream, SchemaVersion: schemaVersion}
		if err := rows.Scan(&snapshot.AggregateVersion, &event, &snapshot.State, &snapshot.Position); err != nil {
			return translate(fmt.Errorf("reading the snapshot of stream %s: %w", stream, err))
		}
		copy(snapshot.EventID[:], event)
		return nil
	}, s.queries.streams.loadSnapshot, stream.BoundedContext, stream.AggregateType, stream.AggregateID, schemaVersion)
	if err != nil {
		return nil, err
	}
	return snapshot, nil
}

func (s *Store) saveSnapshot(ctx context.Context, to querier, snapshot store.Snapshot) (saved bool, err error) {
	if err := snapshot.Validate(); err != nil {
		return false, err
	}
	state := snapshot.State
	if state == nil {
		state = []byte{}
	}
	err = queryRows(ctx, to, func(resultRows) error {
		saved = true
		return nil
	}, s.queries.streams.saveSnapshot, snapshot.Stream.BoundedContext, snapshot.Stream.AggregateType,
		snapshot.Stream.AggregateID, snapshot.AggregateVersion, [16]byte(snapshot.EventID), snapshot.SchemaVersion, state)
	return saved, err
}
