package store

import (
	"context"
	"time"
)

// Notifier is implemented by a [Log] that can notify a host of appends. Notifications are hints: the host polls the
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
	// A worker without a lease, that is one that has left, is not armed, and quiet is false. Leave disarms a worker
	// for good. One whose lease is elsewhere only disarms itself, or lets the time run out.
	Arm(ctx context.Context, listener Listener, d time.Duration) (quiet bool, err error)

	// Disarm takes Arm back. Without one it does nothing.
	Disarm(ctx context.Context, listener Listener) error
}

// Listener is a worker that waits for appends.
type Listener struct {
	Name string // of the worker, or one that no other listener of the log has
	// Elsewhere says that the worker's lease is in another database than the log.
	Elsewhere bool
}
