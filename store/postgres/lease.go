package postgres

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// Join registers a process that starts. See [store.Leases].
func (s backend) Join(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.control.Exec(ctx, s.queries.join, describeWorker(worker, ttl)...)
	return translate(err)
}

// Heartbeat registers or renews a worker. See [store.Leases].
func (s backend) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, s.queries.heartbeat, describeWorker(worker, ttl)...)
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNameTaken
	}
	return translate(err)
}

// describeWorker returns the parameters of join and heartbeat.
func describeWorker(worker store.Worker, ttl time.Duration) []any {
	// Texts and numbers never fail.
	projections, _ := json.Marshal(append([]store.Membership{}, worker.Projections...))
	refused, _ := json.Marshal(append([]store.Refusal{}, worker.Refused...))
	troubles, _ := json.Marshal(append([]store.Trouble{}, worker.Troubles...))
	return []any{
		worker.Name, ttl, string(projections), worker.Segments, string(refused),
		worker.Incarnation, string(troubles),
	}
}

// Workers returns the workers that are alive. See [store.Leases].
func (s backend) Workers(ctx context.Context) ([]store.Worker, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.control.Query(ctx, s.queries.workers)
	if err != nil {
		return nil, translate(err)
	}
	workers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Worker, error) {
		var w store.Worker
		err := row.Scan(&w.Name, &w.Projections, &w.Segments, &w.Refused, &w.Incarnation, &w.Troubles)
		return w, err
	})
	return workers, translate(err)
}

// Claim gives free segments to the worker. See [store.Leases].
func (s backend) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	held := request.Held
	if held == nil {
		held = []int{} // an array without elements; NULL would exclude everything
	}
	rows, err := s.control.Query(ctx, s.queries.claim, request.Projection.Name, request.Worker, held, request.Limit,
		request.Projection.Number(), request.Below, request.Incarnation)
	if err != nil {
		return nil, translate(err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Claim, error) {
		claim := store.Claim{Projection: request.Projection, Worker: request.Worker}
		err := row.Scan(append([]any{
			&claim.Segment, &claim.Range.First, &claim.Range.Last, &claim.Position,
			&claim.MergeAt, &claim.Epoch,
		},
			scanApplied(&claim.Applied)...)...)
		return claim, err
	})
	if err != nil {
		return nil, translate(err)
	}
	sort.Slice(claims, func(i, j int) bool { return claims[i].Segment < claims[j].Segment })
	return claims, nil
}

// Release gives a segment up. See [store.Leases].
func (s backend) Release(ctx context.Context, claim store.Claim) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.control.Exec(ctx, s.queries.release, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch)
	return translate(err)
}

// Fail records why a segment cannot go on. See [store.Leases].
func (s backend) Fail(ctx context.Context, claim store.Claim, reason string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, s.queries.fail, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch, reason)
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrFenced
	}
	return translate(err)
}

// Leave releases everything that the worker owns. See [store.Leases].
func (s backend) Leave(ctx context.Context, worker store.Worker) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := s.control.Exec(ctx, s.queries.leave, worker.Name, worker.Incarnation); err != nil {
		return translate(err)
	}
	_, err := s.control.Exec(ctx, s.queries.disarmGone, worker.Name)
	return translate(err)
}
