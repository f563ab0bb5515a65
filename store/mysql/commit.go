package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// commitQueries are the fences of a transaction: see the migration.
type commitQueries struct {
	advance      string
	advanceApart string
}

func commitQueriesFor(in func(string) string) commitQueries {
	return commitQueries{
		advance:      in(`CALL {schema}__advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, {now})`),
		advanceApart: in(`CALL {schema}__advance_apart($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {now})`),
	}
}

// Begin opens a transaction. See [store.Catalogue].
func (c *catalogue) Begin(claim store.Claim) store.Tx { return &tx{catalogue: c, claim: claim} }

// tx is one transaction of a segment. It holds no connection between its calls, except for a program that writes by
// itself: the guest that runs in between may take its time. What a query saw is right for the commit as long as the
// claim holds, which the commit checks.
type tx struct {
	catalogue *catalogue
	claim     store.Claim
	held      *lent         // in a transaction, see Native
	spent     time.Duration // by queries
}

// Query runs a query of the catalogue. See [store.Tx].
func (x *tx) Query(ctx context.Context, query int, arguments []store.Value, rows *store.Rows) error {
	entry := &x.catalogue.queries[query]
	rows.Reset(len(entry.results))
	limit := x.timeLeft(entry.module)
	text, err := limit.bounds(nil), error(nil)
	if entry.load {
		text, err = entry.appendKeys(text, arguments)
	} else {
		text = append(append(text, "CALL "...), entry.procedure...)
		text, err = entry.appendRow(text, arguments)
	}
	if err != nil || text == nil {
		return rejected(entry, err)
	}
	began := clock.Now()
	defer func() { x.spent += clock.Since(began) }()
	s := x.catalogue.store
	return s.read(ctx, func(c *conn) error {
		if entry.module {
			patience, cancel := limit.patience(ctx, s.silence)
			defer cancel()
			c.ctx = patience
		}
		err := c.query(string(text), func(r *row) error { return r.answer(c, entry, rows) })
		if isNumber(err, erStatementTimeout) && limit.left > 0 {
			return limit.over(entry.name)
		}
		if gaveUp(err, c.ctx, ctx) {
			c.broken = true
			return limit.over(entry.name)
		}
		return rejected(entry, err)
	})
}

// appendKeys writes the text that looks up every key of the arguments, which are one array a key column. It is nil
// where there is none: a key with NULL in it is in no table.
func (s *statement) appendKeys(out []byte, arguments []store.Value) ([]byte, error) {
	keys := 0
	for _, column := range arguments {
		keys = max(keys, len(column.Elements()))
	}
	out = append(out, s.head...)
	empty := true
	key := make([]store.Value, len(arguments))
	for index := range keys {
		if !keyAt(arguments, index, key) {
			continue
		}
		if !empty {
			out = append(out, ',')
		}
		empty = false
		out = fmt.Appendf(out, "(%d", index)
		for column, value := range key {
			var err error
			out = append(out, ',')
			if out, err = appendValue(out, store.Type{Kind: s.params[column].Kind}, value, true); err != nil {
				return out, errValue{reason: err.Error(), at: column}
			}
		}
		out = append(out, ')')
	}
	if empty {
		return nil, nil
	}
	return append(out, s.tail...), nil
}

func keyAt(arguments []store.Value, index int, key []store.Value) (complete bool) {
	for column := range arguments {
		elements := arguments[column].Elements()
		if index >= len(elements) || elements[index].IsNull() {
			return false
		}
		key[column] = elements[index]
	}
	return true
}

// answer adds a row of a query. When it cannot, the connection is given up with what it still has.
func (r *row) answer(c *conn, entry *statement, rows *store.Rows) error {
	if len(r.values) != len(entry.results) {
		return &store.StatementError{
			Statement: entry.name,
			Reason:    fmt.Sprintf("it gives %d columns, declared are %d results", len(r.values), len(entry.results)),
		}
	}
	err := r.collect(entry.results, rows)
	if err != nil {
		c.abandon()
	}
	return err
}

// Commit applies the steps and moves the checkpoint. See [store.Tx].
//
// The fence comes first: when it raises, the server skips the rest.
func (x *tx) Commit(ctx context.Context, commit store.Commit) error {
	err := x.write(ctx, commit.Explain, func(b *batch) error {
		if err := x.fence(b, &commit); err != nil {
			return err
		}
		parking, err := x.catalogue.store.queries.parking.commit(x.claim.Projection, &commit)
		if err != nil {
			return err
		}
		b.addAll(parking)
		return b.write(commit.Steps, commit.Messages)
	})
	var failure *mysql.MySQLError
	if errors.As(err, &failure) && failure.Number == erSignal && string(failure.SQLState[:]) == stateParkedMax {
		return &store.ParkedMaxError{Projection: x.claim.Projection.Name, Max: commit.ParkedMax}
	}
	return err
}

// fence moves the checkpoint, if the claim holds and what was read is of its log, which the database must still have
// where the log is its own.
func (x *tx) fence(b *batch, commit *store.Commit) error {
	q, id := &x.catalogue.store.queries.commit, x.claim.Projection
	arguments := []any{
		id.Name, id.Number(), x.claim.Segment, x.claim.Worker, x.claim.Epoch, x.claim.Position, commit.Through, commit.Log.ID,
		int64(commit.Log.Timeline), commit.LastPosition, commit.LastEvent,
	}
	if x.catalogue.apart {
		return b.add(q.advanceApart, append(arguments, commit.Head)...)
	}
	return b.add(q.advance, arguments...)
}

// Retry applies events of a parked key. See [store.Tx].
func (x *tx) Retry(ctx context.Context, retry store.Retry) (unparked bool, err error) {
	q, id, fault := &x.catalogue.store.queries.parking, x.claim.Projection, store.ParkedFault{}
	if retry.Fault != nil {
		fault = *retry.Fault
	}
	err = x.write(ctx, retry.Explain, func(b *batch) error {
		err := b.add(q.retry, id.Name, id.Number(), x.claim.Segment, x.claim.Worker, x.claim.Epoch, retry.Log.ID,
			int64(retry.Log.Timeline), x.catalogue.apart, blob(retry.Key), retry.Through, retry.Orders, fault.Position,
			fault.Event, fault.Error, fault.Attempts, delay(fault.RetryAfter), fault.Code)
		if err == nil {
			err = b.ask(func(r *row) { unparked = r.bool(0) })
		}
		if err != nil {
			return err
		}
		skips, err := q.skips(id, retry.Skipped)
		if err != nil {
			return err
		}
		b.addAll(skips)
		return b.write(retry.Steps, retry.Messages)
	})
	return unparked && err == nil, err
}

// write sends what fn adds, in the transaction, at the end of it, and commits.
func (x *tx) write(ctx context.Context, explains bool, fn func(b *batch) error) error {
	if x.held != nil {
		return x.writeHeld(ctx, explains, fn)
	}
	s := x.catalogue.store
	return s.translate(ctx, s.lend(ctx, func(c *conn) error {
		b := batch{tx: x, conn: c, explains: explains}
		err := b.transact("START TRANSACTION; ", fn)
		if err != nil {
			b.rollback()
		}
		return err
	}))
}
