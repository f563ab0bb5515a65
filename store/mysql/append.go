package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/pupwasm/pupwasm/store"
)

// stateVersionConflict is what lock_stream raises where a stream seems to be at another version than expected.
const stateVersionConflict = "45001"

// Errors of the server that only an append tells apart.
const (
	erDuplicateKey = 1062
	erCheckFailed  = 4025
)

// appendQueries are the fixed statements of appends. See [streamQueries] for what holds for them too.
type appendQueries struct {
	one    string // inserts one event
	stream string // the beginning of a call of lock_stream
	lock   string // the beginning of a statement that locks streams, and counts their events
	locked string // its end
	events string // the beginning of a statement that inserts events
	max    string // the last version of a stream
	last   string // the same, as it is committed when those have ended who insert now
	stored string // the beginning of a query for ids that are stored
	count  string // puts the last version of streams right; behind the rows of lock
}

func appendQueriesFor(in func(string) string) appendQueries {
	return appendQueries{
		one: in(`INSERT INTO {log}__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id,
			event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at, partition_hash)
			VALUES (?, ?, ?, {log}__next_version(?, ?, ?, ?), ?, ?, ?, ?, ?, ?, ?, ?, COALESCE(?, UTC_TIMESTAMP(6)), ?)
			RETURNING global_position, aggregate_version`),
		stream: in(`CALL {log}__lock_stream(`),
		lock: in(`INSERT INTO {log}__streams (bounded_context, aggregate_type, aggregate_id, last_version)
			VALUES `),
		locked: ` ON DUPLICATE KEY UPDATE last_version = last_version + VALUES(last_version) RETURNING last_version`,
		count:  ` ON DUPLICATE KEY UPDATE last_version = VALUES(last_version)`,
		events: in(`INSERT INTO {log}__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id,
			event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at, partition_hash)
			VALUES `),
		max: in(`SELECT $1, COALESCE(MAX(aggregate_version), 0) FROM {log}__events
			WHERE bounded_context = $2 AND aggregate_type = $3 AND aggregate_id = $4`),
		last: in(`SELECT aggregate_version FROM {log}__events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			ORDER BY aggregate_version DESC LIMIT 1 LOCK IN SHARE MODE`),
		stored: in(`SELECT event_id FROM {log}__events WHERE event_id IN (`),
	}
}

// attemptsMax is how often an append is tried that meets others.
const attemptsMax = 20

// Append adds events in a transaction of its own. Events of one stream take one round trip, where they fit into a statement,
// and others two. What other programs have inserted by themselves into the same streams, a conflict and conditions take
// more. See [store.Appender].
func (s *Store) Append(ctx context.Context, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	a := newAppending(&s.queries.append, options, appends, count)
	for range attemptsMax {
		if a.single() {
			err = s.appendOne(ctx, a)
		} else {
			err = s.lend(ctx, a.runOwn)
		}
		if !isDeadlock(err) && !a.again(err) {
			break
		}
	}
	if err != nil {
		return nil, s.translate(ctx, a.translate(err))
	}
	return a.result, nil
}

// runOwn appends in a transaction of its own.
func (a *appending) runOwn(c *conn) error {
	if err := a.measure(c); err != nil {
		return err
	}
	if a.fast() {
		return a.runFast(c)
	}
	return c.transact(a.run)
}

// AppendBulk is Append: there is no faster way in. See [store.BulkAppender].
func (s *Store) AppendBulk(ctx context.Context, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	return s.Append(ctx, options, appends...)
}

// Tx is a transaction of the caller on a connection of the store. It is used by one goroutine, within [Store.InTx].
type Tx struct {
	ctx   context.Context
	store *Store
	tx    *sql.Tx
}

// InTx runs fn in one transaction: what fn does through tx is committed when fn returns nil, and rolled back otherwise.
//
// # Errors
//
// Those of fn, [store.ErrNotMigrated], [store.ErrTransient]. Of these, [store.ErrDeadlock] says that the server has rolled
// the transaction back for the sake of another one: the same may be tried again at once.
func (s *Store) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.translate(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // unless it has ended
	if err := fn(&Tx{ctx: ctx, store: s, tx: tx}); err != nil {
		return err // in the words of the caller, whose SQL it may come from
	}
	return s.translate(ctx, tx.Commit())
}

// SQL returns the transaction, for SQL of the caller's own, which must not end it.
func (t *Tx) SQL() *sql.Tx { return t.tx }

// Append adds events within the transaction. After an error nothing of the call remains, and the transaction goes on,
// but not after [store.ErrDeadlock]. See [store.Appender] for the errors.
func (t *Tx) Append(options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended, error) {
	return t.store.AppendTx(t.ctx, t.tx, options, appends...)
}

// Streams are the streams within the transaction.
func (t *Tx) Streams() store.StreamsTx { return t.store.StreamsTx(t.tx) }

// AppendTx adds events within the caller's transaction, which decides whether they are committed. See [Store.StreamsTx]
// for what it may be. After an error nothing of the call remains, and the transaction goes on, but not after
// [store.ErrDeadlock].
func (s *Store) AppendTx(ctx context.Context, tx *sql.Tx, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	return s.StreamsTx(tx).Append(ctx, options, appends...)
}

