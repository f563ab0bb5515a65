package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// logTriggers are the triggers without which positions are not safe, or events have no segment.
var logTriggers = []string{"check_position", "fence", "fill_partition_hash", "keep_position"}

// logObjects describes the objects of the log, from the catalogue.
type logObjects struct {
	table         string
	sequence      string
	permanent     bool
	identity      bool   // positions are GENERATED ALWAYS AS IDENTITY
	drawn         string // the sequence that they are drawn from, "" for none
	cache         *int64
	increment     *int64
	cycle         *bool
	always        []string // the triggers that fire whatever a session sets
	triggers      []string
	subscriptions []string
	children      []string
}

// logPositions are the positions by which CheckLog judges the sequence.
type logPositions struct {
	next       int64 // the position that is handed out next
	last       int64 // of an event
	checkpoint int64 // the furthest
}

// used is a position at or below which none may be handed out again.
func (p logPositions) used() int64 { return max(p.last, p.checkpoint) }

// CheckLog finds what would make readers skip events. See [store.LogChecker].
func (s backend) CheckLog(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	objects := logObjects{table: s.queries.events, sequence: s.queries.sequence}
	err := s.control.QueryRow(ctx, s.queries.logObjects).Scan(&objects.permanent, &objects.identity, &objects.drawn,
		&objects.cache, &objects.increment, &objects.cycle, &objects.always, &objects.triggers, &objects.subscriptions,
		&objects.children)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotMigrated
	}
	if err != nil {
		return translate(err)
	}
	var positions logPositions
	query := s.queries.logPositions
	if objects.cache == nil {
		query = s.queries.logEnd
	}
	if err := s.control.QueryRow(ctx, query).Scan(&positions.next, &positions.last, &positions.checkpoint); err != nil {
		return translate(err)
	}
	return store.UnsafeLog(slices.Concat(objects.sequenceFaults(positions), objects.triggerFaults(),
		objects.otherWriters()))
}

// sequenceFaults are about the sequence that hands out positions.
func (o *logObjects) sequenceFaults(at logPositions) (faults []store.LogFault) {
	add := func(fault, remedy string, args ...any) {
		faults = append(faults, store.LogFault{Fault: fault, Remedy: "run " + fmt.Sprintf(remedy, args...)})
	}
	if o.cache == nil && o.drawn != "" {
		add("the sequence of "+o.table+" is called "+o.drawn, "ALTER SEQUENCE %s RENAME TO events_global_position_seq",
			o.drawn)
		return faults
	}
	if o.cache == nil {
		add("positions of "+o.table+" are no longer drawn from a sequence of its own",
			"ALTER TABLE %s ALTER global_position ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME %s START %d)",
			o.table, o.sequence, at.used()+1)
		return faults
	}
	if !o.identity || o.drawn == "" {
		add("positions of "+o.table+" are not GENERATED ALWAYS AS IDENTITY from "+o.sequence,
			"ALTER TABLE %s ALTER global_position SET GENERATED ALWAYS, or make the column an identity with that "+
				"sequence again", o.table)
	}
	if *o.cache != 1 {
		add(fmt.Sprintf("the sequence of %s has CACHE %d, so that a connection hands out positions that hosts "+
			"have passed", o.table, *o.cache),
			"ALTER SEQUENCE %s CACHE 1, and let all connections that append end", o.sequence)
	}
	if *o.increment != 1 || *o.cycle {
		add("the sequence of "+o.table+" does not count up by one", "ALTER SEQUENCE %s INCREMENT 1 NO CYCLE",
			o.sequence)
	}
	if at.next <= at.last {
		add(fmt.Sprintf("the next position of %s is %d, and an event has position %d", o.table, at.next, at.last),
			"SELECT setval('%s', %d)", o.sequence, at.used())
	}
	if !o.permanent {
		add(o.table+" is UNLOGGED, and a crash empties it and its sequence", "ALTER TABLE %s SET LOGGED", o.table)
	}
	return faults
}

// triggerFaults are about triggers that are gone or switched off.
func (o *logObjects) triggerFaults() (faults []store.LogFault) {
	var gone, off, enable []string
	for _, name := range logTriggers {
		switch {
		case !slices.Contains(o.triggers, name):
			gone = append(gone, name)
		case !slices.Contains(o.always, name):
			off = append(off, name)
			enable = append(enable, "ENABLE ALWAYS TRIGGER "+name)
		}
	}
	if len(gone) > 0 {
		faults = append(faults, store.LogFault{
			Fault:  fmt.Sprintf("%s lacks the triggers %s", o.table, strings.Join(gone, ", ")),
			Remedy: "create them as migrations.Script(Postgres) has them",
		})
	}
	if len(off) > 0 {
		faults = append(faults, store.LogFault{
			Fault:  fmt.Sprintf("triggers of %s do not always fire: %s", o.table, strings.Join(off, ", ")),
			Remedy: fmt.Sprintf("run ALTER TABLE %s %s", o.table, strings.Join(enable, ", ")),
		})
	}
	return faults
}

// otherWriters are about events that come by ways that the triggers do not see.
func (o *logObjects) otherWriters() (faults []store.LogFault) {
	for _, name := range o.subscriptions {
		faults = append(faults, store.LogFault{
			Fault:  fmt.Sprintf("subscription %s replicates into %s, with the positions of another log", name, o.table),
			Remedy: "take the table out of the publication and run ALTER SUBSCRIPTION " + name + " REFRESH PUBLICATION",
		})
	}
	for _, name := range o.children {
		faults = append(faults, store.LogFault{
			Fault: fmt.Sprintf("table %s inherits from %s, and what is inserted there passes the fence", name,
				o.table),
			Remedy: fmt.Sprintf("run ALTER TABLE %s NO INHERIT %s", name, o.table),
		})
	}
	return faults
}
