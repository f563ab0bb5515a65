package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// Append adds events in a transaction of its own. See [store.Appender].
func (s *Store) Append(ctx context.Context, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	var result []store.Appended
	err = s.write(ctx, func(c *conn) (err error) {
		result, err = s.appendTo(c, options, appends, count)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// AppendBulk is Append: there is no faster way in. See [store.BulkAppender].
func (s *Store) AppendBulk(ctx context.Context, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	return s.Append(ctx, options, appends...)
}

// Tx is a transaction of the caller on the store's writer. It is used by one goroutine, within [Store.InTx].
type Tx struct {
	ctx   context.Context
	store *Store
	conn  *conn
}

// InTx runs fn in one transaction, which holds the file's only writer: what fn does through tx is committed when
// fn returns nil, and rolled back otherwise. Within fn, the store's other writing methods must not be used: they
// wait for it to end.
//
// # Errors
//
// Those of fn, [store.ErrNotMigrated], [store.ErrTransient].
func (s *Store) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	var own error
	err := s.write(ctx, func(c *conn) error {
		c.lend()
		own = fn(&Tx{ctx: ctx, store: s, conn: c})
		if err := c.takeBack(); own == nil {
			return err
		}
		return own
	})
	if own != nil {
		return own // in the words of the caller, whose SQL it may come from
	}
	return err
}

// Conn returns the connection, for SQL of the caller's own. It must not end the transaction.
func (t *Tx) Conn() *sqlite3.Conn { return t.conn.db }

// Append adds events within the transaction. After an error nothing of the call remains, and the transaction goes
// on. See [store.Appender] for the errors.
func (t *Tx) Append(options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended, error) {
	return t.store.appendWithin(t.ctx, t.conn, options, appends)
}

// AppendConn adds events within the transaction of a connection that the caller opened by the same driver, such as
// one of database/sql by its Raw method. After an error nothing of the call remains, and the transaction goes on.
func (s *Store) AppendConn(ctx context.Context, db *sqlite3.Conn, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	if db.GetAutocommit() {
		return nil, errors.New("appending to a connection that is not in a transaction")
	}
	c, done := borrow(ctx, db)
	defer done()
	return s.appendWithin(ctx, c, options, appends)
}

// borrow is a connection of the caller, who gets it back by done as it was.
func borrow(ctx context.Context, db *sqlite3.Conn) (c *conn, done func()) {
	interrupt := db.SetInterrupt(ctx)
	c = &conn{db: db, statements: map[statementKey]*prepared{}}
	return c, func() {
		for _, statement := range c.statements {
			_ = statement.Close()
		}
		db.SetInterrupt(interrupt)
	}
}

// appendWithin appends in a savepoint, so that a failure in the middle leaves no half.
func (s *Store) appendWithin(ctx context.Context, c *conn, options store.AppendOptions,
	appends []store.StreamAppend,
) (result []store.Appended, err error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	if _, err := c.exec("SAVEPOINT pupwasm_append"); err != nil {
		return nil, s.translate(ctx, err)
	}
	result, err = s.appendTo(c, options, appends, count)
	if err == nil {
		_, err = c.exec("RELEASE pupwasm_append")
	}
	if err != nil {
		c.undo("pupwasm_append")
		return nil, s.translate(ctx, err)
	}
	return result, nil
}

// undo rolls back to a savepoint although the context may be over, unless the whole transaction is gone already.
func (c *conn) undo(savepoint string) {
	if c.db.GetAutocommit() {
		return
	}
	interrupt := c.db.SetInterrupt(context.Background())
	defer c.db.SetInterrupt(interrupt)
	if _, err := c.exec("ROLLBACK TO " + savepoint); err == nil {
		_, _ = c.exec("RELEASE " + savepoint)
	}
}

// appending is one call of Append within its transaction.
type appending struct {
	conn    *conn
	queries *queries
	heads   map[store.Stream]*streamHead
	pending []pendingEvent
}

// streamHead is a stream's last version, as it will be after the events seen so far.
type streamHead struct {
	version int64
	hash    int64
}

// pendingEvent is an event that is not skipped.
type pendingEvent struct {
	event   *store.Event
	stream  *store.Stream
	id      store.UUID
	version int64
	hash    int64
	place   int // in the result
}

func (s *Store) appendTo(c *conn, options store.AppendOptions, appends []store.StreamAppend,
	count int,
) ([]store.Appended, error) {
	a := &appending{
		conn: c, queries: &s.queries,
		heads: make(map[store.Stream]*streamHead, len(appends)), pending: make([]pendingEvent, 0, count),
	}
	result := make([]store.Appended, count)
	if err := a.plan(options, appends, result); err != nil {
		return nil, err
	}
	if err := a.insert(result); err != nil {
		return nil, err
	}
	return result, nil
}

// plan gives every event its id and version, leaves duplicates out, and checks the expected versions, before
// anything is written.
func (a *appending) plan(options store.AppendOptions, appends []store.StreamAppend, result []store.Appended) error {
	seen := map[store.UUID]bool{}
	var conflicts store.VersionConflicts
	place := 0
	for i := range appends {
		head, err := a.headOf(appends[i].Stream)
		if err != nil {
			return err
		}
		if appends[i].IsCondition() && appends[i].Expected.Code() != head.version {
			conflicts = append(conflicts, &store.VersionConflictError{
				Stream:   appends[i].Stream,
				Expected: appends[i].Expected, Actual: head.version,
			})
		}
		for j := range appends[i].Events {
			event := &appends[i].Events[j]
			id := event.ID
			skip := false
			if id == (store.UUID{}) {
				id = store.UUID(uuid.Must(uuid.NewV7()))
			} else if options.SkipDuplicates {
				if skip, err = a.isStored(id, seen); err != nil {
					return err
				}
			}
			result[place].ID = id
			if !skip {
				if expected := appends[i].Expected; j == 0 && expected != store.Any() &&
					expected.Code() != head.version {
					conflicts = append(conflicts, &store.VersionConflictError{
						Stream:   appends[i].Stream,
						Expected: expected, Actual: head.version,
					})
				}
				head.version++
				a.pending = append(a.pending, pendingEvent{
					event: event, stream: &appends[i].Stream, id: id, version: head.version, hash: head.hash,
					place: place,
				})
			}
			place++
		}
	}
	return conflicts.Err()
}

func (a *appending) headOf(stream store.Stream) (*streamHead, error) {
	if known, ok := a.heads[stream]; ok {
		return known, nil
	}
	head := &streamHead{hash: int64(store.PartitionHash(stream.AggregateID))}
	err := a.conn.query(a.queries.head, func(row *prepared) error {
		head.version = row.ColumnInt64(0) // NULL reads as 0
		return nil
	}, stream.BoundedContext, stream.AggregateType, stream.AggregateID)
	a.heads[stream] = head
	return head, err
}

// isStored reports whether an event id is stored already, or came earlier in this call.
func (a *appending) isStored(id store.UUID, seen map[store.UUID]bool) (bool, error) {
	if seen[id] {
		return true, nil
	}
	seen[id] = true
	statement, err := a.conn.prepare(a.queries.stored)
	if err != nil {
		return false, err
	}
	if err := statement.BindBlob(1, id[:]); err != nil {
		return false, err
	}
	found := statement.Step()
	return found, statement.finish()
}

func (a *appending) insert(result []store.Appended) error {
	now, err := a.now()
	if err != nil {
		return err
	}
	statement, err := a.conn.prepare(a.queries.insert)
	if err != nil {
		return err
	}
	for i := range a.pending {
		p := &a.pending[i]
		err := p.bind(statement, now)
		if err == nil {
			err = statement.Exec()
		}
		if err != nil {
			return p.translate(err)
		}
		result[p.place].Position = a.conn.db.LastInsertRowID()
		result[p.place].AggregateVersion = p.version
	}
	// What is bound would stay in SQLite's memory until the next append.
	return statement.ClearBindings()
}

func (a *appending) now() (micros int64, err error) {
	err = a.conn.query(a.queries.now, func(row *prepared) error {
		micros = row.ColumnInt64(0)
		return nil
	})
	return micros, err
}

func (p *pendingEvent) bind(statement *prepared, now int64) error {
	metadata := "{}"
	if len(p.event.Metadata) > 0 {
		metadata = string(p.event.Metadata)
	}
	created := now
	if !p.event.CreatedAt.IsZero() {
		created = p.event.CreatedAt.UnixMicro()
	}
	return errors.Join(
		statement.BindText(1, p.stream.BoundedContext),
		statement.BindText(2, p.stream.AggregateType),
		statement.BindText(3, p.stream.AggregateID),
		statement.BindInt64(4, p.version),
		statement.BindBlob(5, p.id[:]),
		statement.BindText(6, p.event.Type),
		statement.BindInt64(7, int64(max(p.event.Version, 1))),
		statement.BindText(8, metadata),
		bindOptional(statement, 9, p.event.TraceID),
		bindOptional(statement, 10, p.event.CorrelationID),
		bindOptional(statement, 11, p.event.CausationID),
		statement.BindInt64(12, created),
		statement.BindInt64(13, p.hash),
		statement.BindBlob(14, p.event.Payload),
	)
}

func bindOptional(statement *prepared, place int, text string) error {
	if text == "" {
		return statement.BindNull(place)
	}
	return statement.BindText(place, text)
}

// translate turns the errors that only an insert can meet into those of package store. SQLite names the columns of the
// constraint; no other append can have come between, since this one has the only writer.
func (p *pendingEvent) translate(err error) error {
	var code sqlite3.ExtendedErrorCode
	if errors.As(err, &code) && code == sqlite3.CONSTRAINT_UNIQUE {
		if namesColumn(err, "event_id") {
			return &store.DuplicateEventError{ID: p.id}
		}
		return &store.VersionConflictError{Stream: *p.stream, Actual: -1}
	}
	if errors.As(err, &code) && code == sqlite3.CONSTRAINT_CHECK {
		// What store has not found already, such as metadata that is nested deeper than SQLite's functions take.
		return &store.InputError{Field: "event " + p.id.String(), Reason: "is refused by the table of events: " +
			reason(err)}
	}
	return fmt.Errorf("appending event %s: %w", p.id, err)
}
