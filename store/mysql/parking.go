package mysql

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// parkingQueries are those of parked keys. What a commit or a retry does with them runs behind its fence, with the
// segment locked, so that each key is changed by one transaction at a time, but for orders and alerts, which change
// one row and lock nothing else.
type parkingQueries struct {
	room            string
	park            string
	countNoted      string
	note            string
	skip            string
	retry           string
	parked          string
	dueParked       string
	parkedPositions string
	skipped         string
	order           string
	untold          string
	claimAlert      string
	settleAlert     string
}

func parkingQueriesFor(in func(string) string) parkingQueries {
	const columns = `projection, version, "key", first_position, last_position, events, event_id, error, attempts,
			parked_at, COALESCE(next_attempt_at, 0), wanted, tried, orders`
	return parkingQueries{
		room: in(`CALL {schema}__park_room($1, $2, $3, $4)`),
		park: in(`INSERT INTO {schema}__parked (projection, version, "key", spread, first_position, event_id, error,
			attempts, next_attempt_at, tried, parked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, IF($9 < 0, NULL, {now} + $9), JSON_ARRAY($10), {now})`),
		countNoted: in(`UPDATE {schema}__parked SET events = events + $4, last_position = GREATEST(last_position, $5)
			WHERE projection = $1 AND version = $2 AND "key" = $3`),
		// The foreign key refuses a key that is not parked.
		note: in(`INSERT INTO {schema}__parked_events (projection, version, "key", position) VALUES `),
		skip: in(`INSERT INTO {schema}__skipped_events (projection, version, "key", position, event_id, error, skipped_at)
			VALUES ($1, $2, $3, $4, $5, $6, {now})`),
		retry: in(`CALL {schema}__retry_parked($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`),
		parked: in(`SET @now = {now};
			SELECT * FROM (
				SELECT ` + columns + `, wanted <> '' OR COALESCE(next_attempt_at <= @now, FALSE)
					OR $10 <> '' AND NOT JSON_CONTAINS(tried, JSON_QUOTE($10)) AS due
				FROM {schema}__parked
				WHERE ($1 = '' OR projection = $1) AND ($2 = 0 OR version = $2) AND ($9 IS NULL OR "key" = $9)
				AND spread BETWEEN $3 AND $4 AND (projection, version, "key") > ($5, $6, $7)) AS k
			WHERE due OR NOT $11 ORDER BY projection, version, "key" LIMIT $8`),
		// By the index, whatever the optimizer believes of the order; a clock that goes on would keep it from that.
		dueParked: in(`SET @now = {now};
			SELECT ` + columns + `, TRUE FROM {schema}__parked FORCE INDEX ({schema}__parked_due)
			WHERE projection = $1 AND version = $2 AND due_at <= @now
			AND spread BETWEEN $3 AND $4 AND (projection, version, "key") > ($5, $6, $7)
			ORDER BY "key" LIMIT $8`),
		parkedPositions: in(`SELECT position FROM {schema}__parked_events WHERE projection = $1 AND version = $2
			AND "key" = $3 AND position > $4 ORDER BY position LIMIT $5`),
		skipped: in(`SELECT "key", position, event_id, error, skipped_at FROM {schema}__skipped_events
			WHERE projection = $1 AND version = $2 AND position > $3 ORDER BY position LIMIT $4`),
		order: in(`UPDATE {schema}__parked SET wanted = $4, orders = orders + 1
			WHERE projection = $1 AND version = $2 AND "key" = $3`),
		// Some more than one, since others may claim the first ones meanwhile.
		untold: in(`SET @now = {now};
			SELECT ` + columns + `, FALSE FROM {schema}__parked FORCE INDEX ({schema}__parked_untold)
			WHERE projection IN $1 AND tell_at <= @now ORDER BY tell_at, projection, version, "key" LIMIT 16`),
		claimAlert: in(`UPDATE {schema}__parked SET tell_at = {now} + $5
			WHERE projection = $1 AND version = $2 AND "key" = $3 AND parked_at = $4 AND tell_at <= {now}`),
		settleAlert: in(`UPDATE {schema}__parked SET tell_at = IF($5, NULL, {now} + $6)
			WHERE projection = $1 AND version = $2 AND "key" = $3 AND parked_at = $4`),
	}
}

// commit returns the statements of a commit, behind its fence, that do what becomes of events that it passes and does
// not apply.
func (q *parkingQueries) commit(of store.ProjectionID, commit *store.Commit) (texts []string, err error) {
	add := func(query string, arguments ...any) {
		text, failed := expand(query, append([]any{of.Name, of.Number()}, arguments...))
		texts, err = append(texts, text), cmp.Or(err, failed)
	}
	if len(commit.Parked) > 0 && commit.ParkedMax > 0 {
		add(q.room, len(commit.Parked), commit.ParkedMax)
	}
	for i := range commit.Parked {
		n := &commit.Parked[i]
		add(q.park, blob(n.Key), int64(store.Spread(store.PartitionHashOf(n.Key))), n.Fault.Position, n.Fault.Event,
			n.Fault.Error, n.Fault.Attempts, delay(n.Fault.RetryAfter), n.Fault.Code)
	}
	type notes struct {
		events int
		last   int64
	}
	noted := map[string]notes{}
	rows := make([]string, 0, len(commit.Noted))
	for i := range commit.Noted {
		n := &commit.Noted[i]
		key := noted[string(n.Key)]
		noted[string(n.Key)] = notes{events: key.events + 1, last: max(key.last, n.Position)}
		row, failed := expand("($1, $2, $3, $4)", []any{of.Name, of.Number(), blob(n.Key), n.Position})
		rows, err = append(rows, row), cmp.Or(err, failed)
	}
	// The row of a key is locked for good before the foreign key locks it for reading.
	for _, key := range slices.Sorted(maps.Keys(noted)) {
		add(q.countNoted, []byte(key), noted[key].events, noted[key].last)
	}
	if len(rows) > 0 {
		texts = append(texts, q.note+strings.Join(rows, ", "))
	}
	skipped, failed := q.skips(of, commit.Skipped)
	return append(texts, skipped...), cmp.Or(err, failed)
}

