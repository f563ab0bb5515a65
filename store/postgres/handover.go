package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// handover changes which messages of a projection are whose to send, within a transaction that has locked the
// projection. Where it passes them on from the live version, no commit of that may be under way, nor one of the next
// version.
type handover struct {
	tx         pgx.Tx
	queries    *outboxQueries
	projection string
}

func (s *Store) handover(tx pgx.Tx, projection string) handover {
	return handover{tx: tx, queries: &s.queries.outbox, projection: projection}
}

// BeginSending decides from where on the live version sends. See [store.Outbox].
func (s backend) BeginSending(ctx context.Context, projection *store.Projection, log store.LogID, after int64) error {
	return s.ofLive(ctx, projection, func(h handover) error { return h.begin(ctx, projection, log.ID, after) })
}

// SentBefore returns what is not the live version's to send. See [store.Outbox].
func (s backend) SentBefore(ctx context.Context, projection string) (before store.SentBefore, err error) {
	before, err = readSentBefore(ctx, s.pool, &s.queries.outbox, projection)
	return before, translate(err)
}

// ForgetSent forgets it, where it is of another log. See [store.Outbox].
func (s backend) ForgetSent(ctx context.Context, projection *store.Projection) error {
	return s.ofLive(ctx, projection, func(h handover) error {
		if forgotten, err := h.forget(ctx, projection.ID()); err != nil || !forgotten {
			return err
		}
		return h.setSent(ctx, store.SentBefore{})
	})
}

// ofLive changes what is to be sent by a version, if that is the live one.
func (s backend) ofLive(ctx context.Context, projection *store.Projection, change func(handover) error) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection.Name); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		versions, err := readVersions(ctx, tx, &s.queries, projection.Name)
		if err != nil {
			return err
		}
		installed, err := versions.Known(projection.ID())
		if err != nil || !installed.Live {
			return err
		}
		return change(s.handover(tx, projection.Name))
	})
	return translate(err)
}

func (h handover) begin(ctx context.Context, projection *store.Projection, log store.UUID, after int64) error {
	before, err := h.sent(ctx)
	switch {
	case err != nil:
		return err
	case before.OfAnotherLog(log):
		if forgotten, err := h.forget(ctx, projection.ID()); err != nil || !forgotten {
			return err
		}
		return h.setSent(ctx, store.SentAfter(projection, log, after))
	case len(before.Ranges) == 0:
		if err := h.run(ctx, h.queries.dropUnsent); err != nil {
			return err
		}
		return h.setSent(ctx, store.SentAfter(projection, log, after))
	case before.Begun && before.Log == log && before.Partition == projection.DivisionText():
		return nil
	}
	before.Log, before.Begun = log, true
	return h.divide(ctx, projection, before)
}

// forget deletes what there is of another log, unless the version has applied events of that. What was sent and kept has
// the ids of messages that are still to come, as what waits to be sent.
func (h handover) forget(ctx context.Context, of store.ProjectionID) (forgotten bool, err error) {
	var applied, unsent bool
	err = h.tx.QueryRow(ctx, h.queries.hasApplied, of.Name, of.Number()).Scan(&applied)
	if err == nil && !applied {
		err = h.tx.QueryRow(ctx, h.queries.unsent, of.Name).Scan(&unsent)
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("looking for messages of another log: %w", err)
	case applied:
		return false, nil
	case unsent:
		return false, &store.StaleMessagesError{Projection: of.Name}
	}
	for _, statement := range []string{h.queries.dropUnsent, h.queries.dropKept} {
		if err := h.run(ctx, statement); err != nil {
			return false, err
		}
	}
	return true, nil
}

// pass makes the next version the one that sends.
func (h handover) pass(ctx context.Context, live, next *store.Installed, layout *store.Layout) error {
	before, err := h.passOn(ctx, live, layout)
	if err != nil {
		return err
	}
	if err := h.divide(ctx, &next.Projection, before); err != nil {
		return err
	}
	if err := h.run(ctx, h.queries.dropDone, next.ID().Number(), live.ID().Number()); err != nil {
		return err
	}
	for _, statement := range []string{h.queries.letGo, h.queries.learnUnsent, h.queries.keepUnsent} {
		if err := h.run(ctx, statement, next.ID().Number()); err != nil {
			return err
		}
	}
	return nil
}

// end keeps what the live version has sent for what is installed in its place.
func (h handover) end(ctx context.Context, live *store.Installed, layout *store.Layout) error {
	before, err := h.sent(ctx)
	if err != nil || len(before.Ranges) == 0 {
		return err
	}
	if before, err = h.passOn(ctx, live, layout); err != nil {
		return err
	}
	return h.setSent(ctx, before)
}

