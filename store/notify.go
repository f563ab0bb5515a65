package store

import (
	"context"
	"time"
)

// Notifier is implemented by a [Store] that can notify a host of appends. Notifications are hints: the host polls the
// horizon now and then all the same.
//
// A host loses no notification if it keeps this order: Listen is running, Arm, poll the horizon, wait.
type Notifier interface {
	// Listen calls wake once when it has proven that notifications arrive, and then for each notification, until
	// ctx ends or the connection is lost. It uses a connection of its own, and repeats the proof while nothing
	// arrives.
	//
	// # Errors
	//
	// Always one: ctx's, or why notifications do not arrive or no longer arrive.
	Listen(ctx context.Context, wake func()) error

	// Arm makes appends notify for the time d, because the worker waits. Appends that begin after the call notify.
	// quiet reports that no append was in flight that might commit without notifying. When it is false the
	// listener is armed all the same, but the caller must not rely on it. Another Arm before the time runs out
	// extends it without a gap.
	//
	// For a worker without a lease Arm does nothing, and quiet is false. Leave disarms a worker for good.
	Arm(ctx context.Context, worker string, d time.Duration) (quiet bool, err error)

	// Disarm takes Arm back. Without one it does nothing.
	Disarm(ctx context.Context, worker string) error
}
