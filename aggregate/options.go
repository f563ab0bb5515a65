package aggregate

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/pupwasm/pupwasm/store"
)

// Options says what the aggregates of a [Repository] are. S is their state.
type Options[S any] struct {
	// Context is the bounded context of the streams. It is required.
	Context string
	// Type is the aggregate type of the streams. It is required.
	Type string
	// Apply changes the state by an event. It is required. The same events must give the same state at any time and on
	// any machine: it has no other input, and may keep what the event has. An event that is being saved has no Position
	// yet. An error refuses the event: it is not saved, and a stream that has it is not loaded.
	Apply func(state *S, event store.RecordedEvent) error

	// SnapshotEvery is after how many events of a stream a save keeps a snapshot. Defaults to 50; below 0 snapshots are
	// neither kept nor read.
	SnapshotEvery int
	// SnapshotVersion is that of Apply and of S. Count it up when the same events give another state, or when S can no
	// longer be decoded: snapshots of other versions are ignored. Defaults to 1.
	SnapshotVersion int32
	// SnapshotBytesMax is the size in bytes up to which a snapshot is kept. Defaults to 1 MiB; 16 MiB at most.
	SnapshotBytesMax int
	// Encode makes bytes of a state. Defaults to encoding/json, for which [New] refuses an S with fields that JSON would
	// leave out.
	Encode func(state *S) ([]byte, error)
	// Decode is the reverse of Encode, into a zero S. Set both or neither.
	Decode func(data []byte, state *S) error

	// AttemptsMax is how often Update tries while other writers come first. Defaults to 20.
	AttemptsMax int
	// Logger is told of snapshots that cannot be kept or decoded. Defaults to [slog.Default].
	Logger *slog.Logger
}

// What zero values of options mean.
const (
	defaultSnapshotEvery    = 50
	defaultSnapshotVersion  = 1
	defaultSnapshotBytesMax = 1 << 20
	defaultAttemptsMax      = 20
)

func (o *Options[S]) withDefaults() {
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	if o.SnapshotVersion == 0 {
		o.SnapshotVersion = defaultSnapshotVersion
	}
	if o.SnapshotBytesMax == 0 {
		o.SnapshotBytesMax = defaultSnapshotBytesMax
	}
	if o.AttemptsMax == 0 {
		o.AttemptsMax = defaultAttemptsMax
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// validate checks the options before defaults are filled in for Encode and Decode.
func (o *Options[S]) validate() error {
	// The id is that of every stream.
	if err := (store.Stream{BoundedContext: o.Context, AggregateType: o.Type, AggregateID: "id"}).Validate(); err != nil {
		return fmt.Errorf("options Context and Type: %w", err)
	}
	switch {
	case o.Apply == nil:
		return errors.New("option Apply is required")
	case o.SnapshotVersion < 0:
		return fmt.Errorf("option SnapshotVersion must be 1 or more, it is %d", o.SnapshotVersion)
	case o.SnapshotBytesMax < 0 || o.SnapshotBytesMax > store.SnapshotBytesMax:
		return fmt.Errorf("option SnapshotBytesMax must be between 1 and %d, it is %d", store.SnapshotBytesMax,
			o.SnapshotBytesMax)
	case (o.Encode == nil) != (o.Decode == nil):
		return errors.New("options Encode and Decode must be set together")
	case o.AttemptsMax < 0:
		return fmt.Errorf("option AttemptsMax must be 1 or more, it is %d", o.AttemptsMax)
	}
	if o.Encode == nil && o.SnapshotEvery >= 0 {
		return checkJSON[S]()
	}
	return nil
}
