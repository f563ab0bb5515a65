package host

import (
	"context"
	"runtime"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// Code of guests cannot be interrupted before its slice of fuel ends. So one processor is kept free of it, for the host's scheduler and
// collector and whatever else is under way: that many guests run at once, and the others wait for their turn. A turn lasts until the guest
// leaves its code, at the end of a slice at the latest. A guest that waits for something, as for the answer to a query, has none.
type turns chan struct{}

// processors are the turns of all guests of the process.
var processors = newTurns(runtime.GOMAXPROCS(0) - 1)

func newTurns(count int) turns { return make(turns, max(count, 1)) }

// try takes a turn if there is one.
func (t turns) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// await waits for a turn until ctx ends, in the order in which guests came.
func (t turns) await(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give gives a turn back.
func (t turns) give() { <-t }

// enter takes the guest's turn. What it waits is not its own time.
func (g *Guest) enter() error {
	if !processors.try() {
		g.stopwatch.pause()
		err := processors.await(g.stopwatch.ctx)
		g.stopwatch.resume()
		if err != nil {
			return err
		}
	}
	g.running, g.entered = true, clock.Now()
	return nil
}

// leave gives the guest's turn back, if it has one.
func (g *Guest) leave() {
	if g.running {
		g.running = false
		processors.give()
	}
}

// yield lets others have their turn. What ends a call while it waits for the next one, ends it here.
func (g *Guest) yield() {
	g.leave()
	if err := g.enter(); err != nil {
		panic(g.abort(err))
	}
}

// outside does what may wait within a function of the host, without a turn. The time is not the guest's own.
func (g *Guest) outside(wait func()) {
	g.leave()
	g.stopwatch.pause()
	defer func() {
		g.stopwatch.resume()
		g.yield()
	}()
	wait()
}
