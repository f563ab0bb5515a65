package host

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// deadline is the time limit of a guest for a batch. It pauses while the database answers a query of the
// guest: a slow database is not the guest's fault.
type deadline struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	end    time.Time
	left   time.Duration // while it is paused
}

// startDeadline returns a context that is cancelled for context.DeadlineExceeded when the time is up.
func startDeadline(ctx context.Context, limit time.Duration) (context.Context, *deadline) {
	ctx, cancel := context.WithCancelCause(ctx)
	d := &deadline{ctx: ctx, cancel: cancel, end: clock.Now().Add(limit)}
	d.timer = time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, d
}

func (d *deadline) pause() {
	d.timer.Stop()
	d.left = max(d.end.Sub(clock.Now()), 0)
}

func (d *deadline) resume() {
	d.end = clock.Now().Add(d.left)
	d.timer.Reset(d.left)
}

// err returns why the call should end: context.DeadlineExceeded when the time is up, or the cause of the
// caller's context.
func (d *deadline) err() error {
	if d.ctx.Err() == nil {
		return nil
	}
	return context.Cause(d.ctx)
}

func (d *deadline) stop() {
	d.timer.Stop()
	d.cancel(nil)
}
