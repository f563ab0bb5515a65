package store

import (
	"context"
	"fmt"
	"slices"
)

// Expected is what an append expects of the stream's last version. The zero value is [Any].
type Expected struct {
	kind    int8
	version int64
}

const (
	expectAny = iota
	expectNoStream
	expectExact
)

// Any expects nothing.
func Any() Expected { return Expected{} }

// NoStream expects that the stream has no event yet.
func NoStream() Expected { return Expected{kind: expectNoStream} }

// Exact expects that the stream's last version is n; Exact(0) is NoStream.
func Exact(n int64) Expected {
	if n == 0 {
		return NoStream()
	}
	return Expected{kind: expectExact, version: n}
}

// Code is the form that crosses to SQL: -1 for Any, otherwise the version that the stream must have.
func (e Expected) Code() int64 {
	switch e.kind {
	case expectNoStream:
		return 0
	case expectExact:
		return e.version
	default:
		return -1
	}
}

// ExpectedFromCode is the reverse of [Expected.Code].
func ExpectedFromCode(code int64) Expected {
	if code < 0 {
		return Any()
	}
	return Exact(code)
}

// String returns "any version", "no stream" or "version n".
func (e Expected) String() string {
	switch e.kind {
	case expectNoStream:
		return "no stream"
	case expectExact:
		return fmt.Sprintf("version %d", e.version)
	default:
		return "any version"
	}
}

// StreamAppend is what to append to one stream. Without events it is a condition only: the stream stays as it is,
// and must have the expected version.
type StreamAppend struct {
	Stream   Stream
	Expected Expected
	Events   []Event
}

// AppendOptions changes how an append treats what is already there.
type AppendOptions struct {
	// SkipDuplicates leaves out events whose id is stored already, before versions are checked, so that an interrupted
	// import can be repeated. Defaults to false: a stored id is a [*DuplicateEventError].
	SkipDuplicates bool
}

// Appended is what became of one event, in the order in which the events were given.
type Appended struct {
	ID               UUID
	Position         int64 // 0 when skipped
	AggregateVersion int64 // 0 when skipped
}

// Skipped tells that the event was there already.
func (a Appended) Skipped() bool { return a.Position == 0 }

// Appender adds events.
type Appender interface {
	// Append adds the events of all streams in one transaction and one round trip, or none of them. A stream may be
	// named more than once; within a stream the order of the call is the order of the versions. The result has one
	// entry an event, flattened in order, and belongs to the caller.
	//
	// # Errors
	//
	// [*VersionConflictError], [VersionConflicts] where there are several, [*DuplicateEventError], [*InputError],
	// [ErrNotMigrated], or [ErrTransient]. Versions that a conflict tells count the events before it in the call.
	Append(ctx context.Context, options AppendOptions, appends ...StreamAppend) ([]Appended, error)
}

// BulkAppender adds many events, for loads and imports.
type BulkAppender interface {
	// AppendBulk does what [Appender] promises of Append, but for the one round trip: on PostgreSQL the events
	// travel by COPY, in three. It is worth it from some hundred events on; fewer go by Append.
	AppendBulk(ctx context.Context, options AppendOptions, appends ...StreamAppend) ([]Appended, error)
}

// HasConditions tells whether one of the appends has no events and expects a version.
func HasConditions(appends []StreamAppend) bool {
	return slices.ContainsFunc(appends, func(a StreamAppend) bool { return a.IsCondition() })
}

// IsCondition tells whether there are no events, and a version is expected.
func (a *StreamAppend) IsCondition() bool { return len(a.Events) == 0 && a.Expected != Any() }

// ValidateAppends checks every stream and event before anything is sent, and returns the number of events.
func ValidateAppends(appends []StreamAppend, payloadBytesMax int) (int, error) {
	count := 0
	for i := range appends {
		if err := appends[i].Stream.Validate(); err != nil {
			return 0, err
		}
		for j := range appends[i].Events {
			if err := appends[i].Events[j].Validate(payloadBytesMax); err != nil {
				return 0, fmt.Errorf("event %d of stream %s: %w", j+1, appends[i].Stream, err)
			}
		}
		count += len(appends[i].Events)
	}
	return count, nil
}
