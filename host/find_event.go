package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// A guest that traps says nothing of the event that it was at, whatever its language. But it is
// deterministic: the first of the batch's events are harmless without the one at fault, and fail with it. So
// the host divides the batch until it knows, in fresh instances and with the queries of the same transaction.
// A fault is rare and stops its segment, so some tries cost little.

// searchFuelShare is the part of its fuel that a batch has in a search after it ran out. An event that takes
// that much by itself is at fault. So a guest that loops costs the host little more than twice.
const searchFuelShare = 8

// findEvent finds the event that a fault of a whole batch comes from, and returns the fault with it. If no
// event causes it, or if the search does not finish, it returns the fault as it is.
func (g *Guest) findEvent(ctx context.Context, events []store.RecordedEvent, query Query, fault *Fault) error {
	defer g.beginSearch(fault)()
	began := clock.Now()
	// The batch fails with the first failing events, and passes with the first passing ones.
	passing, failing, found := 0, len(events), *fault
	for failing-passing > 1 {
		if clock.Since(began) > g.module.limits.BatchTimeout {
			return g.searchError(ctx, fault)
		}
		middle := (passing + failing) / 2
		switch problem, err := g.try(ctx, events[:middle], query); {
		case err != nil:
			return g.searchError(ctx, fault)
		case problem != nil && problem.Position > 0:
			return problem // shorter batches fail otherwise, and say so
		case problem != nil:
			failing, found = middle, *problem
		default:
			passing = middle
		}
	}
	switch own, err := g.causesAlone(ctx, events, failing, query, fault); {
	case err != nil:
		return g.searchError(ctx, fault)
	case !own:
		return fault
	}
	if found.fuel && len(events) > 1 {
		found.Reason = fmt.Sprintf("%s; this event alone takes more than %d", fault.Reason, g.fuelLimit)
	}
	found.setEvent(&events[failing-1])
	return &found
}

// beginSearch prepares a search, and returns what ends it.
func (g *Guest) beginSearch(fault *Fault) (end func()) {
	logger, fuel := g.logger, g.fuelLimit
	g.logger, g.searching = zerolog.Nop(), true
	if fault.fuel {
		g.fuelLimit = max(fuel/searchFuelShare, 1)
	}
	return func() { g.logger, g.fuelLimit, g.searching = logger, fuel, false }
}

// try applies events in a fresh instance, and returns the fault that they bring about. An error is one of the host's.
func (g *Guest) try(ctx context.Context, events []store.RecordedEvent, query Query) (*Fault, error) {
	g.Close(ctx)
	_, err := g.apply(ctx, events, query)
	var fault *Fault
	if errors.As(err, &fault) {
		return fault, nil
	}
	return nil, err
}

// causesAlone tells whether the event at failing-1 causes the fault, which fewer events do not have.
func (g *Guest) causesAlone(
	ctx context.Context, events []store.RecordedEvent, failing int, query Query, fault *Fault,
) (bool, error) {
	alone := events[failing-1 : failing]
	switch {
	case fault.exceeds && len(events) > 1:
		// Others may have taken most of it.
		problem, err := g.try(ctx, alone, query)
		return problem != nil, err
	case fault.exceeds:
		return true, nil
	case failing == 1:
		problem, err := g.try(ctx, nil, query) // which may fail whatever the events are
		return problem == nil, err
	}
	return true, nil
}

// searchError is the error of a search that something else has ended: a machine that is busy, or a database that does
// not answer.
func (g *Guest) searchError(ctx context.Context, fault *Fault) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	divide := *fault
	divide.Divide = true
	return &divide
}
