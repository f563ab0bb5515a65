package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// warmTimeout bounds what an install waits for connections to be warm, which they need not be.
const warmTimeout = 5 * time.Second

// warm has every connection that is at hand write once with the catalogue, no rows, and take it back. The first time, a server reads
// what it has to know of the tables, and plans: some milliseconds that an event would wait for, each time that it meets a new
// connection.
func (c *catalogue) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, conn := range c.store.pool.AcquireAllIdle(ctx) {
		group.Go(func() {
			defer conn.Release()
			_ = c.rehearse(ctx, conn) // the first commit will tell
			rollback(conn, false)
		})
	}
	group.Wait()
}

var rollbackStatement = statement{sql: "ROLLBACK"}

// rehearse writes no rows.
func (c *catalogue) rehearse(ctx context.Context, conn *pgxpool.Conn) error {
	var params parameters
	p := c.store.startPipeline(ctx, conn)
	p.send(&beginStatement, nil)
	params.add(pinParams[0], c.store.transactionLimits())
	p.send(&statement{sql: c.store.queries.pin, params: pinParams}, params.values())
	for i := range c.writes {
		if w := &c.writes[i]; w.set && w.kept != "" {
			p.sendStep(c, &params, &store.Step{Write: i, Width: len(w.params)})
		}
	}
	p.send(&rollbackStatement, nil)
	return p.finish((*statementResult).drain)
}