// skips returns the statements that record events that are left out.
func (q *parkingQueries) skips(of store.ProjectionID, skipped []store.SkippedEvent) (texts []string, err error) {
	for i := range skipped {
		s := &skipped[i]
		text, failed := expand(q.skip, []any{of.Name, of.Number(), blob(s.Key), s.Position, s.Event, s.Error})
		texts, err = append(texts, text), cmp.Or(err, failed)
	}
	return texts, err
}

// blob is a key, which is never NULL.
func blob(key []byte) []byte { return append([]byte{}, key...) }

// delay is a time from now in microseconds; below 0 there is none.
func delay(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

// Parked returns parked keys. See [store.Parking].
func (s backend) Parked(ctx context.Context, request store.ParkedRequest) (all []store.ParkedKey, err error) {
	of, keys, after := request.Projection, request.Range, request.After
	text, args := s.queries.parking.dueParked, []any{
		of.Name, of.Number(), int64(keys.First), int64(keys.Last), after.Projection.Name, after.Projection.Number(),
		blob(after.Key), cmp.Or(int64(request.Limit), math.MaxInt64),
	}
	if !request.DueByTime() {
		text, args = s.queries.parking.parked, append(args, request.Key, request.Code, request.Due)
	}
	err = s.controlled(ctx, func(c *conn) error {
		return c.query(text, func(r *row) error {
			key, err := r.parkedKey()
			all = append(all, key)
			return err
		}, args...)
	})
	return all, err
}

func (r *row) parkedKey() (store.ParkedKey, error) {
	var tried []string
	if err := json.Unmarshal(r.bytes(12), &tried); err != nil {
		return store.ParkedKey{}, fmt.Errorf("reading what a key was tried with: %w", err)
	}
	return store.ParkedKey{
		ParkedID: store.ParkedID{Projection: store.NumberedID(r.text(0), r.int64(1)), Key: blob(r.bytes(2))},
		First:    r.int64(3), Last: r.int64(4), Events: r.int64(5), Event: r.uuid(6),
		Error: r.text(7), Attempts: r.int(8), ParkedAt: microsecond(r.int64(9)),
		NextAttempt: microsecond(r.int64(10)), Order: store.ParkedAction(r.text(11)),
		Tried: tried, Orders: r.int64(13), Due: r.bool(14),
	}, nil
}

// ParkedPositions returns where events of a parked key are noted. See [store.Parking].
func (s backend) ParkedPositions(
	ctx context.Context, id store.ParkedID, after int64, limit int,
) (all []int64, err error) {
	err = s.controlled(ctx, func(c *conn) error {
		return c.query(s.queries.parking.parkedPositions, func(r *row) error {
			all = append(all, r.int64(0))
			return nil
		}, id.Projection.Name, id.Projection.Number(), blob(id.Key), after, limit)
	})
	return all, err
}

// Skipped returns the events that were skipped. See [store.Parking].
func (s backend) Skipped(
	ctx context.Context, projection store.ProjectionID, after int64, limit int,
) (all []store.SkippedEvent, err error) {
	err = s.controlled(ctx, func(c *conn) error {
		return c.query(s.queries.parking.skipped, func(r *row) error {
			all = append(all, store.SkippedEvent{
				Key: blob(r.bytes(0)), Position: r.int64(1), Event: r.uuid(2), Error: r.text(3),
				SkippedAt: microsecond(r.int64(4)),
			})
			return nil
		}, projection.Name, projection.Number(), after, limit)
	})
	return all, err
}

// Order records what somebody wants of a parked key. See [store.Parking].
func (s backend) Order(ctx context.Context, id store.ParkedID, order store.ParkedAction) error {
	changed, err := s.controlledExec(ctx, s.queries.parking.order, id.Projection.Name, id.Projection.Number(),
		blob(id.Key), string(order))
	if err == nil && changed == 0 {
		return store.NotParked(id)
	}
	return err
}

// ClaimAlert returns a parked key of which nobody was told yet. See [store.Parking]. It locks no row but that of the
// key: who locks those that it finds, by their index, meets who deletes one of them the other way round.
func (s backend) ClaimAlert(
	ctx context.Context, projections []string, hold time.Duration,
) (*store.ParkedKey, error) {
	for {
		var untold []store.ParkedKey
		err := s.controlled(ctx, func(c *conn) error {
			return c.query(s.queries.parking.untold, func(r *row) error {
				key, err := r.parkedKey()
				untold = append(untold, key)
				return err
			}, projections)
		})
		if err != nil || len(untold) == 0 {
			return nil, err
		}
		for i := range untold {
			key := &untold[i]
			claimed, err := s.controlledExec(ctx, s.queries.parking.claimAlert, key.Projection.Name,
				key.Projection.Number(), key.Key, key.ParkedAt.UnixMicro(), hold.Microseconds())
			if err != nil {
				return nil, err
			}
			if claimed > 0 {
				return key, nil
			}
		}
	}
}

// SettleAlert notes what came of telling somebody. See [store.Parking].
func (s backend) SettleAlert(ctx context.Context, key *store.ParkedKey, alert store.Alert) error {
	_, err := s.controlledExec(ctx, s.queries.parking.settleAlert, key.Projection.Name, key.Projection.Number(), key.Key,
		key.ParkedAt.UnixMicro(), alert.Told, alert.Again.Microseconds())
	return err
}
