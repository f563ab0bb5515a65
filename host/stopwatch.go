package host

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// stopwatch is the time that a guest has for a batch. It stands still while the database answers a query of the guest: a slow
// database is not the guest's fault.
type stopwatch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	end    time.Time
	left   time.Duration // while it stands still
}

// startStopwatch returns a context that is cancelled for context.DeadlineExceeded when the time is up.
func startStopwatch(ctx context.Context, limit time.Duration) (context.Context, *stopwatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stopwatch{cancel: cancel, end: clock.Now().Add(limit)}
	w.timer = time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, w
}

func (w *stopwatch) pause() {
	w.timer.Stop()
	w.left = max(w.end.Sub(clock.Now()), 0)
}

func (w *stopwatch) resume() {
	w.end = clock.Now().Add(w.left)
	w.timer.Reset(w.left)
}

// expired looks at the clock itself: the timer does not run while the collector waits for a guest.
func (w *stopwatch) expired() bool { return clock.Now().After(w.end) }

func (w *stopwatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
