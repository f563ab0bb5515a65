package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Types of the parameters of our functions.
var (
	text, i64, boolean, id, bytea = store.Type{Kind: store.KindText}, store.Type{Kind: store.KindI64},
		store.Type{Kind: store.KindBool}, store.Type{Kind: store.KindUUID}, store.Type{Kind: store.KindBytes}
	texts, i64s, ids, byteas = arrayOf(text), arrayOf(i64), arrayOf(id), arrayOf(bytea)
	times                    = arrayOf(store.Type{Kind: store.KindTimestamp})

	parkParams = []store.Type{
		text, i64, i64, byteas, i64s, i64s, ids, texts, i64s, i64s, texts, byteas, i64s, byteas, i64s, ids, texts,
	}
	retryParams = []store.Type{
		text, i64, i64, text, i64, boolean, i64s, id, i64, boolean, bytea, i64, i64, i64, id, text, i64, i64, text, i64s,
		ids, texts,
	}
)

func arrayOf(t store.Type) store.Type { return store.Type{Kind: t.Kind, Array: true} }

// list makes an array of a part of each element.
func list[T any](kind store.Kind, all []T, part func(*T) store.Value) store.Value {
	elements := make([]store.Value, len(all))
	for i := range all {
		elements[i] = part(&all[i])
	}
	return store.ArrayOf(kind, elements)
}

func uuidValue(id store.UUID) store.Value { return store.BytesOf(store.KindUUID, id[:]) }

func keyValue(key []byte) store.Value { return store.BytesOf(store.KindBytes, key) }

// delayValue is a time from now in milliseconds; below 0 there is none.
func delayValue(d time.Duration) store.Value {
	if d < 0 {
		return store.I64(-1)
	}
	return store.I64(d.Milliseconds())
}

// sendParking adds what becomes of events that the commit passes and does not apply.
func (p *pipeline) sendParking(c *catalogue, params *parameters, projection store.ProjectionID, commit *store.Commit) {
	if len(commit.Parked)+len(commit.Noted)+len(commit.Skipped) == 0 {
		return
	}
	newKeys := func(kind store.Kind, part func(*store.NewParked) store.Value) store.Value {
		return list(kind, commit.Parked, part)
	}
	params.reset()
	for i, v := range []store.Value{
		store.Text(projection.Name), store.I64(projection.Number()), store.I64(int64(commit.ParkedMax)),
		newKeys(store.KindBytes, func(n *store.NewParked) store.Value { return keyValue(n.Key) }),
		newKeys(store.KindI64, func(n *store.NewParked) store.Value {
			return store.I64(int64(store.Spread(store.PartitionHashOf(n.Key))))
		}),
		newKeys(store.KindI64, func(n *store.NewParked) store.Value { return store.I64(n.Fault.Position) }),
		newKeys(store.KindUUID, func(n *store.NewParked) store.Value { return uuidValue(n.Fault.Event) }),
		newKeys(store.KindText, func(n *store.NewParked) store.Value { return store.Text(n.Fault.Error) }),
		newKeys(store.KindI64, func(n *store.NewParked) store.Value { return store.I64(int64(n.Fault.Attempts)) }),
		newKeys(store.KindI64, func(n *store.NewParked) store.Value { return delayValue(n.Fault.RetryAfter) }),
		newKeys(store.KindText, func(n *store.NewParked) store.Value { return store.Text(n.Fault.Code) }),
		list(store.KindBytes, commit.Noted, func(n *store.ParkedEvent) store.Value { return keyValue(n.Key) }),
		list(store.KindI64, commit.Noted, func(n *store.ParkedEvent) store.Value { return store.I64(n.Position) }),
		list(store.KindBytes, commit.Skipped, func(s *store.SkippedEvent) store.Value { return keyValue(s.Key) }),
		skippedPositions(commit.Skipped), skippedIDs(commit.Skipped), skippedErrors(commit.Skipped),
	} {
		params.add(parkParams[i], v)
	}
	p.send(&c.store.park, params.values())
}

func skippedPositions(all []store.SkippedEvent) store.Value {
	return list(store.KindI64, all, func(s *store.SkippedEvent) store.Value { return store.I64(s.Position) })
}

func skippedIDs(all []store.SkippedEvent) store.Value {
	return list(store.KindUUID, all, func(s *store.SkippedEvent) store.Value { return uuidValue(s.Event) })
}

func skippedErrors(all []store.SkippedEvent) store.Value {
	return list(store.KindText, all, func(s *store.SkippedEvent) store.Value { return store.Text(s.Error) })
}

// parkedMaxError is what park_events says when there are too many.
func parkedMaxError(err error, projection string, limit int) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateParkedMax {
		return &store.ParkedMaxError{Projection: projection, Max: limit}
	}
	return err
}

// Retry applies events of a parked key. See [store.Tx].
func (x *tx) Retry(ctx context.Context, retry store.Retry) (unparked bool, err error) {
	err = x.end(ctx, retry.Steps, func(ctx context.Context) (err error) {
		unparked, err = x.retry(ctx, &retry)
		return err
	})
	err = x.ended(ctx, retry.Steps, retry.Explain, err)
	return unparked && err == nil, err
}

