package segments

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// reshard completes merges, and divides the projection again when all workers that ask for a number of segments
// ask for the same one and it is not the stored one. While they disagree, as they do in the middle of a rolling
// deploy, the stored layout stays, and the log says so once.
func (r *runner) reshard(ctx context.Context, status *store.ProjectionStatus, workers []store.Worker) error {
	if held, err := r.endHold(ctx, status); held || err != nil {
		return err
	}
	if status.Layout().CompleteMerges() {
		return r.change(ctx, "merges completed", func(l *store.Layout) error {
			l.CompleteMerges()
			return nil
		})
	}
	wanted := r.options.Segments
	if wanted == 0 || wanted == status.Desired || r.program.Projection().Order == store.OrderGlobal {
		r.disagreement = ""
		return nil
	}
	if others := opinions(workers, status.ProjectionID, wanted); len(others) > 0 {
		r.disagree(status, fmt.Sprintf("other workers want %v", others))
		return nil
	}
	if clock.Now().Before(r.desiredRetry) {
		return nil
	}
	return r.change(ctx, fmt.Sprintf("divided into %d segments", wanted), func(l *store.Layout) error {
		if l.Desired == wanted { // another worker came first
			return nil
		}
		return l.Resize(wanted)
	})
}

// change changes the layout. A change that is not possible now is logged once and tried again later.
func (r *runner) change(ctx context.Context, what string, change func(*store.Layout) error) error {
	var before, after store.Layout
	err := r.worker.tables.Reshard(ctx, r.id, func(l *store.Layout) error {
		before = *l.Clone()
		err := change(l)
		after = *l.Clone()
		return err
	})
	var impossible *store.InputError
	switch {
	case errors.As(err, &impossible):
		if r.disagreement != err.Error() {
			r.disagreement = err.Error()
			r.logger.Info().Err(err).Msg("the stored layout stays for now")
		}
		r.desiredRetry = clock.Now().Add(retryInterval)
		return nil
	case err != nil:
		return err
	}
	if !slices.Equal(before.Segments, after.Segments) {
		r.logger.Info().Int("before", len(before.Segments)).Int("now", len(after.Segments)).Msg("segments: " + what)
	}
	r.outdate()
	return nil
}

// disagree says once that the stored layout is kept.
func (r *runner) disagree(status *store.ProjectionStatus, why string) {
	if r.disagreement == why {
		return
	}
	r.disagreement = why
	r.logger.Warn().Int("wanted", r.options.Segments).Int("stored", len(status.Segments)).Str("because", why).
		Msg("the stored layout stays until all workers want the same number of segments")
}

// opinions are the numbers of segments, other than wanted, that workers want which run the projection.
func opinions(workers []store.Worker, projection store.ProjectionID, wanted int) []int {
	var others []int
	for i := range workers {
		asks := workers[i].Asks(projection)
		if asks != 0 && asks != wanted && !slices.Contains(others, asks) {
			others = append(others, asks)
		}
	}
	slices.Sort(others)
	return others
}
