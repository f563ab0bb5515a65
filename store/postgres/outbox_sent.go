package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// idColumns are identities of messages as arrays, one a column.
type idColumns struct {
	projections             []string
	positions, ns, versions []int64
}

func (c *idColumns) add(id *store.OutboxID) {
	c.projections = append(c.projections, id.Projection)
	c.positions = append(c.positions, id.Position)
	c.ns = append(c.ns, int64(id.Index))
	c.versions = append(c.versions, numberOf(id))
}

// Sent notes that messages were sent. See [store.Outbox].
func (s backend) Sent(ctx context.Context, messages []store.OutboxID, keep bool) error {
	if len(messages) == 0 {
		return nil
	}
	var ids idColumns
	for i := range messages {
		ids.add(&messages[i])
	}
	return s.noteMessages(ctx, s.queries.outbox.sent, ids.projections, ids.positions, ids.ns, ids.versions, keep)
}

// Undelivered notes that messages could not be sent. See [store.Outbox].
func (s backend) Undelivered(ctx context.Context, failures []store.Undelivered) error {
	if len(failures) == 0 {
		return nil
	}
	var ids idColumns
	var errors []string
	var delays []int64
	for i := range failures {
		ids.add(&failures[i].OutboxID)
		// It may have what a receiver has answered.
		errors = append(errors, store.CutReason(oneline.Text(strings.ToValidUTF8(failures[i].Error, "�"))))
		delays = append(delays, delayValue(failures[i].RetryAfter).Int())
	}
	return s.noteMessages(ctx, s.queries.outbox.failed, ids.projections, ids.positions, ids.ns, ids.versions, errors,
		delays)
}

func (s backend) noteMessages(ctx context.Context, query string, args ...any) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, query, args...)
	return translate(err)
}

// SkipMessage deletes a message that is to be sent. See [store.Outbox].
func (s backend) SkipMessage(ctx context.Context, id store.MessageID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var skipped bool
	err := s.control.QueryRow(ctx, s.queries.outbox.skip, id.Projection, id.Version, id.Position, id.Index).Scan(&skipped)
	if err == nil && !skipped {
		return store.NotToBeSent(id)
	}
	return translate(err)
}

// Resend has messages sent as soon as may be. See [store.Outbox].
func (s backend) Resend(ctx context.Context, request store.MessagesRequest) (count int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	values := requestValues(&request)
	err = pgx.BeginTxFunc(ctx, s.control, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.outbox.lock, request.Projection); err != nil {
			return fmt.Errorf("locking the outbox: %w", err)
		}
		return tx.QueryRow(ctx, s.queries.outbox.resend, values...).Scan(&count)
	})
	if err != nil {
		return 0, translate(err)
	}
	return count, nil
}

// deleteSentMax bounds how many messages of a kind one call deletes.
const deleteSentMax = 5000

// DeleteSent deletes messages that are not needed any more. See [store.Outbox].
func (s backend) DeleteSent(ctx context.Context, projection string, keep time.Duration) (more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, s.queries.outbox.old, projection, keep, deleteSentMax)
	if err != nil {
		return false, translate(err)
	}
	useless, err := s.deleteUseless(ctx, projection)
	return tag.RowsAffected() == deleteSentMax || useless, translate(err)
}

// deleteUseless deletes held messages that no promotion would send, and reports whether there may be more.
func (s backend) deleteUseless(ctx context.Context, projection string) (more bool, err error) {
	rows, err := s.pool.Query(ctx, s.queries.outbox.holders, projection)
	if err != nil {
		return false, err
	}
	holders, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(holders) == 0 {
		return false, err
	}
	versions, err := readVersions(ctx, s.pool, &s.queries, projection)
	if err != nil {
		return false, err
	}
	live := versions.Live()
	for _, holder := range holders {
		of := versions.Find(store.NumberedID(projection, holder))
		if live == nil || of == nil || of.Live {
			continue
		}
		division := live.DivisionText()
		tag, err := s.pool.Exec(ctx, s.queries.outbox.useless, projection, live.ID().Number(), holder,
			of.DivisionText() == division, deleteSentMax, division)
		if err != nil {
			return false, err
		}
		more = more || tag.RowsAffected() == deleteSentMax
	}
	return more, nil
}

// OutboxStatus returns the state of the outbox. See [store.Outbox].
func (s backend) OutboxStatus(ctx context.Context, only ...string) ([]store.OutboxStatus, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.outbox.status, append([]string{}, only...))
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o store.OutboxStatus, err error) {
		var oldest *time.Time
		err = row.Scan(&o.Projection, &o.Pending, &o.Held, &o.Kept, &oldest, &o.FailedKeys, &o.Exhausted, &o.Relay, &o.Target,
			&o.Live)
		o.Oldest = timeOrZero(oldest)
		return o, err
	})
	return all, translate(err)
}