func (x *tx) retry(ctx context.Context, retry *store.Retry) (unparked bool, err error) {
	p, err := x.ending(ctx)
	if err != nil {
		return false, err
	}
	fence := &x.catalogue.store.retry
	p.send(fence, x.catalogue.retryFence(x.params, &x.claim, retry))
	p.sendMessages(x.catalogue, x.params, x.claim.Projection, retry.Messages)
	for i := range retry.Steps {
		p.sendStep(x.catalogue, x.params, &retry.Steps[i])
	}
	err = x.finishCommit(p, func(of *statementResult) error {
		if of.statement != fence {
			return of.drain()
		}
		for of.reader.NextRow() {
			unparked = of.reader.Values()[0][0] != 0
		}
		return of.drain()
	})
	return unparked, err
}

func (c *catalogue) retryFence(params *parameters, claim *store.Claim, retry *store.Retry) [][]byte {
	fault := store.ParkedFault{}
	if retry.Fault != nil {
		fault = *retry.Fault
	}
	params.reset()
	for i, v := range []store.Value{
		store.Text(claim.Projection.Name), store.I64(claim.Projection.Number()), store.I64(int64(claim.Segment)),
		store.Text(claim.Worker),
		store.I64(claim.Epoch), store.Bool(claim.Durability.Waits(c.store.options.Durable)), c.store.transactionLimits(),
		uuidValue(retry.Log.ID), store.I64(int64(retry.Log.Timeline)), store.Bool(c.apart),
		keyValue(retry.Key), store.I64(retry.Through), store.I64(retry.Orders),
		store.I64(fault.Position), uuidValue(fault.Event), store.Text(fault.Error), store.I64(int64(fault.Attempts)),
		delayValue(fault.RetryAfter), store.Text(fault.Code),
		skippedPositions(retry.Skipped), skippedIDs(retry.Skipped), skippedErrors(retry.Skipped),
	} {
		params.add(retryParams[i], v)
	}
	return params.values()
}

// Parked returns parked keys. See [store.Parking].
func (s backend) Parked(ctx context.Context, request store.ParkedRequest) ([]store.ParkedKey, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	of, keys, after := request.Projection, request.Range, request.After
	sql, args := s.queries.dueParked, []any{
		of.Name, of.Number(), int64(keys.First), int64(keys.Last), after.Projection.Name, after.Projection.Number(),
		append([]byte{}, after.Key...), request.Limit,
	}
	if !request.DueByTime() {
		sql, args = s.queries.parked, append(args, request.Key, request.Code, request.Due)
	}
	rows, err := s.control.Query(ctx, sql, args...)
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, scanParked)
	return all, translate(err)
}

func scanParked(row pgx.CollectableRow) (k store.ParkedKey, err error) {
	var next *time.Time
	var version int64
	err = row.Scan(&k.Projection.Name, &version, &k.Key, &k.First, &k.Last, &k.Events, &k.Event,
		&k.Error, &k.Attempts, &k.ParkedAt, &next, &k.Order, &k.Tried, &k.Orders, &k.Due)
	k.Projection = store.NumberedID(k.Projection.Name, version)
	if next != nil {
		k.NextAttempt = *next
	}
	return k, err
}

// ParkedPositions returns where events of a parked key are noted. See [store.Parking].
func (s backend) ParkedPositions(
	ctx context.Context, id store.ParkedID, after int64, limit int,
) ([]int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.parkedPositions, id.Projection.Name, id.Projection.Number(), id.Key, after,
		limit)
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return all, translate(err)
}

// Skipped returns the events that were skipped. See [store.Parking].
func (s backend) Skipped(
	ctx context.Context, projection store.ProjectionID, after int64, limit int,
) ([]store.SkippedEvent, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.skipped, projection.Name, projection.Number(), after, limit)
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e store.SkippedEvent, err error) {
		err = row.Scan(&e.Key, &e.Position, &e.Event, &e.Error, &e.SkippedAt)
		return e, err
	})
	return all, translate(err)
}

// Order records what somebody wants of a parked key. See [store.Parking].
func (s backend) Order(ctx context.Context, id store.ParkedID, order store.ParkedAction) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, s.queries.order, id.Projection.Name, id.Projection.Number(), id.Key, string(order))
	if err == nil && tag.RowsAffected() == 0 {
		return store.NotParked(id)
	}
	return translate(err)
}

// ClaimAlert returns a parked key of which nobody was told yet. See [store.Parking].
func (s backend) ClaimAlert(
	ctx context.Context, projections []string, hold time.Duration,
) (*store.ParkedKey, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.claimAlert, append([]string{}, projections...), hold.Milliseconds())
	if err != nil {
		return nil, translate(err)
	}
	key, err := pgx.CollectExactlyOneRow(rows, scanParked)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, translate(err)
	}
	return &key, nil
}

// SettleAlert notes what came of telling somebody. See [store.Parking].
func (s backend) SettleAlert(ctx context.Context, key *store.ParkedKey, alert store.Alert) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.control.Exec(ctx, s.queries.settleAlert, key.Projection.Name, key.Projection.Number(), key.Key,
		key.ParkedAt, alert.Told, alert.Again.Milliseconds())
	return translate(err)
}
