package store

import (
	"context"
	"fmt"
)

// SnapshotBytesMax is the limit on the state of a snapshot: 16 MiB.
const SnapshotBytesMax = 16 << 20

// Snapshot is the state of an aggregate after an event of its stream.
type Snapshot struct {
	Stream           Stream
	AggregateVersion int64 // of the last event that the state has, from 1
	EventID          UUID  // of that event
	// SchemaVersion is that of the state, which the application counts. A state with another one cannot be read.
	SchemaVersion int32
	// State is any bytes up to [SnapshotBytesMax]. The store does not keep the slice.
	State []byte
	// Position is that of the event. LoadSnapshot fills it in, SaveSnapshot ignores it.
	Position int64
}

// Validate reports the first field that cannot be stored, as an [*InputError].
func (s *Snapshot) Validate() error {
	switch {
	case s.AggregateVersion < 1:
		return &InputError{Field: "aggregate_version", Reason: "of a snapshot must be 1 or more"}
	case s.EventID == UUID{}:
		return &InputError{Field: "event_id", Reason: "of a snapshot is required"}
	case len(s.State) > SnapshotBytesMax:
		return &InputError{Field: "state", Reason: fmt.Sprintf("of a snapshot has %d bytes, the limit is %d",
			len(s.State), SnapshotBytesMax)}
	}
	return s.Stream.Validate()
}

// Streams are the streams of a log as package aggregate uses them: events in, events out, and snapshots beside them. A
// store has them, each call in a transaction of its own. They are safe for concurrent use then.
//
// A snapshot is a cache. A stream has one at most, and it counts only while the log has its event, with its version, in
// its stream.
type Streams interface {
	Appender

	// ReadStreamAfter calls each with the events of a stream whose version is above after, in their order. It reads in
	// one statement and keeps one event at a time, however long the stream is. The event belongs to each. A stream
	// without events is no error. each must not use the store: it holds a connection.
	//
	// # Errors
	//
	// That of each, as it is; [*InputError], [ErrTransient], [ErrNotMigrated].
	ReadStreamAfter(ctx context.Context, stream Stream, after int64, each func(*RecordedEvent) error) error

	// LoadSnapshot returns the snapshot of a stream, or nil where there is none that counts: of another schema
	// version, or of an event that the log does not have. The caller owns the result.
	//
	// # Errors
	//
	// [*InputError], [ErrTransient], [ErrNotMigrated].
	LoadSnapshot(ctx context.Context, stream Stream, schemaVersion int32) (*Snapshot, error)

	// SaveSnapshot keeps a snapshot, and reports whether it did: not when the log does not have its event, nor when
	// the stream has one that counts and that is newer, or as new with the same schema version. Within a
	// transaction of the caller, nothing of the call remains after an error, and the transaction goes on.
	//
	// # Errors
	//
	// [*InputError], [ErrTransient], [ErrNotMigrated].
	SaveSnapshot(ctx context.Context, snapshot Snapshot) (bool, error)
}

// StreamsTx are streams within one transaction of the caller, who ends it. They see what the transaction has appended,
// and are used by one goroutine, as the transaction is. Drivers make them.
type StreamsTx struct{ Streams }