// appendWithin appends in a savepoint, so that a failure in the middle leaves no half.
func (s *Store) appendWithin(c *conn, options store.AppendOptions, appends []store.StreamAppend) ([]store.Appended,
	error,
) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	a := newAppending(&s.queries.append, options, appends, count)
	if err := a.measure(c); err != nil {
		return nil, err
	}
	for range attemptsMax {
		if _, err = c.exec("SAVEPOINT pupwasm_append"); err != nil {
			return nil, err
		}
		if a.fast() {
			err = a.runFastWithin(c)
		} else {
			err = a.run(c)
		}
		if err == nil {
			_, err = c.exec("RELEASE SAVEPOINT pupwasm_append")
			return a.result, err
		}
		if undo := c.undo(); undo != nil {
			return nil, errors.Join(err, undo)
		}
		if !a.again(err) {
			break
		}
	}
	return nil, a.translate(err)
}

// undo rolls back to the savepoint although the context may be over, unless the server has rolled back everything.
func (c *conn) undo() error {
	for _, text := range []string{"ROLLBACK TO SAVEPOINT pupwasm_append", "RELEASE SAVEPOINT pupwasm_append"} {
		_, err := c.session.exec(context.WithoutCancel(c.ctx), text)
		if isNumber(err, erNoSuchRoutine) || errors.Is(err, sql.ErrTxDone) { // there is no such savepoint
			return nil
		}
		if err != nil {
			return fmt.Errorf("undoing an append: %w", err)
		}
	}
	return nil
}

// appending is one call of Append.
type appending struct {
	queries *appendQueries
	options store.AppendOptions
	appends []store.StreamAppend
	size    int          // of the rows of all events, at most
	ids     []store.UUID // of the events, in order
	result  []store.Appended
	heads   map[store.Stream]*streamHead
	streams []*streamHead // in the order of locking
	packet  int           // the longest statement, once measured

	// What earlier attempts have found.
	look  bool                // the streams have events that appends do not know of
	known map[store.UUID]bool // ids that are stored

	pending []pendingEvent
	wrong   []*streamHead // whose rows have another version than the streams
}

// streamHead is a stream's last version, as it will be after the events seen so far.
type streamHead struct {
	stream  *store.Stream
	hash    uint32
	count   int64 // of the events that are given
	guarded bool  // by a condition, which must hold for events of other programs too
	looked  bool  // first was looked for
	first   int64 // the version before the call
	version int64
	noted   int64 // what the row of the stream has
}

// pendingEvent is an event that is not skipped.
type pendingEvent struct {
	event   *store.Event
	head    *streamHead
	id      store.UUID
	version int64
	place   int // in the result
}

func newAppending(q *appendQueries, options store.AppendOptions, appends []store.StreamAppend, count int) *appending {
	a := &appending{
		queries: q, options: options, appends: appends, ids: make([]store.UUID, 0, count),
		result: make([]store.Appended, count), heads: make(map[store.Stream]*streamHead, len(appends)),
	}
	for i := range appends {
		given := &appends[i]
		if len(given.Events) == 0 && !given.IsCondition() {
			continue
		}
		head := a.heads[given.Stream]
		if head == nil {
			head = &streamHead{stream: &given.Stream, hash: store.PartitionHash(given.Stream.AggregateID)}
			a.heads[given.Stream] = head
			a.streams = append(a.streams, head)
		}
		head.count += int64(len(given.Events))
		head.guarded = head.guarded || given.IsCondition()
		for j := range given.Events {
			id := given.Events[j].ID
			if id == (store.UUID{}) {
				id = store.UUID(uuid.Must(uuid.NewV7()))
			}
			a.ids = append(a.ids, id)
		}
	}
	slices.SortFunc(a.streams, func(a, b *streamHead) int {
		return cmp.Or(strings.Compare(a.stream.BoundedContext, b.stream.BoundedContext),
			strings.Compare(a.stream.AggregateType, b.stream.AggregateType),
			strings.Compare(a.stream.AggregateID, b.stream.AggregateID))
	})
	return a
}

// again reports whether the append is to be tried again after an error, with more looked for.
func (a *appending) again(err error) bool {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) {
		return false
	}
	switch {
	case failure.Number == erSignal && string(failure.SQLState[:]) == stateVersionConflict,
		failure.Number == erDuplicateKey && strings.Contains(failure.Message, "__events_stream'"):
		a.look = true
		return true
	case failure.Number == erDuplicateKey && strings.Contains(failure.Message, "__events_id'"):
		// Which it is the server does not tell in full. It may come from an append that was not committed at first.
		if a.known == nil {
			a.known, a.look = map[store.UUID]bool{}, true
			return true
		}
		return a.options.SkipDuplicates
	}
	return false
}

// translate turns the errors that only an append can meet into those of package store.
func (a *appending) translate(err error) error {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) {
		return err
	}
	switch {
	case failure.Number == erDuplicateKey && strings.Contains(failure.Message, "__events_id'"):
		return &store.DuplicateEventError{}
	case failure.Number == erDuplicateKey && strings.Contains(failure.Message, "__events_stream'"):
		for i := range a.appends {
			if a.appends[i].Expected != store.Any() {
				return &store.VersionConflictError{Stream: a.appends[i].Stream, Expected: a.appends[i].Expected, Actual: -1}
			}
		}
		return fmt.Errorf("%w: other programs insert events of the same streams without end", store.ErrTransient)
	case isNumber(err, erCheckFailed):
		// What store has not found already, such as metadata that is nested deeper than MariaDB's functions take.
		return &store.InputError{Field: "a value of the events", Reason: "is refused by the table of events: " + reason(err)}
	}
	return err
}
