package store

import (
	"context"
	"fmt"
)

// Expected is the version that an append expects the stream to have. The zero value is [Any].
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

// StreamAppend is what to append to one stream. Without events it is a condition: the stream must have the expected
// version, and stays as it is.
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

// Appended is the result for one event. Results are in the order in which the events were given.
type Appended struct {
	ID               UUID
	Position         int64 // 0 when skipped
	AggregateVersion int64 // 0 when skipped
}

// Skipped reports whether the event was stored already.
func (a Appended) Skipped() bool { return a.Position == 0 }

// Appender adds events.
type Appender interface {
	// Append adds the events of all streams in one transaction, or none of them. It takes one round trip, and two on
	// MariaDB where there are several streams. A stream may be named more than once; within a stream the order of the
	// call is the order of the versions. The result has one entry an event, flattened in order, and belongs to the
	// caller.
	//
	// # Errors
	//
	// [*VersionConflictError], [VersionConflicts] where there are several, [*DuplicateEventError], [*InputError],
	// [ErrNotMigrated], or [ErrTransient]. The version in a conflict counts the events before it in the call.
	Append(ctx context.Context, options AppendOptions, appends ...StreamAppend) ([]Appended, error)
}

// BulkAppender adds many events, for loads and imports.
type BulkAppender interface {
	// AppendBulk is [Appender.Append] for many events. On PostgreSQL it sends them by COPY, which takes three
	// round trips and pays from some hundred events on.
	AppendBulk(ctx context.Context, options AppendOptions, appends ...StreamAppend) ([]Appended, error)
}

// IsCondition reports whether there are no events, and a version is expected.
func (a StreamAppend) IsCondition() bool { return len(a.Events) == 0 && a.Expected != Any() }

// ValidateAppends checks every stream and event before anything is sent, and returns the number of events. empty says
// that there is nothing to send: no event, and no condition.
func ValidateAppends(appends []StreamAppend, payloadBytesMax int) (count int, empty bool, err error) {
	empty = true
	for i := range appends {
		if err := appends[i].Stream.Validate(); err != nil {
			return 0, false, err
		}
		for j := range appends[i].Events {
			if err := appends[i].Events[j].Validate(payloadBytesMax); err != nil {
				return 0, false, fmt.Errorf("event %d of stream %s: %w", j+1, appends[i].Stream, err)
			}
		}
		count += len(appends[i].Events)
		empty = empty && len(appends[i].Events) == 0 && !appends[i].IsCondition()
	}
	return count, empty, nil
}
