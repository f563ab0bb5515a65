package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const partGrowth = "growth"

func growthName(events int) string { return fmt.Sprintf("%d events", events) }

// grownLog is a log of some length.
type grownLog struct {
	dsn    string
	events int64
}

func runGrowth(ctx context.Context, e *environment, r *report) error {
	var logs []*grownLog
	tail := int64(e.logs[0])
	result := r.addTable(partGrowth, fmt.Sprintf("the last %d events of a log, W1, pupwasm TinyGo", tail),
		"events of the log",
		column{"ns/event", unitNanos, 0, showSpread})
	for _, events := range e.logs {
		if !e.wants(fmt.Sprintf("growth/%d", events)) {
			continue
		}
		log := &grownLog{events: int64(events)}
		var err error
		if log.dsn, err = e.database(ctx, fmt.Sprintf("grown_%d", events)); err != nil {
			return err
		}
		if err := log.fill(ctx, e.streams); err != nil {
			return fmt.Errorf("a log of %d events: %w", events, err)
		}
		logs = append(logs, log)
	}
	for range e.rounds {
		for _, log := range logs {
			m, err := log.projectTail(ctx, e, tail)
			if err != nil {
				return fmt.Errorf("the last of %d events: %w", log.events, err)
			}
			nanos := float64(m.elapsed.Nanoseconds()) / float64(m.events)
			fmt.Fprintf(os.Stderr, "%-45s %10.0f ns/event\n", fmt.Sprintf("growth/%d", log.events), nanos)
			result.add(growthName(int(log.events)), sample{unitNanos: nanos})
		}
	}
	return nil
}

// fill makes the events in the server, where that takes a tenth of the time: event g is of stream g modulo
// streams, whose version it is. Event ids grow, so that their index is built in order.
func (l *grownLog) fill(ctx context.Context, streams int) error {
	const account = `'account-' || lpad((g %% %[1]d)::text, 5, '0')`
	return execute(ctx, l.dsn,
		fmt.Sprintf(`CREATE TEMPORARY TABLE hashes AS
			SELECT g, `+account+` AS account, pupwasm.fnv1a32(`+account+`) AS hash
			FROM generate_series(0, %[1]d - 1) AS g`, streams),
		`ANALYZE hashes`,
		`INSERT INTO pupwasm.streams SELECT 'Bank', 'Account', account FROM hashes`,
		fmt.Sprintf(`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
				event_id, event_type, payload, partition_hash)
			SELECT 'Bank', 'Account', h.account, n / %[1]d + 1,
				lpad(to_hex(n + 1), 32, '0')::uuid, CASE n %% 3 WHEN 0 THEN 'Withdrawn' ELSE 'Deposited' END,
				convert_to('{"transfer":"0192f0c1-6f5e-7b7e-9a55-' || lpad(to_hex(n), 12, '0') ||
					'","channel":"branch","amount":' || n %% 100000 ||
					',"currency":"EUR","counterparty":"DE89370400440532013000","reference":"invoice ' ||
					n || ' \"net\"","booked":"2024-03-01T12:00:00Z"}', 'UTF8'), h.hash
			FROM generate_series(0, %[2]d - 1) AS n JOIN hashes AS h ON h.g = n %% %[1]d ORDER BY n`,
			streams, l.events),
		"VACUUM (FREEZE, ANALYZE) pupwasm.events", "CHECKPOINT")
}

// projectTail has a new projection begin shortly before the end of the log.
func (l *grownLog) projectTail(ctx context.Context, e *environment, tail int64) (m measured, err error) {
	w := balanceWorkload(&eventLog{dsn: l.dsn, count: l.events}, nil)
	module, err := e.load(ctx, tinygoGuest, w)
	if err != nil {
		return m, err
	}
	s, err := openWatched(l.dsn, postgres.Options{})
	if err != nil {
		return m, err
	}
	defer s.Close()
	if err := forget(ctx, s, w.projection); err != nil {
		return m, err
	}
	if _, err := s.Install(ctx, &module.Description.Projection, 1); err != nil {
		return m, err
	}
	start := fmt.Sprintf("UPDATE pupwasm.segments SET position = %d WHERE projection = '%s'",
		l.events-tail, w.projection)
	if err := execute(ctx, l.dsn, start, "CHECKPOINT"); err != nil {
		return m, err
	}
	worker, err := segments.New(s, s, segments.Options{Once: true})
	if err != nil {
		return m, err
	}
	worker.Set(module)
	if m, err = watchWorker(ctx, &s.beginning, worker, tail); err != nil {
		return m, err
	}
	return m, checkCount(ctx, l.dsn, w.table, tail)
}
