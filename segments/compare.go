package segments

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// meetTries is how often two versions are found apart before they are held: where few events come, they meet by
	// themselves.
	meetTries = 8
	meetPause = 25 * time.Millisecond
	// heldTries is how often they are looked at while they are held, which takes workers a second or two.
	heldTries = 160
	// apartMax is how far apart two versions may be that are held until they meet.
	apartMax = 10_000
	// holdMax is how long a worker leaves a projection held whose comparison has not ended by itself.
	holdMax = 30 * time.Second
)

// Compare compares the rows of two versions of a projection while both stand at one position: see
// [store.Versions].Compare. Where events come so fast that they do not meet by themselves, both are held at a position
// until they stand there, for four seconds at most: what they apply is late by that. They are not held when one of them
// is paused or no worker runs it.
//
// # Errors
//
// Those of the store. [*store.ApartError] when the versions do not meet; [*store.InputError] when a segment is being
// merged or has failed.
func Compare(
	ctx context.Context, tables store.Tables, a, b store.ProjectionID, examples int,
) (*store.Comparison, error) {
	c := &comparing{
		tables: tables, projection: a.Name, examples: examples, ids: [2]store.ProjectionID{a, b},
	}
	comparison, err := c.tryAll(ctx, meetTries, func() {})
	var apart *store.ApartError
	if !errors.As(err, &apart) || apart.Positions > apartMax {
		return comparison, err
	}
	if moving, look := c.moving(ctx); look != nil || !moving {
		return nil, cmp.Or(look, err)
	}
	var once sync.Once
	end := func() { once.Do(func() { release(context.WithoutCancel(ctx), tables, c.ids) }) }
	defer end()
	if err := hold(ctx, tables, c.ids); err != nil {
		return nil, err
	}
	return c.tryAll(ctx, heldTries, end)
}

// comparing is one comparison.
type comparing struct {
	tables     store.Tables
	projection string
	ids        [2]store.ProjectionID
	examples   int
}

// tryAll compares until both versions stand at one position, so many times. met is called once they are seen there.
func (c *comparing) tryAll(ctx context.Context, tries int, met func()) (*store.Comparison, error) {
	for {
		comparison, err := c.tables.Compare(ctx, c.ids[0], c.ids[1], c.examples, met)
		var apart *store.ApartError
		if tries--; !errors.As(err, &apart) || tries < 1 || !backoff.Sleep(ctx, meetPause) {
			return comparison, err
		}
	}
}

// moving reports that both versions will come to a position where they are held: workers run them, and they are not
// paused.
func (c *comparing) moving(ctx context.Context) (bool, error) {
	all, err := c.tables.Status(ctx, c.projection)
	if err != nil {
		return false, err
	}
	workers, err := c.tables.Workers(ctx)
	if err != nil {
		return false, err
	}
	for _, id := range c.ids {
		if !slices.ContainsFunc(workers, func(w store.Worker) bool { return w.Runs(id) }) {
			return false, nil
		}
	}
	return !slices.ContainsFunc(all, func(p store.ProjectionStatus) bool { return p.Paused() }), nil
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
