package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// commit is the third stage: it commits groups in order, one after the other, until there are no more or one fails. One
// whose messages wait for room when ctx ends is dropped: a later claim applies its events.
func (a *attempt) commit(ctx, working context.Context) error {
	for g := range a.groups {
		if room, err := a.awaitRoom(ctx, g); !room || err != nil {
			close(a.aborted)
			return err
		}
		if err := a.commitGroup(working, g); err != nil {
			close(a.aborted)
			return err
		}
		if pause := a.options.BatchPause; pause > 0 {
			backoff.Sleep(ctx, pause)
		}
	}
	return nil
}

// awaitRoom waits until the messages of a group may be put into the outbox, and reports false when ctx ends first.
func (a *attempt) awaitRoom(ctx context.Context, g *commitGroup) (room bool, err error) {
	switch {
	case len(g.messages) == 0 || a.Outbox.HasRoom():
		return true, nil
	case g.tx != nil:
		a.end(g)
		return false, errNoRoom
	}
	return a.Outbox.AwaitRoom(ctx) == nil, nil
}

// commitGroup writes a group's rows and its checkpoint, and gives the group back for other events.
//
// Of the statements of projections only unordered ones can cause deadlocks; sessions of others that lock the
// same rows can, too. What the processor has read stays right: the rows are the segment's own, or the author
// has promised that their order does not matter.
func (a *attempt) commitGroup(ctx context.Context, g *commitGroup) error {
	commit := store.Commit{
		Through: g.through, Steps: g.folder.Steps(), Messages: g.messages, Log: a.Log.ID, LastPosition: g.last, LastEvent: g.lastEvent,
		Parked: g.parking.parked, Noted: g.parking.noted, Skipped: g.parking.skipped, ParkedMax: a.ParkedMax,
		Explain: g.events == 1,
	}
	began := clock.Now()
	err := a.write(ctx, g, commit)
	for store.IsConflict(err) && ctx.Err() == nil {
		a.Observer.Deadlocked(err)
		if a.conflicts++; a.conflicts >= ConflictTries {
			return err
		}
		if a.Transactional && g.batches > 0 {
			return &deadlockedGroup{err: err} // the processor may have written in the transaction
		}
		err = a.write(ctx, g, commit)
	}
	if err != nil {
		return a.refused(g, err)
	}
	a.conflicts = 0
	after := a.Claim.Position
	a.Claim.Position = g.through
	a.Withheld.passed(g.through)
	a.Observer.Committed(*a.Claim, &commit, Written{
		After: after, Events: g.events, Batches: g.batches, Rows: g.folder.Rows(), Took: clock.Since(began),
		Read: g.read, Applied: g.applied, Traces: g.traces,
	})
	g.reset()
	a.free <- g // has room for all there are
	return nil
}

// tie adds what the tables' database cannot find out where the log is in another one: the last event up to the
// checkpoint, of whatever segment, and where the log ends. Without that event it would not be noticed that a log has
// come back without its end and has grown again, for a segment that had none of these events.
func (p *Pipeline) tie(ctx context.Context, commit *store.Commit) error {
	if p.shared.Apart == nil {
		return nil
	}
	commit.Head, _ = p.shared.Log.Head()
	if commit.LastPosition == commit.Through {
		return nil
	}
	applied, err := p.shared.Apart.AppliedAt(ctx, commit.Through)
	if err != nil {
		return err
	}
	// The last event that was read must still be there, or the log is another one.
	if applied.Log != commit.Log || applied.Position < commit.LastPosition ||
		applied.Position == commit.LastPosition && applied.Event != commit.LastEvent {
		return store.ErrOtherLog
	}
	commit.LastPosition, commit.LastEvent = applied.Position, applied.Event
	return nil
}

// refused returns the error of a group that cannot be committed: whether to try its batches separately, or
// which events are at fault.
func (p *Pipeline) refused(g *commitGroup, err error) error {
	var parked *store.ParkedMaxError
	if errors.As(err, &parked) {
		last := g.parking.parked[len(g.parking.parked)-1]
		return fmt.Errorf("%w; the last one: %s", err, last.Fault.Error)
	}
	limit, rejected := IsLimit(err), isRejected(err)
	if limit {
		p.limited = g.through
	}
	switch {
	case (rejected || limit) && g.batches > 1, rejected && g.folder.FreshRows():
		return &refusedGroup{through: g.through, err: err}
	case rejected && g.events > 1:
		return &refusedGroup{through: g.through, events: g.events / 2, err: err}
	}
	return AttributeError(err, g.first, g.last)
}

// write writes a group in a transaction: the one in which its batch was processed, or a new one.
func (p *Pipeline) write(ctx context.Context, g *commitGroup, commit store.Commit) error {
	if err := p.begin(ctx, g); err != nil {
		return err
	}
	defer p.end(g)
	if err := p.tie(ctx, &commit); err != nil {
		return err
	}
	return g.tx.Commit(ctx, commit)
}

// begin takes a connection and begins the transaction of a group that has none yet.
func (p *Pipeline) begin(ctx context.Context, g *commitGroup) error {
	if g.tx != nil {
		return nil
	}
	if err := p.shared.Connections.Acquire(ctx, p.Projection.ID()); err != nil {
		return err
	}
	g.tx = p.Catalogue.Begin(*p.Claim)
	return nil
}

// end gives the transaction and the connection back.
func (p *Pipeline) end(g *commitGroup) {
	g.tx.Rollback()
	g.tx = nil
	p.shared.Connections.Release(p.Projection.ID())
}