// passOn returns what is not to be sent by whatever comes behind the live version, and makes the exceptions to it
// those of that. See [store.SentBefore].
func (h handover) passOn(
	ctx context.Context, live *store.Installed, layout *store.Layout,
) (before store.SentBefore, err error) {
	if before, err = h.sent(ctx); err != nil {
		return before, err
	}
	if len(before.Ranges) == 0 || before.OfAnotherLog(layout.Log()) {
		err = h.run(ctx, h.queries.dropUnsent)
		return before.PassedOn(&live.Projection, layout), err
	}
	if err := h.divide(ctx, &live.Projection, before); err != nil {
		return before, err
	}
	for _, statement := range []string{h.queries.keepUnsent, h.queries.addUnsent} {
		if err := h.run(ctx, statement, live.ID().Number()); err != nil {
			return before, err
		}
	}
	before, _ = before.DividedBy(&live.Projection)
	return before.PassedOn(&live.Projection, layout), nil
}

// divide stores what is not to be sent, as a projection divides events.
func (h handover) divide(ctx context.Context, projection *store.Projection, before store.SentBefore) error {
	divided, changed := before.DividedBy(projection)
	if changed {
		if err := h.run(ctx, h.queries.forgetSpread); err != nil {
			return err
		}
	}
	return h.setSent(ctx, divided)
}

// sent reads what is not the live version's to send.
func (h handover) sent(ctx context.Context) (store.SentBefore, error) {
	return readSentBefore(ctx, h.tx, h.queries, h.projection)
}

func readSentBefore(
	ctx context.Context, from rowSource, queries *outboxQueries, projection string,
) (before store.SentBefore, err error) {
	rows, err := from.Query(ctx, queries.ranges, projection)
	if err != nil {
		return before, fmt.Errorf("reading what was sent: %w", err)
	}
	before.Ranges, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.SentRange, err error) {
		return r, row.Scan(&r.Range.First, &r.Range.Last, &r.Position, &before.Log, &before.Partition, &before.Begun,
			&r.Last.Position, &r.Last.Event)
	})
	if err != nil {
		return before, fmt.Errorf("reading what was sent: %w", err)
	}
	return before, nil
}

// setSent stores it.
func (h handover) setSent(ctx context.Context, before store.SentBefore) error {
	first, last, positions, lastPositions := []int64{}, []int64{}, []int64{}, []int64{}
	lastEvents := []store.UUID{}
	for _, r := range before.Ranges {
		first, last = append(first, int64(r.Range.First)), append(last, int64(r.Range.Last))
		positions = append(positions, r.Position)
		lastPositions, lastEvents = append(lastPositions, r.Last.Position), append(lastEvents, r.Last.Event)
	}
	return h.run(ctx, h.queries.setRanges, first, last, positions, lastPositions, lastEvents, before.Log, before.Partition,
		before.Begun)
}

// run runs a statement whose first parameter is the projection.
func (h handover) run(ctx context.Context, statement string, args ...any) error {
	if _, err := h.tx.Exec(ctx, statement, append([]any{h.projection}, args...)...); err != nil {
		return fmt.Errorf("handing over what is to be sent: %w", err)
	}
	return nil
}

// dropHeld deletes what is held for a version, or for all where it is 0.
func (h handover) dropHeld(ctx context.Context, version int64) error {
	return h.run(ctx, h.queries.dropHeld, version)
}

// stopBoth has the version meet the live one, and keeps commits of both waiting from then on until the transaction
// ends: what the next version holds must all be there when it is handed over. It returns the layout of the live one.
//
// Workers that join or leave lock segments of all versions. It tries for those of the version, and gives up all where
// it waits for one that waits for it.
func (i *installer) stopBoth(
	ctx context.Context, live *store.Installed, ready func(*installer, context.Context) error,
) (layout *store.Layout, err error) {
	for range commitTries {
		met := false
		err = pgx.BeginFunc(ctx, i.tx, func(tx pgx.Tx) error {
			if layout, err = i.meet(ctx, live, ready); err != nil {
				return err
			}
			met = true
			return layoutOf{tx: tx, queries: i.queries, projection: i.projection.ID()}.tryLock(ctx)
		})
		if !met || !errors.Is(translate(err), store.ErrLocked) {
			break
		}
	}
	if err == nil {
		_, err = i.tx.Exec(ctx, i.queries.lockTimeout)
	}
	return layout, err
}
