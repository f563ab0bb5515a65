package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// Commits opens the way for commits that follow each other. See [store.Catalogue].
func (c *catalogue) Commits(claim store.Claim) store.Commits {
	return &commits{catalogue: c, claim: claim}
}

// commits sends transactions one behind the other over one connection, where the server finds the next one when it has done one.
//
// The fence keeps them in order: each expects the checkpoint where its events begin, so that none passes behind one that failed.
type commits struct {
	catalogue *catalogue
	claim     store.Claim

	mu       sync.Mutex
	line     *line     // while some are under way
	underWay []*commit // oldest first
	params   parameters
	out      messages
}

// commit is a transaction that is under way, with all that it takes to send it again.
type commit struct {
	claim      store.Claim // it stands where the events of the commit begin
	through    int64
	steps      []store.Step
	statements []*statement
	parsed     []*statement // see messages
}

// Send sends one transaction: BEGIN, fence and checkpoint, rows, COMMIT. See [store.Commits].
func (c *commits) Send(ctx context.Context, after, through int64, steps []store.Step) error {
	ctx, cancel := c.catalogue.store.bounded(ctx)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &commit{claim: c.claim, through: through, steps: steps}
	one.claim.Position = after
	if c.line == nil {
		conn, err := c.catalogue.store.pool.Acquire(ctx)
		if err != nil {
			return translate(err)
		}
		c.line = c.catalogue.store.newLine(conn)
	}
	if err := c.write(ctx, one); err != nil {
		c.giveBack()
		return err
	}
	c.underWay = append(c.underWay, one)
	return nil
}

// write sends a commit. The lock is held.
func (c *commits) write(ctx context.Context, one *commit) error {
	c.out.begin(c.line.names)
	c.out.send(&beginStatement, nil)
	c.catalogue.sendCommit(&c.out, &c.params, one.claim, one.through, one.steps)
	block, err := c.out.end()
	if err != nil {
		return &store.RejectedError{Statement: commitStatement.name, Reason: err.Error()}
	}
	one.statements, one.parsed = c.out.sent, c.out.parsed
	return c.line.write(ctx, block)
}

// Wait waits for the oldest transaction. See [store.Commits].
func (c *commits) Wait(ctx context.Context) error {
	ctx, cancel := c.catalogue.store.bounded(ctx)
	defer cancel()
	c.mu.Lock()
	line, oldest := c.line, c.underWay[0]
	c.mu.Unlock()
	err := line.await(ctx, oldest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, errNamesLost) {
		err = c.sendAgain(ctx)
	}
	c.underWay = c.underWay[1:]
	if err != nil {
		c.drop(c.underWay)
		c.underWay = nil
	}
	c.giveBack()
	return err
}

// sendAgain sends all that is under way once more, without names, and waits for the oldest. Nothing was written: what came behind
// the oldest did not pass the fence. The lock is held.
func (c *commits) sendAgain(ctx context.Context) error {
	c.drop(c.underWay[1:])
	if c.line.broken.Load() || c.line.conn.Conn().IsClosed() {
		return errNamesLost
	}
	for _, one := range c.underWay {
		if err := c.write(ctx, one); err != nil {
			return err
		}
	}
	return c.line.await(ctx, c.underWay[0])
}

// drop takes the answers to commits that nobody waits for, and ends the transaction of one that has failed, which the server keeps
// open, refusing all that comes. The lock is held.
func (c *commits) drop(dropped []*commit) {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	for _, one := range dropped {
		if !c.line.broken.Load() {
			_, _, _ = c.line.receive(ctx, one)
		}
	}
	if c.line != nil && !c.line.broken.Load() {
		rollback(c.line.conn)
	}
}

// Close drops what is under way. See [store.Commits].
func (c *commits) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.underWay)
	c.underWay = nil
	c.giveBack()
}

// giveBack returns the connection when nothing is under way. The lock is held.
func (c *commits) giveBack() {
	if c.line != nil && len(c.underWay) == 0 {
		c.line.close()
		c.line = nil
	}
}

// newLine takes a connection over.
func (s *Store) newLine(conn *pgxpool.Conn) *line {
	return &line{conn: conn, names: s.namesOn(conn.Conn().PgConn())}
}
