package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// ErrSpent says that a root was used after a save of it had failed, which may have changed its state, or after the
// transaction of its last save was rolled back: load it again.
var ErrSpent = errors.New("the aggregate must be loaded again: saving it has failed, or was rolled back")

// errFirst ends a read after its first event.
var errFirst = errors.New("the first event is enough")

// Save appends events to the aggregate's stream if it still is at the root's version, and applies them to the root,
// which can be saved again. Events without an id and a time get them here, by this machine's clock. Without events it does
// nothing, and looks at no version.
//
// Every SnapshotEvery events it then keeps a snapshot, for which it reads the events since the last one. A failure of that
// is told to the logger: the events are saved.
//
// # Errors
//
// After any of them the root is spent. [*store.VersionConflictError] where another writer came first: load again, and
// decide again. That of Apply; [*store.DuplicateEventError], [*store.InputError], [store.ErrNotMigrated]. Nothing was
// saved after any of these. After [store.ErrTransient] the events may have been saved or not.
func (r *Repository[S]) Save(ctx context.Context, root *Root[S], events ...store.Event) error {
	if err := r.append(ctx, r.db, root, events); err != nil {
		return err
	}
	if err := r.keep(ctx, r.db, root); err != nil {
		r.notKept(ctx, root, err)
	}
	return nil
}

// AppendTx is [Repository.Save] in a transaction of the caller: events, snapshot and the caller's own rows are committed
// together or not at all. See [Repository.LoadTx] for tx.
//
// A conflict is returned as by Save, and nothing is tried again. On PostgreSQL the transaction is aborted then, as after
// any other error: roll it back, and begin with loading. On MariaDB and SQLite it goes on, and an error may have left the
// events in it: roll it back too. After a rollback the root is ahead of the log, and the next save of it answers [ErrSpent].
func (r *Repository[S]) AppendTx(ctx context.Context, tx store.StreamsTx, root *Root[S], events ...store.Event) error {
	if err := r.append(ctx, tx, root, events); err != nil {
		return err
	}
	root.inTx = true
	if err := r.keep(ctx, tx, root); err != nil {
		root.spent = true
		return err // the transaction may be aborted
	}
	return nil
}

// append applies events to the root and appends them at its version.
func (r *Repository[S]) append(ctx context.Context, to store.Streams, root *Root[S], events []store.Event) error {
	if root.spent {
		return fmt.Errorf("saving %s: %w", root.stream, ErrSpent)
	}
	if len(events) == 0 {
		return nil
	}
	if err := r.verify(ctx, to, root); err != nil {
		return err
	}
	events = stamp(events)
	root.before, root.spent = root.version, true
	for i := range events {
		if err := r.apply(root, recorded(root, &events[i])); err != nil {
			return fmt.Errorf("saving %s: %w", root.stream, err)
		}
	}
	appended, err := to.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: root.stream, Expected: store.Exact(root.before), Events: events,
	})
	if err != nil {
		return fmt.Errorf("saving %s: %w", root.stream, err)
	}
	root.inTx = false
	root.position, root.spent = appended[len(appended)-1].Position, false
	return nil
}

// verify sees that the log has the last event of a root whose save may have been rolled back. The version does not tell:
// another writer may have taken it since.
func (r *Repository[S]) verify(ctx context.Context, in store.Streams, root *Root[S]) error {
	if !root.inTx {
		return nil
	}
	found := false
	err := in.ReadStreamAfter(ctx, root.stream, root.version-1, func(event *store.RecordedEvent) error {
		found = event.AggregateVersion == root.version && event.ID == root.last
		return errFirst
	})
	if err == nil || errors.Is(err, errFirst) {
		if found {
			return nil
		}
		root.spent = true
		err = ErrSpent
	}
	return fmt.Errorf("saving %s: %w", root.stream, err)
}

// stamp returns the events with what the store would fill in, so that Apply sees what every load will, but for the form of
// metadata, which PostgreSQL writes in its own.
func stamp(events []store.Event) []store.Event {
	events = slices.Clone(events)
	now := clock.Now()
	for i := range events {
		event := &events[i]
		if event.ID == (store.UUID{}) {
			event.ID = store.UUID(uuid.Must(uuid.NewV7()))
		}
		if event.CreatedAt.IsZero() {
			event.CreatedAt = now
		}
		event.CreatedAt = event.CreatedAt.UTC().Truncate(time.Microsecond)
		event.Version = max(event.Version, 1)
		event.Payload = append([]byte{}, event.Payload...) // an empty one is not nil, as in a load
		event.Metadata = bytes.Clone(event.Metadata)
		if len(event.Metadata) == 0 {
			event.Metadata = []byte("{}")
		}
	}
	return events
}

// recorded is an event as it will be stored behind the root's last one. Its payload and metadata are the state's own, which
// may keep them.
func recorded[S any](root *Root[S], event *store.Event) *store.RecordedEvent {
	own := *event
	own.Payload, own.Metadata = append([]byte{}, event.Payload...), bytes.Clone(event.Metadata)
	return &store.RecordedEvent{
		Event: own, Stream: root.stream, AggregateVersion: root.version + 1,
		PartitionHash: store.PartitionHash(root.stream.AggregateID),
	}
}
