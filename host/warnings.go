package host

import (
	"context"
	"sync/atomic"
)

// warnings are what is told of a module once, however many guests it has: what its author should know and what is no fault.
type warnings struct {
	clock, random, state atomic.Bool
}

// leftover tells that a batch fails in an instance that has served others, and passes in a fresh one.
func (w *warnings) leftover(g *Guest, fault *Fault) {
	if w.state.CompareAndSwap(false, true) {
		g.logger.Warn().Str("error", fault.Reason).Msg("module fails for what an earlier batch has left behind, and passes in a fresh instance: " +
			"it must keep nothing between batches")
	}
}

// collections is an optional export: how many times the guest's runtime has asked for the time by itself.
const collections = "pup_collections"

// checkClock warns when the guest has read the wall clock while it handled batches, more often than its runtime does by itself.
func (g *Guest) checkClock(ctx context.Context) {
	w := &g.module.warnings
	if g.clockReads == g.clockChecked || g.searching || w.clock.Load() {
		return
	}
	g.clockChecked = g.clockReads
	own := uint64(0)
	if g.module.collects {
		g.tank.fill(min(g.module.limits.Fuel, collectionsFuel))
		var err error
		if own, err = g.call(ctx, collections); err != nil {
			g.Close(ctx) // nobody knows in which state it is; the batch is done
			return
		}
	}
	if g.clockReads > int64(uint32(own)) && w.clock.CompareAndSwap(false, true) {
		g.logger.Warn().Msg("module asks for the time, and gets 1970-01-01: guests have no clock, the time of an event is when it was created")
	}
}

// collectionsFuel is what it may take to tell how often memory was collected.
const collectionsFuel = 100_000_000

// noteRandom tells that the guest has asked for random bytes while it handled a batch.
func (w *warnings) noteRandom(g *Guest) {
	if !g.searching && w.random.CompareAndSwap(false, true) {
		g.logger.Warn().Msg("module asks for random bytes, and gets the same in every instance: guests have no randomness")
	}
}
