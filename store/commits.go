package store

import (
	"context"
	"sync"
)

// Commits is the way for commits of one claim that follow each other: each moves the checkpoint on from where the one before it
// leaves it, and may be sent before that one has been answered. So the database has the next one at hand when it has done one.
//
// One goroutine sends and another one waits; each commit that was sent is waited for, in order. Close ends it.
type Commits interface {
	// Send hands the steps over, which come of the events of after < position ≤ through. They are applied, and the checkpoint moved
	// to through, if it stands at after then; so that a commit in front of it which was never sent, or failed, is not passed over.
	// The steps have to stay as they are until Wait has returned for them.
	//
	// # Errors
	//
	// [ErrTransient], or the context's: it was not sent, and is not waited for.
	Send(ctx context.Context, after, through int64, steps []Step) error

	// Wait waits for the oldest commit that was sent and not waited for.
	//
	// # Errors
	//
	// Those of [Tx.Commit]. Nothing that was sent behind it will be applied either.
	Wait(ctx context.Context) error

	// Close gives back what the commits hold. It comes when nobody sends or waits, and drops those that were not waited for.
	Close()
}

// OneByOne makes each commit of a claim when it is sent, by a unit of work from begin: for databases that gain nothing when the
// next one is there already.
func OneByOne(begin func(Claim) Tx, claim Claim) Commits {
	return &oneByOne{begin: begin, claim: claim}
}

type oneByOne struct {
	begin func(Claim) Tx
	claim Claim

	mu      sync.Mutex
	results []error // oldest first
}

func (c *oneByOne) Send(ctx context.Context, after, through int64, steps []Step) error {
	claim := c.claim
	claim.Position = after
	tx := c.begin(claim)
	err := tx.Commit(ctx, through, steps)
	tx.Rollback()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results = append(c.results, err)
	return nil
}

func (c *oneByOne) Wait(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.results[0]
	c.results = c.results[1:]
	return err
}

func (c *oneByOne) Close() {}
