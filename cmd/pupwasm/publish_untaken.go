package main

import (
	"context"
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// untaken tells of messages that no --publish takes, and of projections that only --publish knows. One goroutine adds at
// a time.
type untaken struct {
	by     *publisher
	outbox store.Outbox
	log    zerolog.Logger

	told    map[string]bool // projections whose messages the log has told of
	unknown map[string]bool // projections that --publish names, of which no module is known
}

func newUntaken(by *publisher, outbox store.Outbox, log zerolog.Logger) *untaken {
	u := &untaken{by: by, outbox: outbox, log: log, told: map[string]bool{}, unknown: map[string]bool{}}
	if by != nil {
		for name := range by.sinks.ByProjection {
			u.unknown[name] = true
		}
	}
	return u
}

// add warns of a module whose messages nothing takes, once.
func (u *untaken) add(module *host.Module) {
	name := module.Description.Name
	delete(u.unknown, name)
	if len(module.Description.Messages) == 0 || u.by.takes(name) || u.told[name] {
		return
	}
	u.told[name] = true
	u.log.Warn().Str("projection", name).Str("module", module.File).
		Msg("no --publish takes the messages of the projection: they wait in the outbox until a host sends them")
}

// warnOfUnknown warns of names that no module has had so far. One may come later.
func (u *untaken) warnOfUnknown() {
	for _, name := range slices.Sorted(maps.Keys(u.unknown)) {
		u.log.Warn().Str("projection", name).Msg("--publish names a projection that no module is")
	}
	clear(u.unknown)
}

// waiting returns how many messages wait that nobody sends, of each projection of which nothing takes them. Without an
// answer of the database it knows of none.
func (u *untaken) waiting(ctx context.Context, of []segments.Progress) map[string]int64 {
	var names []string
	for i := range of {
		if name := of[i].Projection.Name; !u.by.takes(name) {
			names = append(names, name)
		}
	}
	waiting := map[string]int64{}
	if len(names) == 0 {
		return waiting
	}
	all, err := u.outbox.OutboxStatus(ctx, names...)
	if err != nil && ctx.Err() == nil {
		u.log.Warn().Str("error", errorText(err)).Msg("how many messages wait is not known")
	}
	for i := range all {
		if !all[i].Live {
			waiting[all[i].Projection] = all[i].Pending
		}
	}
	return waiting
}
