package host

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// warnings are what is told of a module once, however many guests it has: what its author should know and
// what is no fault.
type warnings struct {
	clock, random, state atomic.Bool
}

// leftState warns that a batch fails in an instance that has served others, and passes in a fresh one.
func (w *warnings) leftState(g *Guest, fault *Fault) {
	if w.state.CompareAndSwap(false, true) {
		g.logger.Warn().Str("error", fault.Reason).Msg("module fails for what an earlier batch has left behind, " +
			"and passes in a fresh instance: " +
			"it must keep nothing between batches")
	}
}

// collectionsExport is an optional export: how many times the guest's runtime has asked for the time by itself.
const collectionsExport = "pup_collections"

// checkClock warns when the guest has read the wall clock while it handled batches, more often than its
// runtime does by itself. With Strict that is an error.
func (g *Guest) checkClock(ctx context.Context) error {
	w, strict := &g.module.warnings, g.module.runtime.options.Strict
	if g.clockReads == g.clockChecked || !strict && (g.searching || w.clock.Load()) {
		return nil
	}
	g.clockChecked = g.clockReads
	own := uint64(0)
	if g.module.collects {
		g.fuel.fill(min(g.module.limits.Fuel, collectionsFuel))
		var err error
		if own, err = g.call(ctx, collectionsExport); err != nil {
			g.Close(ctx) // its state is unknown; the batch is done
			return nil
		}
	}
	switch {
	case g.clockReads <= int64(uint32(own)):
	case strict:
		return errors.New("asks for the time, which is another in a rebuild: that of an event is when it was created")
	case w.clock.CompareAndSwap(false, true):
		g.logger.Warn().Msg("module asks for the time, and gets 1970-01-01: guests have no clock, the time of an " +
			"event is when it was created")
	}
	return nil
}

// collectionsFuel is what it may take to tell how often memory was collected.
const collectionsFuel = 100_000_000

// noteRandom tells that the guest has asked for random bytes while it handled a batch. With Strict that ends the call.
func (g *Guest) noteRandom() {
	if g.module.runtime.options.Strict {
		panic(g.abort(fmt.Errorf("%w: asks for random bytes, which are others in a rebuild", errGuest)))
	}
	if !g.searching && g.module.warnings.random.CompareAndSwap(false, true) {
		g.logger.Warn().Msg("module asks for random bytes, and gets the same in every instance: guests have no " +
			"randomness")
	}
}
