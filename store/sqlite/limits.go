package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// limits are those of every statement, below what SQLite itself would take: nothing of ours comes near them.
var limits = map[sqlite3.LimitCategory]int{
	sqlite3.LIMIT_SQL_LENGTH:      1_000_000,
	sqlite3.LIMIT_ATTACHED:        0,
	sqlite3.LIMIT_WORKER_THREADS:  0,
	sqlite3.LIMIT_COMPOUND_SELECT: 100,
	sqlite3.LIMIT_VDBE_OP:         250_000,
	sqlite3.LIMIT_VARIABLE_NUMBER: parametersMax,
	// Each path of json_replace and its like is a walk through the whole value, which nothing interrupts.
	sqlite3.LIMIT_FUNCTION_ARG:        32,
	sqlite3.LIMIT_LIKE_PATTERN_LENGTH: patternBytesMax,
}

// bounded runs an entry of the catalogue for the time that is left of limit and of the transaction, and subtracts
// what it took. Entries without SQL of the module end by themselves and have no limit; queries of any kind count
// for the transaction.
func (x *tx) bounded(c *conn, entry *statement, limit *time.Duration, run func() error) error {
	options := &x.catalogue.store.options
	left, over := time.Duration(-1), error(nil)
	if entry.module && options.StatementTimeout > 0 {
		left, over = max(*limit, 1), store.StatementTooLong(entry.name, options.StatementTimeout)
	}
	if whole := max(options.TransactionTimeout-x.spent, 1); options.TransactionTimeout > 0 &&
		(left < 0 || whole < left) {
		left, over = whole, store.TransactionTooLong(entry.name, options.TransactionTimeout)
	}
	if left < 0 || !entry.module && !entry.asks {
		return run()
	}
	began := clock.Now()
	defer func() {
		took := clock.Since(began)
		*limit -= took
		x.spent += took
	}()
	outer := c.db.GetInterrupt()
	ctx, cancel := context.WithTimeout(outer, left)
	defer cancel()
	c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(outer)
	err := run()
	if errors.Is(err, sqlite3.INTERRUPT) && outer.Err() == nil {
		return over
	}
	return err
}
