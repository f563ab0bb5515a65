package segments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// meetTries is how often two versions are found apart before they are held: where few events come, they meet by
	// themselves.
	meetTries = 8
	meetPause = 25 * time.Millisecond
	// apartMax is how far apart two versions may be that are held until they meet.
	apartMax = 10_000
	// holdMax is how long a worker leaves a projection held whose comparison has not ended by itself.
	holdMax = 30 * time.Second
)

// Compare compares the rows of two versions of a projection while both stand at one position: see
// [store.Versions].Compare. Where events come so fast that they do not meet by themselves, both are held at a position
// for a moment, a second or two, until they stand there: what they apply is late by that.
//
// # Errors
//
// Those of the store. [*store.ApartError] when one is far behind the other, or ctx ends before they meet;
// [*store.InputError] when a segment is being merged or has failed.
func Compare(
	ctx context.Context, tables store.Tables, projection string, a, b, examples int,
) (*store.Comparison, error) {
	compare := func() (*store.Comparison, error) { return tables.Compare(ctx, projection, a, b, examples) }
	var apart *store.ApartError
	for range meetTries {
		comparison, err := compare()
		if !errors.As(err, &apart) || apart.Positions > apartMax {
			return comparison, err
		}
		if !backoff.Sleep(ctx, meetPause) {
			return nil, apart
		}
	}
	ids := [2]store.ProjectionID{{Name: projection, Version: a}, {Name: projection, Version: b}}
	defer release(context.WithoutCancel(ctx), tables, ids)
	if err := hold(ctx, tables, ids); err != nil {
		return nil, err
	}
	for {
		comparison, err := compare()
		if !errors.As(err, &apart) || !backoff.Sleep(ctx, meetPause) {
			return comparison, err
		}
	}
}

// hold has both versions stop at one position, which neither has passed.
func hold(ctx context.Context, tables store.Tables, ids [2]store.ProjectionID) error {
	var at int64
	for _, id := range []store.ProjectionID{ids[0], ids[1], ids[0]} { // the second may be further by now
		err := tables.Reshard(ctx, id, func(l *store.Layout) (err error) {
			at, err = l.Hold(at)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// release lets both go on. Where it does not get through, workers do it after holdMax.
func release(ctx context.Context, tables store.Tables, ids [2]store.ProjectionID) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for _, id := range ids {
		_ = tables.Reshard(ctx, id, func(l *store.Layout) error {
			l.Release()
			return nil
		})
	}
}

// endHold ends a hold that nobody has ended in time. It reports whether the projection is held still.
func (r *runner) endHold(ctx context.Context, status *store.ProjectionStatus) (held bool, err error) {
	if !slices.ContainsFunc(status.Segments, func(s store.SegmentStatus) bool { return s.Merge.Held() }) {
		r.heldSince = time.Time{}
		return false, nil
	}
	now := clock.Now()
	if r.heldSince.IsZero() {
		r.heldSince = now
	}
	if now.Sub(r.heldSince) < r.worker.holdMax {
		return false, nil // segments that have not arrived go on
	}
	r.heldSince = time.Time{}
	return true, r.change(ctx, "no longer held", func(l *store.Layout) error {
		l.Release()
		return nil
	})
}
