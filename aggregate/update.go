package aggregate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

// Between two attempts of Update.
const (
	pauseMin = 2 * time.Millisecond
	pauseMax = 250 * time.Millisecond
)

// Update loads an aggregate, has decide say what happens, and saves that. Where another writer came first it does all of
// it again, after a pause, up to AttemptsMax times. It returns the aggregate as it was saved. decide may be called several
// times: it must do nothing but read the state. Without events nothing is saved.
//
// # Errors
//
// That of decide, as it is; those of Load and Save. A [*store.VersionConflictError] is the last one after all attempts.
// [store.ErrTransient] is not tried again, since the events may have been saved: let the decision find out by the state
// whether it was taken already.
func (r *Repository[S]) Update(ctx context.Context, id string, decide func(state *S) ([]store.Event, error),
) (*Root[S], error) {
	pauses := backoff.Backoff{Min: pauseMin, Max: pauseMax}
	for attempt := 1; ; attempt++ {
		root, err := r.Load(ctx, id)
		if err != nil {
			return nil, err
		}
		events, err := decide(&root.State)
		if err != nil {
			return nil, err
		}
		err = r.Save(ctx, root, events...)
		switch {
		case err == nil:
			return root, nil
		case !cameSecond(err):
			return nil, err
		case attempt == r.options.AttemptsMax:
			return nil, fmt.Errorf("other writers came first %d times: %w", attempt, err)
		case !backoff.Sleep(ctx, pauses.Pause()):
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// cameSecond reports whether a save has failed because of another writer, and has saved nothing.
func cameSecond(err error) bool {
	var conflict *store.VersionConflictError
	return errors.As(err, &conflict) || store.IsConflict(err)
}
