package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// Reshard changes a projection's layout. See [store.Projections].
func (s backend) Reshard(ctx context.Context, projection store.ProjectionID, change func(*store.Layout) error) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection.Name); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		stored := layoutOf{tx: tx, queries: &s.queries, projection: projection}
		before, err := stored.read(ctx)
		if err != nil {
			return err
		}
		after := before.Clone()
		if err := change(after); err != nil {
			return err
		}
		return stored.write(ctx, before, after)
	})
	return translate(err)
}

// layoutOf is the stored layout of a projection, within a transaction that has locked the projection.
type layoutOf struct {
	tx         pgx.Tx
	queries    *queries
	projection store.ProjectionID
}

// read returns the layout and keeps commits waiting until the transaction ends.
func (l layoutOf) read(ctx context.Context) (*store.Layout, error) {
	layout := &store.Layout{}
	err := l.tx.QueryRow(ctx, l.queries.layout, l.projection.Name, l.projection.Number()).
		Scan(&layout.Single, &layout.Desired, &layout.Next)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, store.UnknownProjection(l.projection.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	if _, err := l.tx.Exec(ctx, l.queries.lockTimeout); err != nil {
		return nil, fmt.Errorf("bounding the wait for commits: %w", err)
	}
	return layout, l.readSegments(ctx, l.queries.segments, layout)
}

// tryLock keeps commits waiting until the transaction ends, as far as it gets the locks at once.
func (l layoutOf) tryLock(ctx context.Context) error {
	if err := waitForCommits(ctx, l.tx); err != nil {
		return err
	}
	return l.readSegments(ctx, l.queries.segments, &store.Layout{})
}

// waitForCommits bounds the waits for locks of commits that may wait for the transaction.
func waitForCommits(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('lock_timeout', $1, true)", commitWaitMax.String())
	if err != nil {
		return fmt.Errorf("bounding the wait for commits: %w", err)
	}
	return nil
}

// look returns the segments as they are at the moment. Commits go on.
func (l layoutOf) look(ctx context.Context) (*store.Layout, error) {
	layout := &store.Layout{}
	return layout, l.readSegments(ctx, l.queries.positions, layout)
}

func (l layoutOf) readSegments(ctx context.Context, query string, layout *store.Layout) error {
	rows, err := l.tx.Query(ctx, query, l.projection.Name, l.projection.Number())
	if err != nil {
		return fmt.Errorf("reading the segments: %w", err)
	}
	layout.Segments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.LayoutSegment, error) {
		var p store.LayoutSegment
		err := row.Scan(append([]any{
			&p.Segment, &p.Range.First, &p.Range.Last, &p.Position, &p.Failure, &p.Merge.Into,
			&p.Merge.At,
		},
			scanApplied(&p.Applied)...)...)
		return p, err
	})
	if err != nil {
		return fmt.Errorf("reading the segments: %w", err)
	}
	layout.Sort()
	return nil
}

// write stores what differs.
func (l layoutOf) write(ctx context.Context, before, after *store.Layout) error {
	id := l.projection
	changed, added, removed := after.Changes(before)
	for _, segment := range removed {
		if _, err := l.tx.Exec(ctx, l.queries.deleteSegment, id.Name, id.Number(), segment); err != nil {
			return fmt.Errorf("removing segment %d: %w", segment, err)
		}
	}
	for _, p := range changed {
		if _, err := l.tx.Exec(ctx, l.queries.alterSegment, id.Name, id.Number(), p.Segment,
			int64(p.Range.First), int64(p.Range.Last),
			p.Failure, p.Merge.Into, p.Merge.At, p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position,
			p.Applied.Event); err != nil {
			return fmt.Errorf("changing segment %d: %w", p.Segment, err)
		}
	}
	for _, p := range added {
		if _, err := l.tx.Exec(ctx, l.queries.insertSegment, id.Name, id.Number(), p.Segment,
			int64(p.Range.First), int64(p.Range.Last),
			p.Position, p.Failure, p.Merge.Into, p.Merge.At,
			p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position, p.Applied.Event); err != nil {
			return fmt.Errorf("creating segment %d: %w", p.Segment, err)
		}
	}
	if before.Desired == after.Desired && before.Next == after.Next {
		return nil
	}
	if _, err := l.tx.Exec(ctx, l.queries.asked, id.Name, id.Number(), after.Desired, after.Next); err != nil {
		return fmt.Errorf("recording the number of segments: %w", err)
	}
	return nil
}
