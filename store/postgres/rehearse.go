package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// rehearseTimeout bounds how long an install waits for rehearsals, which are not needed for correctness.
const rehearseTimeout = 5 * time.Second

// rehearse runs the writes of the catalogue once on every idle connection, without rows, and rolls them back. The
// first time, a server loads what it has to know of the tables, and plans: an event on a new connection would wait
// some milliseconds.
func (c *catalogue) rehearse(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rehearseTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, conn := range c.store.pool.AcquireAllIdle(ctx) {
		group.Go(func() {
			defer conn.Release()
			_ = c.rehearseOn(ctx, conn) // the first commit will tell
			rollback(conn, false)
		})
	}
	group.Wait()
}

var rollbackStatement = statement{sql: "ROLLBACK"}

// rehearseOn writes no rows.
func (c *catalogue) rehearseOn(ctx context.Context, conn *pgxpool.Conn) error {
	var params parameters
	p := c.store.startPipeline(ctx, conn)
	p.send(&beginStatement, nil)
	params.add(pinParams[0], c.store.transactionLimits())
	p.send(&statement{sql: c.store.queries.pin, params: pinParams}, params.values())
	for i := range c.writes {
		if w := &c.writes[i]; w.set && w.cachedAs != "" {
			p.sendStep(c, &params, &store.Step{Write: i, Width: len(w.params)})
		}
	}
	p.send(&rollbackStatement, nil)
	return p.finish((*statementResult).drain)
}
