package segments

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// promoteMin and promoteMax are between two tries of a promotion.
	promoteMin = 10 * time.Millisecond
	promoteMax = time.Second
)

// Promote makes a version of a projection the one that readers see: see [store.Versions]. It tries again until ctx ends
// while the version is behind the live one or lacks indexes, or readers keep the views.
//
// # Errors
//
// Those of the store. After the end of ctx it is why the last try failed: a [*store.BehindError], a
// [*store.UnbuiltError], or an error that is [store.ErrTransient].
func Promote(ctx context.Context, tables store.Tables, projection store.ProjectionID) (store.Promotion, error) {
	return exchange(ctx, func() (store.Promotion, error) { return tables.Promote(ctx, projection) })
}

// Rollback makes readers see the version again that the live one has replaced, as [Promote] does.
//
// # Errors
//
// Those of [Promote].
func Rollback(ctx context.Context, tables store.Tables, projection string) (store.Promotion, error) {
	return exchange(ctx, func() (store.Promotion, error) { return tables.Rollback(ctx, projection) })
}

func exchange(ctx context.Context, try func() (store.Promotion, error)) (store.Promotion, error) {
	var last error
	for pause := promoteMin; ; pause = min(2*pause, promoteMax) {
		promotion, err := try()
		var behind *store.BehindError
		var unbuilt *store.UnbuiltError
		switch {
		case err == nil:
			return promotion, nil
		case ctx.Err() != nil:
			return store.Promotion{}, cmp.Or(last, err)
		case !errors.As(err, &behind) && !errors.As(err, &unbuilt) && !errors.Is(err, store.ErrTransient):
			return store.Promotion{}, err
		}
		if last = err; !backoff.Sleep(ctx, pause) {
			return store.Promotion{}, last
		}
	}
}
