package sqlite

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// Begin opens a transaction. See [store.Catalogue].
func (c *catalogue) Begin(claim store.Claim) store.Tx { return &tx{catalogue: c, claim: claim} }

// tx is one transaction of a segment. It holds no connection between its calls, except for a program that writes by
// itself: the guest that runs in between may take its time, and the file has one writer. What a query saw is right for
// the commit as long as the claim holds, which the commit checks.
type tx struct {
	catalogue *catalogue
	claim     store.Claim
	held      *conn         // the writer, in a transaction, see Native
	running   string        // the entry of the catalogue that runs or ran last
	spent     time.Duration // by SQL of the module, and by queries
	explains  bool          // a rejection names its row
}

// Query runs a query of the catalogue. See [store.Tx].
func (x *tx) Query(ctx context.Context, query int, arguments []store.Value, rows *store.Rows) error {
	entry := &x.catalogue.queries[query]
	rows.Reset(len(entry.results))
	x.running = entry.name
	err := x.catalogue.store.read(ctx, func(c *conn) error {
		limit := x.catalogue.store.options.StatementTimeout
		return x.bounded(c, entry, &limit, func() error {
			if entry.load {
				return c.transact(beginRead, func(c *conn) error { return x.load(c, entry, arguments, rows) })
			}
			return x.ask(c, entry, arguments, rows)
		})
	})
	return x.named(err)
}

// ask runs a declared statement.
func (x *tx) ask(c *conn, entry *statement, arguments []store.Value, rows *store.Rows) error {
	err := c.under(x.catalogue.policy, func() error {
		statement, err := c.prepare(entry.sql)
		if err != nil {
			return err
		}
		if err := statement.bindRow(entry, arguments); err != nil {
			return err
		}
		return statement.collect(entry, 0, rows)
	})
	return rejected(entry.name, err)
}

// load looks up every key of the arguments, which are one array a key column. A key with NULL in it is in no table.
func (x *tx) load(c *conn, entry *statement, arguments []store.Value, rows *store.Rows) error {
	err := c.under(x.catalogue.policy, func() error {
		statement, err := c.prepare(entry.sql)
		if err != nil {
			return err
		}
		keys := 0
		for _, column := range arguments {
			keys = max(keys, len(column.Elements()))
		}
		key := make([]store.Value, len(arguments))
		for index := range keys {
			if !keyAt(arguments, index, key) {
				continue
			}
			for column, value := range key {
				t := store.Type{Kind: entry.params[column].Kind}
				if err := statement.bindValue(statement.places[column], t, value, true); err != nil {
					return valueError(err)
				}
			}
			if err := statement.collect(entry, int64(index), rows); err != nil {
				return err
			}
		}
		return nil
	})
	return rejected(entry.name, err)
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

// bindRow binds one row of values, in the order of the declared parameters.
func (p *prepared) bindRow(entry *statement, values []store.Value) error {
	for i, place := range p.places {
		if place == 0 {
			continue
		}
		if err := p.bindValue(place, entry.params[i], values[i], i < entry.keys); err != nil {
			return valueError(err)
		}
	}
	return nil
}

// collect runs a query and adds its rows. The first column of a loaded row is the index of its key.
func (p *prepared) collect(entry *statement, index int64, rows *store.Rows) error {
	for p.Step() {
		for at, t := range entry.results {
			if entry.load && at == 0 {
				if err := rows.Reserve(0, 0); err != nil {
					_ = p.Reset()
					return valueError(err)
				}
				rows.Values = append(rows.Values, store.I64(index))
				continue
			}
			var value store.Value
			err := rows.Reserve(p.size(at, t))
			if err == nil {
				value, err = p.result(at, t)
			}
			if err != nil {
				_ = p.Reset()
				return valueError(err)
			}
			rows.Values = append(rows.Values, value)
		}
	}
	return p.finish()
}

// Commit applies the steps and moves the checkpoint. See [store.Tx].
//
// The fence comes first, so that a lost claim costs one statement.
func (x *tx) Commit(ctx context.Context, commit store.Commit) error {
	x.running, x.explains = "", commit.Explain
	err := x.write(ctx, func(c *conn) error {
		if err := x.fence(c, &commit); err != nil {
			return err
		}
		if err := x.park(c, &commit); err != nil {
			return err
		}
		if err := x.put(c, commit.Messages); err != nil {
			return err
		}
		return x.applySteps(c, commit.Steps)
	})
	return x.named(err)
}

// applySteps runs the statements of a commit.
func (x *tx) applySteps(c *conn, steps []store.Step) error {
	limit := x.catalogue.store.options.StatementTimeout
	for i := range steps {
		step := &steps[i]
		entry := &x.catalogue.writes[step.Write]
		x.running = entry.name
		if err := x.bounded(c, entry, &limit, func() error { return x.apply(c, entry, step) }); err != nil {
			return err
		}
	}
	x.running = cmp.Or(x.running, "the batch") // COMMIT is next
	return nil
}

// fence moves the checkpoint, if the claim holds and what was read is of its log, which the file must still have
// where the log is its own.
func (x *tx) fence(c *conn, commit *store.Commit) error {
	q := &x.catalogue.store.queries
	id := x.claim.Projection
	claim := []any{id.Name, id.Number(), x.claim.Segment, x.claim.Worker, x.claim.Epoch, x.claim.Position}
	advance := q.advance
	arguments := append(claim, commit.Through, commit.Log.ID, int64(commit.Log.Timeline), commit.LastPosition,
		commit.LastEvent)
	if x.catalogue.apart {
		if err := c.refuseOwnLog(q, commit.Log); err != nil {
			return err
		}
		advance, arguments = q.advanceApart, append(arguments, commit.Head)
	}
	moved, err := c.exec(advance, arguments...)
	if err != nil || moved > 0 {
		return err
	}
	reason := store.ErrFenced
	err = c.query(q.held, func(*prepared) error {
		reason = store.ErrOtherLog
		return nil
	}, claim...)
	if err != nil {
		return err
	}
	return reason
}

// apply writes the rows of a step.
func (x *tx) apply(c *conn, entry *statement, step *store.Step) error {
	row, err := x.writeRows(c, entry, step)
	if err != nil && row < step.Count {
		x.explain(c, entry, step.Values[row*step.Width:(row+1)*step.Width], err)
	}
	return err
}

// writeRows runs a step's statement for each of its rows, and returns how many it has written.
func (x *tx) writeRows(c *conn, entry *statement, step *store.Step) (row int, err error) {
	err = c.under(x.catalogue.policy, func() error {
		statement, err := c.prepare(entry.sql)
		if err != nil {
			return err
		}
		for ; row < step.Count; row++ {
			if err := statement.bindRow(entry, step.Values[row*step.Width:(row+1)*step.Width]); err != nil {
				return err
			}
			if err := statement.Exec(); err != nil {
				return err
			}
		}
		return statement.ClearBindings()
	})
	return row, rejected(entry.name, err)
}

// named gives the entry's name to failures that show outside of its statement: memory that ran out, and a deferred
// constraint, which SQLite checks at COMMIT.
func (x *tx) named(err error) error {
	if x.running != "" && (errors.Is(err, errMemory) || errors.Is(err, sqlite3.CONSTRAINT)) {
		return rejected(x.running, err)
	}
	return err
}

// errValue marks what is wrong with a value, as opposed to an error of SQLite.
type errValue struct{ reason string }

// Error returns the reason.
func (e errValue) Error() string { return e.reason }

func valueError(err error) error {
	var code sqlite3.ErrorCode
	if errors.As(err, &code) {
		return err
	}
	return errValue{err.Error()}
}
