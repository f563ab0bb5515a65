package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// startMariaDBSide starts a server that keeps what it has committed when it is killed.
func startMariaDBSide(t *testing.T) *side {
	t.Helper()
	server, err := mariadbserver.Start("innodb-flush-log-at-trx-commit=2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := mariadbtest.On(t, server)
	db.Migrate(t, "pupwasm")
	return &side{maria: server, db: mariaDatabase(db)}
}

// kill ends the server as a crash does.
func (s *side) kill() {
	if s.maria != nil {
		s.maria.Kill()
		return
	}
	s.server.Kill()
}

func (s *side) restart(t *testing.T) {
	t.Helper()
	if s.maria == nil {
		restart(t, s.server)
		return
	}
	if err := s.maria.Run(); err != nil {
		t.Fatal(err)
	}
}

// readOnly makes the server take no writes, or take them again.
func (s *side) readOnly(t *testing.T, only bool) {
	t.Helper()
	if s.maria == nil {
		s.server.ReadOnly(t, only)
		return
	}
	value := "0"
	if only {
		value = "1"
	}
	s.db.exec(t, "SET GLOBAL read_only = "+value)
}

// cutMariaDB ends connections, by chance below a share.
func cutMariaDB(t *testing.T, db database, share string) (count int) {
	t.Helper()
	var ids []string
	var id string
	db.each(t, "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id() AND rand() < "+share,
		func() { ids = append(ids, id) }, &id)
	handle := db.handle(t)
	for _, id := range ids {
		if _, err := handle.ExecContext(t.Context(), "KILL "+id); err == nil { // it may have ended
			count++
		}
	}
	return count
}

// transactional appends in a transaction of a caller's.
type transactional interface {
	AppendTx(ctx context.Context, tx *sql.Tx, options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended, error)
}

// appendWithin appends in a transaction of its own that stays open for a while, and sometimes rolls it back.
func (w *writers) appendWithin(c *client) {
	stream := c.shared()
	e, added := c.event()
	appends := []store.StreamAppend{{Stream: stream, Events: []store.Event{e}}}
	back := c.random.IntN(4) == 0
	err := w.within(c, back, func(ctx context.Context, tx *sql.Tx) error {
		_, err := w.to.(transactional).AppendTx(ctx, tx, store.AppendOptions{}, appends...)
		return err
	})
	switch {
	case back:
	case err == nil:
		w.count(stream, added, e)
	default:
		w.settle(appends, []tally{added})
	}
}

const insertRowOnMariaDB = `INSERT IGNORE INTO pupwasm__events
	(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id, event_type, payload)
	VALUES (?, ?, ?, ?, ?, ?, ?)`

// insertRowsOnMariaDB inserts into the table, to streams of its own. What is not known is inserted again: the same id
// waits for an earlier one that has not ended.
func (w *writers) insertRowsOnMariaDB(c *client) {
	stream := store.Stream{
		BoundedContext: "Traffic", AggregateType: "Fine",
		AggregateID: fmt.Sprintf("D%d-%d", c.number, c.random.IntN(5)),
	}
	e, added := c.event()
	insert := func(ctx context.Context, tx *sql.Tx) error {
		var last int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(aggregate_version), 0) FROM pupwasm__events
			WHERE bounded_context = ? AND aggregate_type = ? AND aggregate_id = ?`, stream.BoundedContext, stream.AggregateType,
			stream.AggregateID).Scan(&last); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, insertRowOnMariaDB, stream.BoundedContext, stream.AggregateType, stream.AggregateID, last+1,
			e.ID[:], e.Type, e.Payload)
		return err
	}
	back := c.random.IntN(4) == 0
	err := w.within(c, back, insert)
	if back {
		return
	}
	tick := time.NewTicker(writerPace)
	defer tick.Stop()
	for err != nil {
		if w.t.Failed() {
			return
		}
		<-tick.C
		err = w.within(c, false, insert)
	}
	w.count(stream, added, e)
}

// within runs do in a transaction that stays open for some milliseconds.
func (w *writers) within(c *client, back bool, do func(ctx context.Context, tx *sql.Tx) error) error {
	ctx := context.Background()
	tx, err := w.handle.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(ctx, tx); err != nil {
		return err
	}
	<-time.After(time.Duration(c.random.IntN(15)) * time.Millisecond) // a slow program
	if back {
		return tx.Rollback()
	}
	return tx.Commit()
}

// readTallyOnMariaDB has the rows of both tables, also those that one of them lacks.
const readTallyOnMariaDB = `SELECT 'one', s.stream, s.events, s.position, t.events, t.position
		FROM {tally}streams AS s LEFT JOIN {tally}twin AS t ON t.stream = s.stream
	UNION SELECT 'one', t.stream, s.events, s.position, t.events, t.position
		FROM {tally}streams AS s RIGHT JOIN {tally}twin AS t ON t.stream = s.stream WHERE s.stream IS NULL`

func (r *tallyReader) openMariaDB(ctx context.Context) (read func(*tallyRow, func() error) error, end func(), err error) {
	handle, err := mysql.OpenSQL(r.db.DSN)
	if err != nil {
		return nil, nil, err
	}
	handle.SetMaxOpenConns(1)
	statement, err := handle.PrepareContext(ctx, r.db.names(readTallyOnMariaDB))
	if err != nil {
		handle.Close()
		return nil, nil, err
	}
	return func(into *tallyRow, each func() error) error {
		rows, err := statement.QueryContext(ctx)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(into.targets()...); err != nil {
				return err
			}
			if err := each(); err != nil {
				return err
			}
		}
		return rows.Err()
	}, func() { handle.Close() }, nil
}
