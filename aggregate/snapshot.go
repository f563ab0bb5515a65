package aggregate

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/pupwasm/pupwasm/store"
)

// TooLargeError says that a state is larger than a snapshot may be. The stream is read from an earlier snapshot, or from
// its beginning.
type TooLargeError struct {
	Bytes    int
	BytesMax int // Options.SnapshotBytesMax
}

// Error has both sizes, and the option.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the state has %d bytes, a snapshot at most %d: see the option SnapshotBytesMax", e.Bytes,
		e.BytesMax)
}

// Snapshot keeps a snapshot of an aggregate now, unless there is one of its last event. Save does it by itself; this is
// for streams that others append to, and for the first load after SnapshotVersion was counted up.
//
// # Errors
//
// Those of Load and of Encode; [*TooLargeError].
func (r *Repository[S]) Snapshot(ctx context.Context, id string) error {
	if r.options.SnapshotEvery < 0 {
		return errors.New("option SnapshotEvery is below 0: no snapshots are kept")
	}
	root, err := r.Load(ctx, id)
	if err != nil || root.version == root.snapshot {
		return err
	}
	if err := r.write(ctx, r.db, root); err != nil {
		return fmt.Errorf("keeping a snapshot of %s: %w", root.stream, err)
	}
	return nil
}

// keep keeps a snapshot where one is due. It is made of what the log has, since the application may have changed the
// root's state. An error is one of reading; others are told to the logger.
func (r *Repository[S]) keep(ctx context.Context, in store.Streams, root *Root[S]) error {
	every := int64(r.options.SnapshotEvery)
	if every < 0 || root.version-root.snapshot < every {
		return nil
	}
	root.lastSnapshot = root.snapshot
	root.snapshot = root.version // one that cannot be kept is not tried again with every save of this root
	if _, err := r.encode(&root.State); err != nil {
		r.notKept(ctx, root, err)
		return nil
	}
	logged, err := r.load(ctx, in, root.ID())
	if err != nil {
		return err
	}
	if logged.version-logged.snapshot < every {
		return nil // another writer has kept one
	}
	if err := r.write(ctx, in, logged); err != nil {
		r.notKept(ctx, root, err)
	}
	return nil
}

// write keeps a snapshot of a root that was loaded and not touched.
func (r *Repository[S]) write(ctx context.Context, in store.Streams, root *Root[S]) error {
	state, err := r.encode(&root.State)
	if err != nil {
		return err
	}
	_, err = in.SaveSnapshot(ctx, store.Snapshot{
		Stream: root.stream, AggregateVersion: root.version, EventID: root.last,
		SchemaVersion: r.options.SnapshotVersion, State: state,
	})
	return err
}

// stateName is in front of the bytes of a state: another program may have another type for the same aggregates, with the
// same SnapshotVersion.
func (r *Repository[S]) stateName() []byte { return []byte(reflect.TypeFor[S]().String() + "\n") }

func (r *Repository[S]) encode(state *S) ([]byte, error) {
	data, err := r.options.Encode(state)
	if err != nil {
		return nil, fmt.Errorf("encoding the state: %w", err)
	}
	data = append(r.stateName(), data...)
	if len(data) > r.options.SnapshotBytesMax {
		return nil, &TooLargeError{Bytes: len(data), BytesMax: r.options.SnapshotBytesMax}
	}
	return data, nil
}

// notKept tells the logger, once for SnapshotEvery events since the snapshot that there is.
func (r *Repository[S]) notKept(ctx context.Context, root *Root[S], err error) {
	every, from := int64(r.options.SnapshotEvery), root.lastSnapshot
	if (root.version-from)/every == max(0, root.before-from)/every {
		return
	}
	r.options.Logger.WarnContext(ctx, "snapshot not kept", "stream", root.stream.String(), "version", root.version,
		"error", err)
}
