package segments

import (
	"context"
	"errors"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

// logCheckEvery is the interval between two checks of the log.
const logCheckEvery = time.Minute

// checkLog checks, while the worker runs, that nobody has changed the log so that events may be lost. It logs
// each state once. It does not stop the projections: what they have read so far is right.
func (w *Worker) checkLog(ctx context.Context, every time.Duration) {
	told := ""
	for backoff.Sleep(ctx, every) {
		within, cancel := context.WithTimeout(ctx, w.options.Lease)
		err := w.source.CheckLog(within)
		cancel()
		var unsafe *store.UnsafeLogError
		switch {
		case errors.As(err, &unsafe):
			if told != err.Error() {
				told = err.Error()
				w.logger.Error().Err(err).Msg("log is not safe")
			}
		case err == nil && told != "":
			told = ""
			w.logger.Info().Msg("log is safe again")
		}
	}
}
