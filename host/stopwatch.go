package host

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// stopwatch is the time that a guest has for a batch. It stands still while the database answers a query of the guest: a slow
// database is not the guest's fault.
type stopwatch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	end    time.Time
	left   time.Duration // while it stands still
}

// startStopwatch returns a context that is cancelled for context.DeadlineExceeded when the time is up.
func startStopwatch(ctx context.Context, limit time.Duration) (context.Context, *stopwatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stopwatch{ctx: ctx, cancel: cancel, end: clock.Now().Add(limit)}
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

// err tells why the call should end: context.DeadlineExceeded when the time is up, or what the caller's context has.
func (w *stopwatch) err() error {
	if w.ctx.Err() == nil {
		return nil
	}
	return context.Cause(w.ctx)
}

func (w *stopwatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
