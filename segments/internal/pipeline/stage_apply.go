package pipeline

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// apply is the second stage: it gives chunks to the processor, batch by batch, and commit groups to the third
// stage. It ends when there are no more chunks, or ctx does; what is applied then is submitted.
func (a *attempt) apply(ctx, working context.Context) error {
	g := <-a.free
	for {
		if g.due() && a.trySubmit(g) {
			if g = a.next(); g == nil {
				return nil
			}
		}
		chunks, groups := a.chunks, chan<- *commitGroup(nil)
		if g.full() {
			chunks = nil
		}
		if g.due() {
			groups = a.groups
		}
		select {
		case groups <- g:
			if g = a.next(); g == nil {
				return nil
			}
		case from, more := <-chunks:
			if !more {
				a.submit(g)
				return nil
			}
			var err error
			if g, err = a.applyChunk(ctx, working, from, g); err != nil || g == nil {
				return err
			}
		case <-g.expired():
		case <-a.aborted:
			return nil
		case <-ctx.Done():
			a.submit(g)
			return nil
		}
	}
}

// expired fires when a group that waits for more has to go.
func (g *commitGroup) expired() <-chan time.Time {
	if !g.filled || g.due() {
		return nil
	}
	return time.After(g.left())
}

// trySubmit submits a group if the third stage waits for one.
func (a *attempt) trySubmit(g *commitGroup) bool {
	select {
	case a.groups <- g:
		return true
	default:
		return false
	}
}

// submit waits until the third stage takes a group, if there is anything in it.
func (a *attempt) submit(g *commitGroup) {
	if !g.filled {
		return
	}
	select {
	case a.groups <- g:
	case <-a.aborted:
	}
}

// next returns a group to fill, or nil when a commit has failed.
func (a *attempt) next() *commitGroup {
	select {
	case g := <-a.free:
		g.before = clock.Now()
		return g
	case <-a.aborted:
		return nil
	}
}

// applyChunk folds a chunk into g and, when that is full, into further groups. It returns the group to go on
// with, or nil when a commit has failed. When the processor is to blame, what came before its batch is
// submitted.
func (a *attempt) applyChunk(ctx, working context.Context, from *chunk, g *commitGroup) (*commitGroup, error) {
	batches := a.cut(from)
	for i, batch := range batches {
		if g.full() {
			a.submit(g)
			if g = a.next(); g == nil {
				return nil, nil
			}
		}
		if ctx.Err() != nil {
			return g, nil
		}
		if i == 0 || !g.filled {
			g.read.add(from.began, from.took)
		}
		var passed parking
		batch.events = a.separate(batch.events, &passed)
		output, err := a.process(working, batch.events, g)
		if err != nil {
			a.submit(g)
			if events := len(batch.events); events > 1 && attributionOf(err).divide {
				return nil, &refusedGroup{through: batch.through, events: events / 2, err: err}
			}
			return nil, AttributeError(err, batch.events[0].Position, batch.events[len(batch.events)-1].Position)
		}
		g.reaches = from.reaches && i == len(batches)-1
		g.add(batch, output, passed)
	}
	a.holdKeys(g.reaches)
	a.drain(from)
	return g, nil
}

// batch is what the processor gets in one call: the segment's next events, up to through.
type batch struct {
	events  []store.RecordedEvent
	through int64
}

// cut divides a chunk into batches. One that has no events is a batch without events.
func (p *Pipeline) cut(from *chunk) []batch {
	limit := p.options.BatchEvents
	if p.isolateEvents > 0 && from.After < p.IsolateThrough {
		limit = min(limit, p.isolateEvents)
	}
	batches := make([]batch, 0, len(from.Events)/limit+1)
	events := from.Events
	for len(events) > limit {
		batches = append(batches, batch{events: events[:limit], through: events[limit-1].Position})
		events = events[limit:]
	}
	return append(batches, batch{events: events, through: from.Through})
}

// process has the processor apply a batch. A transactional program takes its connection for it, which the
// commit of g gives back.
func (p *Pipeline) process(
	ctx context.Context, events []store.RecordedEvent, g *commitGroup,
) (output store.Output, err error) {
	if len(events) == 0 {
		return output, nil
	}
	if p.Transactional {
		if err := p.begin(ctx, g); err != nil {
			return output, err
		}
	}
	began := clock.Now()
	output, err = p.Processor.Process(ctx, events, g.tx)
	took := clock.Since(began)
	g.applied.add(began, took)
	switch {
	case err == nil:
		p.Observer.Applied(len(events), len(output.Mutations), took)
	case p.Transactional:
		p.end(g)
	}
	return output, err
}
