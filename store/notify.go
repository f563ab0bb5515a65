package store

import (
	"context"
	"time"
)

// Notifier is what a store offers beside [Store] when it can wake a host that waits for events. It is a hint and
// nothing more: whoever uses it looks at the horizon now and then all the same.
//
// No wake-up is lost to a host that keeps the order: Listen is under way, Arm, a look at the horizon, and then the
// wait.
type Notifier interface {
	// Listen calls wake once when it is proven that notifications arrive, and then for each, until ctx ends or the
	// connection is lost. It has a connection of its own, and goes on proving while nothing comes.
	//
	// # Errors
	//
	// Always one: ctx's, or why notifications do not arrive or no longer.
	Listen(ctx context.Context, wake func()) error

	// Arm announces for the time d that the worker waits for a notification: appends that begin after the
	// announcement notify. quiet tells that none was under way which began before it and may commit without a
	// word; when it is false, the announcement holds all the same, but the caller must not rely on it. Before it
	// runs out, Arm extends it without a gap. For a worker without a lease it announces nothing, and is not quiet:
	// Leave takes every announcement of a worker back, for good.
	Arm(ctx context.Context, worker string, d time.Duration) (quiet bool, err error)

	// Disarm takes Arm back. Without one it does nothing.
	Disarm(ctx context.Context, worker string) error
}
