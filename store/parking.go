package store

import (
	"context"
	"fmt"
	"time"
)

// Parking keeps the events of one partition key back, because one of them failed, while those of the other keys
// go on. Later events of a parked key are noted, not copied. The worker that has the key's segment tries them
// again, in order of position, and the key is parked until all that were noted are applied.
//
// What is parked changes in the transaction that moves the checkpoint, so that every event up to a checkpoint is
// applied, noted or skipped, and never two of these.
type Parking interface {
	// Parked returns parked keys in order of projection and key. The caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Parked(ctx context.Context, request ParkedRequest) ([]ParkedKey, error)

	// ParkedPositions returns where events of a parked key are noted: the first limit positions above after, in
	// order. The caller owns the result.
	ParkedPositions(ctx context.Context, id ParkedID, after int64, limit int) ([]int64, error)

	// Skipped returns the events of a projection that were skipped, in order of position: the first limit above
	// after. The caller owns the result.
	Skipped(ctx context.Context, projection ProjectionID, after int64, limit int) ([]SkippedEvent, error)

	// Order has the worker that has the key's segment act on a parked key, as soon as it sees the order. While it
	// tries the key, that is after this try.
	//
	// # Errors
	//
	// [*InputError] when the key is not parked; [ErrTransient].
	Order(ctx context.Context, id ParkedID, order ParkedAction) error

	// ClaimAlert returns a parked key of one of the projections of which nobody was told yet, or nil when there is
	// none. Other workers do not get it while hold lasts; then it counts as not told.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	ClaimAlert(ctx context.Context, projections []string, hold time.Duration) (*ParkedKey, error)

	// SettleAlert notes that somebody was told of a key, or when to try again. It does nothing when the key is parked
	// no longer.
	SettleAlert(ctx context.Context, key *ParkedKey, alert Alert) error
}

// Alert is what came of telling somebody of a parked key.
type Alert struct {
	Told  bool
	Again time.Duration // until the next try, when it was not told
}

// ErrorPolicy says what becomes of an event that a projection fails at.
type ErrorPolicy string

const (
	// ErrorPark keeps back the event and all later ones of its key, and goes on with other keys. It is the
	// default for a projection whose events are divided by a key.
	ErrorPark ErrorPolicy = "park"
	// ErrorStop stops the segment. It is the default for a projection with [OrderGlobal], which has no keys.
	ErrorStop ErrorPolicy = "stop"
	// ErrorSkip leaves out the event, records that, and goes on.
	ErrorSkip ErrorPolicy = "skip"
)

// Validate reports what is wrong with the policy for a projection of this order. "" is the default.
func (p ErrorPolicy) Validate(order Ordering) error {
	switch {
	case p != "" && p != ErrorPark && p != ErrorStop && p != ErrorSkip:
		return fmt.Errorf("on_error %.20q must be %q, %q or %q", string(p), ErrorPark, ErrorStop, ErrorSkip)
	case p == ErrorPark && order == OrderGlobal:
		return fmt.Errorf("on_error %q has no meaning for all events in one order, which have no keys: use %q or %q",
			ErrorPark, ErrorStop, ErrorSkip)
	}
	return nil
}

// For returns what is done in a projection of this order, where the policy may be "" or one that was chosen for all
// projections: without keys nothing can be parked.
func (p ErrorPolicy) For(order Ordering) ErrorPolicy {
	switch {
	case p != "" && p != ErrorPark:
		return p
	case order == OrderGlobal:
		return ErrorStop
	}
	return ErrorPark
}

// ParkedAction is what somebody orders for a parked key.
type ParkedAction string

const (
	// ActionRetry tries the key's events again, from the one that failed.
	ActionRetry ParkedAction = "retry"
	// ActionSkip leaves out the event that failed, for good, and tries those behind it.
	ActionSkip ParkedAction = "skip"
)

// ParkedRequest asks for parked keys.
type ParkedRequest struct {
	Projection ProjectionID // no name for all, version 0 for every version
	Key        []byte       // nil for all
	Range      HashRange    // of the keys
	Code       string       // keys that were not tried with this code are due, see [ParkedKey]
	Due        bool         // only those that are due
	After      ParkedID     // only keys behind this one
	Limit      int          // 0 for all
}

// DueByTime reports that the request is for keys of one version that are due by their time or by an order. Drivers
// answer it by an index: it is asked every second.
func (r *ParkedRequest) DueByTime() bool {
	return r.Due && r.Code == "" && r.Key == nil && r.Projection.Name != "" && r.Projection.Version != 0
}

// ParkedID names a parked key.
type ParkedID struct {
	Projection ProjectionID
	Key        []byte
}

// ParkedKey is a key whose events are kept back.
type ParkedKey struct {
	ParkedID
	First    int64 // position of the event that failed: those of the key before it are applied
	Last     int64 // position of the last event that is noted
	Events   int64 // how many are noted, with the first one
	Event    UUID  // id of the one that failed
	Error    string
	Attempts int       // at the event that failed
	ParkedAt time.Time // since when the key is parked
	// NextAttempt is when it is tried again by itself; zero when that was tried often enough.
	NextAttempt time.Time
	Order       ParkedAction // what somebody wants of it; "" for nothing
	Orders      int64        // how many orders were given since it is parked
	// Tried are identities of the code that it was tried with while it was parked, [TriedMax] at most.
	Tried []string
	// Due reports that it is to be tried now: by its time, by an order, or because the code of the request is not
	// among those that it was tried with.
	Due bool
}

// ParkedFault says why a key is parked.
type ParkedFault struct {
	Position int64
	Event    UUID
	Error    string
	Attempts int // at this event, this one included
	// RetryAfter is when it is tried again by itself, from now; below 0 it is not.
	RetryAfter time.Duration
	Code       string // identifies the code that it was tried with, without blanks
}

// ParkedEvent is an event that a commit passes and notes.
type ParkedEvent struct {
	Key      []byte
	Position int64
}

// NewParked is a key to park. Its events are in [Commit.Noted], from the one that failed on.
type NewParked struct {
	Key   []byte
	Fault ParkedFault
}

// SkippedEvent is an event that is left out for good.
type SkippedEvent struct {
	Key       []byte
	Position  int64
	Event     UUID
	Error     string
	SkippedAt time.Time // set when read
}

// Retry is what one transaction does with events of a parked key.
type Retry struct {
	Key []byte
	// Through is the position up to which the noted events of the key are applied with Steps, or skipped.
	Through int64
	Steps   []Step
	Log     LogID          // that the events were read from
	Skipped []SkippedEvent // of the events up to Through
	// Messages of the events that are applied, in order of position and index: see [Outbox].
	Messages []Message
	// Orders is that of the [ParkedKey] when the retry began. An order that was given since then stays, but one to
	// skip an event that did not fail after all.
	Orders int64
	// Fault says that the event behind Through has failed. Otherwise the key is parked no longer when no noted
	// event is left.
	Fault *ParkedFault
	// Explain is that of [Commit].
	Explain bool
}

// TriedMax is how many identities of code are remembered for a parked key.
const TriedMax = 16
