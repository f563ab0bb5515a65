package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Repository loads and saves the aggregates of one type. It is safe for concurrent use.
type Repository[S any] struct {
	db      store.Streams
	options Options[S]
}

// Root is one aggregate as it was loaded, or saved last. It is used by one goroutine.
type Root[S any] struct {
	// State is what Apply has made of the events. A decision reads it; what else is changed in it is in no event, and
	// is gone with the root.
	State S

	stream   store.Stream
	version  int64
	position int64
	last     store.UUID // the last event
	snapshot int64      // the version of the snapshot that it was made of, or that was tried last
	before   int64      // the version before the last save

	lastSnapshot int64 // the version of the snapshot before that
	spent        bool  // a save has failed, which may have changed the state
	inTx         bool  // the last save was in a transaction of the caller, who may have rolled it back
}

// ID returns the aggregate's id.
func (r *Root[S]) ID() string { return r.stream.AggregateID }

// Stream returns the aggregate's stream.
func (r *Root[S]) Stream() store.Stream { return r.stream }

// Version returns that of the last event of the state, or 0 for a new aggregate.
func (r *Root[S]) Version() int64 { return r.version }

// Position returns the global position of the last event of the state, or 0. A host can wait for it.
func (r *Root[S]) Position() int64 { return r.position }

// New prepares a repository on a database, which it does not own: a *postgres.Store, a *mysql.Store or a *sqlite.Store.
//
// # Errors
//
// An option that cannot be used.
func New[S any](db store.Streams, options Options[S]) (*Repository[S], error) {
	if db == nil {
		return nil, errors.New("a repository of aggregates needs a database")
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	options.withDefaults()
	if options.Encode == nil {
		options.Encode, options.Decode = encodeJSON[S], decodeJSON[S]
	}
	return &Repository[S]{db: db, options: options}, nil
}

// Load returns an aggregate as the log has it now. One without events has the zero state and version 0. It takes two
// round trips, holds one event at a time in memory besides the state, and writes nothing.
//
// # Errors
//
// That of Apply, with the event; [*store.InputError] for an id that no stream can have; [store.ErrTransient],
// [store.ErrNotMigrated].
func (r *Repository[S]) Load(ctx context.Context, id string) (*Root[S], error) {
	return r.load(ctx, r.db, id)
}

// LoadTx is [Repository.Load] in a transaction of the caller, which sees what it has appended itself. Drivers make tx:
// StreamsTx and StreamsSQLTx of a *postgres.Store, StreamsTx of a *mysql.Store, Streams of a *sqlite.Tx. After an error a
// transaction of PostgreSQL is aborted.
func (r *Repository[S]) LoadTx(ctx context.Context, tx store.StreamsTx, id string) (*Root[S], error) {
	return r.load(ctx, tx, id)
}

func (r *Repository[S]) load(ctx context.Context, from store.Streams, id string) (*Root[S], error) {
	stream := store.Stream{BoundedContext: r.options.Context, AggregateType: r.options.Type, AggregateID: id}
	root, err := r.begin(ctx, from, stream)
	if err != nil {
		return nil, fmt.Errorf("loading the snapshot of %s: %w", stream, err)
	}
	err = from.ReadStreamAfter(ctx, stream, root.version, func(event *store.RecordedEvent) error {
		return r.apply(root, event)
	})
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", stream, err)
	}
	return root, nil
}

// begin returns where a load begins: at the snapshot, or before the first event.
func (r *Repository[S]) begin(ctx context.Context, from store.Streams, stream store.Stream) (*Root[S], error) {
	root := &Root[S]{stream: stream}
	if r.options.SnapshotEvery < 0 {
		return root, nil
	}
	snapshot, err := from.LoadSnapshot(ctx, stream, r.options.SnapshotVersion)
	if err != nil || snapshot == nil {
		return root, err
	}
	state, isOurs := bytes.CutPrefix(snapshot.State, r.stateName())
	if !isOurs {
		return root, nil
	}
	if err := r.options.Decode(state, &root.State); err != nil {
		r.options.Logger.WarnContext(ctx, "snapshot not decoded, the stream is read from its beginning",
			"stream", stream.String(), "version", snapshot.AggregateVersion, "error", err)
		return &Root[S]{stream: stream}, nil // a part may have been decoded
	}
	root.version, root.position, root.last = snapshot.AggregateVersion, snapshot.Position, snapshot.EventID
	root.snapshot = snapshot.AggregateVersion
	return root, nil
}

// apply moves the root on by an event.
func (r *Repository[S]) apply(root *Root[S], event *store.RecordedEvent) error {
	if event.AggregateVersion != root.version+1 {
		return fmt.Errorf("event %d (%s) follows event %d: events between them are missing in the log", event.AggregateVersion,
			event.Type, root.version)
	}
	if err := r.options.Apply(&root.State, *event); err != nil {
		return fmt.Errorf("applying event %d (%s): %w", event.AggregateVersion, event.Type, err)
	}
	root.version, root.position, root.last = event.AggregateVersion, event.Position, event.ID
	return nil
}
