package aggregate_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
)

// ledger is a state that differs after any other sequence of events.
type ledger struct {
	Digest string
	Types  map[string]int
	Last   *entry
}

// entry is an event of a ledger. It keeps what the event has.
type entry struct {
	ID      store.UUID
	Type    string
	Payload []byte
	At      time.Time
}

var errRefused = errors.New("refused")

func applyToLedger(state *ledger, e store.RecordedEvent) error {
	if e.Type == "refused" {
		return errRefused
	}
	// Metadata is the same JSON, in another form on PostgreSQL.
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %s %d %q %s %s %s %d %d", state.Digest, e.Stream, e.AggregateVersion, e.ID,
		e.Version, e.Payload, e.TraceID, e.CorrelationID, e.CreatedAt, e.PartitionHash, len(e.Metadata)))
	state.Digest = hex.EncodeToString(digest[:])
	if state.Types == nil {
		state.Types = map[string]int{}
	}
	state.Types[e.Type]++
	state.Last = &entry{ID: e.ID, Type: e.Type, Payload: e.Payload, At: e.CreatedAt}
	if len(e.Payload) == 0 {
		state.Last.Payload = nil
	}
	return nil
}

// ledgers has the ledgers of a database, with a snapshot every so many events.
func ledgers(t failing, db store.Streams, every int, change ...func(*aggregate.Options[ledger])) *aggregate.Repository[ledger] {
	t.Helper()
	options := aggregate.Options[ledger]{
		Context: "Shop", Type: "Ledger", Apply: applyToLedger, SnapshotEvery: every,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, c := range change {
		c(&options)
	}
	repository, err := aggregate.New(db, options)
	must(t, err)
	return repository
}

// booked are n events.
func booked(n int) []store.Event {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: "booked", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return events
}

// wantWhole checks that a load is the same as one that reads the whole stream.
func (d *database) wantWhole(t failing, with *aggregate.Repository[ledger], id string) *aggregate.Root[ledger] {
	t.Helper()
	got, err := with.Load(context.Background(), id)
	must(t, err)
	want, err := ledgers(t, d.db, -1).Load(context.Background(), id)
	must(t, err)
	if got.Version() != want.Version() || got.Position() != want.Position() || !reflect.DeepEqual(got.State, want.State) {
		t.Fatal(fmt.Sprintf("by the snapshot version %d, position %d, state %+v; by the whole stream %d, %d, %+v", got.Version(),
			got.Position(), got.State, want.Version(), want.Position(), want.State))
	}
	return got
}

func TestSave_keepsASnapshotEveryNEvents(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 10)
		root, err := repository.Load(t.Context(), "a")
		must(t, err)
		if root.Version() != 0 || root.Position() != 0 || root.ID() != "a" || root.State.Digest != "" {
			t.Errorf("a new aggregate is %+v", root)
		}
		kept := map[int64]int64{} // by the version of a save
		for range 9 {
			must(t, repository.Save(t.Context(), root, booked(4)...))
			kept[root.Version()] = d.snapshotOf(t, "a")
			if again := d.wantWhole(t, repository, "a"); !reflect.DeepEqual(again.State, root.State) ||
				again.Position() != root.Position() || again.Version() != root.Version() {
				t.Fatalf("the root is %+v, and loaded again %+v", root, again)
			}
		}
		for version, want := range map[int64]int64{4: 0, 8: 0, 12: 12, 16: 12, 20: 12, 24: 24, 32: 24, 36: 36} {
			if kept[version] != want {
				t.Errorf("at version %d the snapshot is of %d, want %d", version, kept[version], want)
			}
		}
		must(t, repository.Save(t.Context(), root)) // nothing
		if root.Version() != 36 {
			t.Errorf("saving nothing leads to version %d", root.Version())
		}
	})
}

func TestSave_conflictLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 2)
		first, err := repository.Load(t.Context(), "a")
		must(t, err)
		second, err := repository.Load(t.Context(), "a")
		must(t, err)
		must(t, repository.Save(t.Context(), first, booked(3)...))
		err = repository.Save(t.Context(), second, booked(1)...)
		var conflict *store.VersionConflictError
		if !errors.As(err, &conflict) || conflict.Expected != store.NoStream() || conflict.Actual != 3 {
			t.Errorf("the second one gets %v", err)
		}
		if err := repository.Save(t.Context(), second, booked(1)...); !errors.Is(err, aggregate.ErrSpent) {
			t.Errorf("a root whose save has failed: %v", err)
		}
		if got := d.wantWhole(t, repository, "a").Version(); got != 3 {
			t.Errorf("the stream has %d events", got)
		}
	})
}

func TestSave_eventThatApplyRefusesIsNotStored(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 2)
		root, err := repository.Load(t.Context(), "a")
		must(t, err)
		err = repository.Save(t.Context(), root, store.Event{Type: "booked"}, store.Event{Type: "refused"})
		if !errors.Is(err, errRefused) || err.Error() != "saving Shop/Ledger/a: applying event 2 (refused): refused" {
			t.Errorf("got %v", err)
		}
		if n := d.number(t, "SELECT count(*) FROM "+d.events); n != 0 {
			t.Errorf("%d events are stored", n)
		}
	})
}

// TestSave_snapshotIsMadeOfTheLog has the application change the state by itself, and buffers that it uses again.
func TestSave_snapshotIsMadeOfTheLog(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 2)
		for range 4 {
			buffer := []byte(`{"n":1}`)
			root, err := repository.Update(t.Context(), "a", func(state *ledger) ([]store.Event, error) {
				state.Digest, state.Types = "changed", map[string]int{"changed": 1}
				return []store.Event{{Type: "booked", Payload: buffer}}, nil
			})
			must(t, err)
			buffer[0] = 'x'
			if string(root.State.Last.Payload) != `{"n":1}` {
				t.Errorf("the state has the payload %s", root.State.Last.Payload)
			}
		}
		if d.snapshotOf(t, "a") != 4 {
			t.Errorf("the snapshot is of %d", d.snapshotOf(t, "a"))
		}
		d.wantWhole(t, repository, "a")
	})
}

func TestLoad_refusedEventNamesIt(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		_, err := d.db.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Ledger", AggregateID: "a"},
			Events: []store.Event{{Type: "booked"}, {Type: "refused"}},
		})
		must(t, err)
		_, err = ledgers(t, d.db, 50).Load(t.Context(), "a")
		if !errors.Is(err, errRefused) || err.Error() != "loading Shop/Ledger/a: applying event 2 (refused): refused" {
			t.Errorf("got %v", err)
		}
		var input *store.InputError
		if _, err := ledgers(t, d.db, 50).Load(t.Context(), ""); !errors.As(err, &input) {
			t.Errorf("without an id: %v", err)
		}
	})
}
