package backoff

import (
	"context"
	"time"
)

// Grace returns a context that ends some time after its parent, or when the result is called.
func Grace(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stopWaiting := context.AfterFunc(parent, func() {
		if Sleep(ctx, grace) {
			cancel()
		}
	})
	return ctx, func() {
		stopWaiting()
		cancel()
	}
}
