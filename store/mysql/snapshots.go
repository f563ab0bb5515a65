package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var _ store.Streams = (*Store)(nil)

// streamQueries are the fixed statements about streams and snapshots. They run in transactions of callers too, and so
// name the database, and mean the same in every sql_mode.
type streamQueries struct {
	events       string // the table
	read         string
	exists       string
	after        string
	loadSnapshot string

	snapshotAt      string
	insertSnapshot  string
	replaceSnapshot string
}

func streamQueriesFor(in func(string) string) streamQueries {
	const ofSnapshot = `e.bounded_context = s.bounded_context AND e.aggregate_type = s.aggregate_type
		AND e.aggregate_id = s.aggregate_id AND e.aggregate_version = s.aggregate_version AND e.event_id = s.event_id`
	return streamQueries{
		events: in(`{log}__events`),
		read: `WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version >= $4 AND aggregate_version <= $5 ORDER BY aggregate_version`,
		exists: in(`SELECT 1 FROM {log}__events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3 LIMIT 1`),
		after: in(`SELECT global_position, aggregate_version, event_id, event_type, event_version, payload, metadata,
				trace_id, correlation_id, causation_id, ` + createdAt + `, partition_hash
			FROM {log}__events WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version > $4 ORDER BY aggregate_version`),
		loadSnapshot: in(`SELECT s.aggregate_version, s.event_id, s.state, e.global_position
			FROM {log}__snapshots s JOIN {log}__events e ON ` + ofSnapshot + `
			WHERE s.bounded_context = $1 AND s.aggregate_type = $2 AND s.aggregate_id = $3 AND s.schema_version = $4`),
		// Whether the log has the event, and the snapshot that is there, with whether it counts.
		snapshotAt: in(`SELECT EXISTS (SELECT 1 FROM {log}__events e WHERE e.bounded_context = $1 AND e.aggregate_type = $2
				AND e.aggregate_id = $3 AND e.aggregate_version = $4 AND e.event_id = $5),
			s.aggregate_version, s.event_id, s.schema_version, EXISTS (SELECT 1 FROM {log}__events e WHERE ` + ofSnapshot + `)
			FROM (SELECT 1) one LEFT JOIN {log}__snapshots s ON s.bounded_context = $1 AND s.aggregate_type = $2
				AND s.aggregate_id = $3`),
		insertSnapshot: in(`INSERT INTO {log}__snapshots (bounded_context, aggregate_type, aggregate_id, aggregate_version,
				event_id, schema_version, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, {now})`),
		replaceSnapshot: in(`UPDATE {log}__snapshots SET state = $7, created_at = {now}, aggregate_version = $4, event_id = $5,
				schema_version = $6
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND aggregate_version = $8
				AND event_id = $9 AND schema_version = $10`),
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
	return s.saveSnapshot(ctx, s.read, snapshot)
}

// StreamsTx are the streams within the caller's transaction, which must be one of go-sql-driver/mysql on the store's
// server. Its database, isolation level, sql_mode and collation do not matter. Each call takes a few round trips. After a
// deadlock the server has rolled the transaction back.
func (s *Store) StreamsTx(tx *sql.Tx) store.StreamsTx {
	return store.StreamsTx{Streams: streamsTx{s, func(ctx context.Context, fn func(c *conn) error) error {
		return s.translate(ctx, fn(&conn{ctx: ctx, session: txSession{tx}}))
	}}}
}

// runner runs statements on a connection, and puts errors into the words of package store.
type runner func(ctx context.Context, fn func(c *conn) error) error

// streamsTx are streams within a transaction of the caller.
type streamsTx struct {
	store *Store
	run   runner
}

// Append adds events. See [store.Appender].
func (t streamsTx) Append(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend,
) (appended []store.Appended, err error) {
	err = t.run(ctx, func(c *conn) (err error) {
		appended, err = t.store.appendWithin(c, options, appends)
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
		return c.query(s.queries.streams.after, func(r *row) error {
			own = each(r.event(stream))
			return own
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID, after)
	})
	if own != nil {
		return own // in the words of the caller
	}
	return err
}

// event reads a row of the query after.
func (r *row) event(stream store.Stream) *store.RecordedEvent {
	return &store.RecordedEvent{
		Event: store.Event{
			ID: r.uuid(2), Type: r.text(3), Version: int32(r.int64(4)), Payload: append([]byte{}, r.bytes(5)...),
			Metadata: json.RawMessage(r.text(6)), TraceID: r.text(7), CorrelationID: r.text(8), CausationID: r.text(9),
			CreatedAt: time.UnixMicro(r.int64(10)).UTC(),
		},
		Stream: stream, Position: r.int64(0), AggregateVersion: r.int64(1), PartitionHash: uint32(r.int64(11)),
	}
}

func (s *Store) loadSnapshot(ctx context.Context, run runner, stream store.Stream, schemaVersion int32,
) (snapshot *store.Snapshot, err error) {
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	err = run(ctx, func(c *conn) error {
		return c.query(s.queries.streams.loadSnapshot, func(r *row) error {
			snapshot = &store.Snapshot{
				Stream: stream, SchemaVersion: schemaVersion, AggregateVersion: r.int64(0), EventID: r.uuid(1),
				State: append([]byte{}, r.bytes(2)...), Position: r.int64(3),
			}
			return nil
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID, schemaVersion)
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
	if snapshot.State == nil {
		snapshot.State = []byte{}
	}
	err = run(ctx, func(c *conn) error {
		if size := 2 * len(snapshot.State); size > smallText {
			packet, err := c.packet()
			if err != nil {
				return err
			}
			if size+eventTextMax > packet {
				return &store.InputError{Field: "state", Reason: fmt.Sprintf("of the snapshot of %s %s", snapshot.Stream,
					tooLarge(size+eventTextMax, packet))}
			}
		}
		for attempt := range snapshotAttempts {
			var again bool
			if saved, again, err = c.trySnapshot(&s.queries.streams, &snapshot, attempt > 0); err != nil || !again {
				break
			}
		}
		return err
	})
	return saved && err == nil, err
}

// snapshotAttempts is how often a save is tried beside which others go on. It need not succeed.
const snapshotAttempts = 5

// trySnapshot keeps a snapshot, unless the one that is there stays. Another save may come between: then it asks to be
// tried again, and to lock what is there, which a transaction with an older view of the database does not see.
func (c *conn) trySnapshot(q *streamQueries, s *store.Snapshot, lock bool) (saved, again bool, err error) {
	args := []any{
		s.Stream.BoundedContext, s.Stream.AggregateType, s.Stream.AggregateID, s.AggregateVersion, s.EventID, s.SchemaVersion,
	}
	look := q.snapshotAt
	if lock {
		look += " FOR UPDATE"
	}
	var known, there, stays bool
	var old []any
	err = c.query(look, func(r *row) error {
		known, there = r.bool(0), !r.null(1)
		if there {
			version, schema := r.int64(1), r.int64(3)
			old = []any{version, r.uuid(2), schema}
			stays = r.bool(4) && (version > s.AggregateVersion || version == s.AggregateVersion &&
				schema == int64(s.SchemaVersion))
		}
		return nil
	}, args...)
	if err != nil || !known || stays {
		return false, false, err
	}
	args = append(args, s.State)
	if there {
		found, err := c.exec(q.replaceSnapshot, append(args, old...)...)
		return found > 0, found == 0, err
	}
	_, err = c.exec(q.insertSnapshot, args...)
	if isNumber(err, erDuplicateKey) {
		return false, true, nil
	}
	return err == nil, false, err
}
