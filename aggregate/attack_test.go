package aggregate_test

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
)

// counted and other are states of the same aggregates, in two programs.
type (
	counted struct{ Count int }
	other   struct{ Total int }
)

// repositoryOf has a state of any type, with a snapshot every 5 events.
func repositoryOf[S any](t *testing.T, d *database, told *[]string, apply func(*S, store.RecordedEvent) error) *aggregate.Repository[S] {
	t.Helper()
	options := aggregate.Options[S]{Context: "Shop", Type: "Ledger", SnapshotEvery: 5, Apply: apply, Logger: slog.New(slog.DiscardHandler)}
	if told != nil {
		options.Logger = toldTo(told)
	}
	repository, err := aggregate.New(d.db, options)
	must(t, err)
	return repository
}

func book[S any](t *testing.T, repository *aggregate.Repository[S], n int) {
	t.Helper()
	for range n {
		_, err := repository.Update(t.Context(), "a", func(*S) ([]store.Event, error) { return booked(1), nil })
		must(t, err)
	}
}

// TestLoad_snapshotOfAnotherState has two programs with states of their own, and one SnapshotVersion.
func TestLoad_snapshotOfAnotherState(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		book(t, repositoryOf(t, d, nil, func(c *counted, _ store.RecordedEvent) error { c.Count++; return nil }), 7)
		root, err := repositoryOf(t, d, nil, func(o *other, _ store.RecordedEvent) error { o.Total++; return nil }).Load(t.Context(), "a")
		must(t, err)
		if root.State.Total != 7 {
			t.Errorf("the total is %d", root.State.Total)
		}
	})
}

// States that JSON brings back as others, without an error.
type (
	item    struct{ N int }
	aliased struct {
		ByID map[string]*item
		Last *item
	}
	base     struct{ ID int }
	shadowed struct {
		base
		ID int
	}
	emptied struct {
		Kept map[string]int `json:",omitempty"`
	}
	clocked struct {
		time.Time
		Count int
	}
	zoned struct{ At time.Time }
)

// TestSnapshot_statesThatJSONChanges keeps no snapshots of them, and says so.
func TestSnapshot_statesThatJSONChanges(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("Alps", 3600)
	onEach(t, func(t *testing.T, d *database) {
		wantNone(t, d, func(a *aliased, _ store.RecordedEvent) error {
			if a.ByID == nil {
				a.ByID = map[string]*item{"x": {}}
				a.Last = a.ByID["x"]
			}
			a.Last.N++
			return nil
		}, func(a *aliased) int { return a.ByID["x"].N })
		wantNone(t, d, func(s *shadowed, _ store.RecordedEvent) error { s.base.ID++; return nil },
			func(s *shadowed) int { return s.base.ID })
		wantNone(t, d, func(e *emptied, _ store.RecordedEvent) error {
			if e.Kept == nil {
				e.Kept = map[string]int{"first": 1}
			}
			delete(e.Kept, "first")
			return nil
		}, func(e *emptied) int { return len(maps.Clone(e.Kept)) + 7 })
		wantNone(t, d, func(c *clocked, _ store.RecordedEvent) error { c.Count++; return nil }, func(c *clocked) int { return c.Count })
		wantNone(t, d, func(z *zoned, e store.RecordedEvent) error {
			z.At = time.Unix(e.AggregateVersion, 0).In(zone)
			return nil
		}, func(z *zoned) int { return int(z.At.Unix()) })
	})
}

// wantNone books 7 events, and wants the state of all of them, no snapshot, and a word about it.
func wantNone[S any](t *testing.T, d *database, apply func(*S, store.RecordedEvent) error, of func(*S) int) {
	t.Helper()
	d.exec(t, "DELETE FROM "+d.events)
	var told []string
	repository := repositoryOf(t, d, &told, apply)
	book(t, repository, 7)
	root, err := repository.Load(t.Context(), "a")
	must(t, err)
	if got := of(&root.State); got != 7 || d.snapshotOf(t, "a") != 0 {
		t.Errorf("%T: the state has %d, the snapshot is of %d", root.State, got, d.snapshotOf(t, "a"))
	}
	if len(told) != 1 || !strings.Contains(told[0], "does not bring the state back as it is") {
		t.Errorf("%T: the logger was told %q", root.State, told)
	}
}

// TestSave_afterARollback saves a root whose events are gone, and whose version another writer has taken.
func TestSave_afterARollback(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 5)
		for way, inTx := range d.inTx {
			id := strings.ReplaceAll(way, "/", "-")
			var root *aggregate.Root[ledger]
			undone := errors.New("undone")
			in := func(end error) {
				err := inTx(t.Context(), func(tx appTx) (err error) {
					root, err = repository.LoadTx(t.Context(), tx.StreamsTx, id)
					must(t, err)
					must(t, repository.AppendTx(t.Context(), tx.StreamsTx, root, booked(1)...))
					must(t, repository.AppendTx(t.Context(), tx.StreamsTx, root, booked(1)...))
					return end
				})
				if !errors.Is(err, end) {
					t.Fatal(err)
				}
			}
			in(undone)
			_, err := repository.Update(t.Context(), id, func(*ledger) ([]store.Event, error) { return booked(2), nil })
			must(t, err)
			if err := repository.Save(t.Context(), root, booked(1)...); !errors.Is(err, aggregate.ErrSpent) {
				t.Errorf("%s: Save: %v", way, err)
			}
			in(nil)
			must(t, repository.Save(t.Context(), root, booked(1)...))
			d.wantWhole(t, repository, id)
		}
	})
}

// TestSave_applyThatChangesWhatItGets leaves the event as it is stored.
func TestSave_applyThatChangesWhatItGets(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := repositoryOf(t, d, nil, func(_ *counted, e store.RecordedEvent) error {
			clear(e.Payload)
			return nil
		})
		book(t, repository, 1)
		must(t, d.db.ReadStreamAfter(t.Context(), store.Stream{BoundedContext: "Shop", AggregateType: "Ledger", AggregateID: "a"}, 0,
			func(e *store.RecordedEvent) error {
				if string(e.Payload) != `{"n":0}` {
					t.Errorf("the payload is %q", e.Payload)
				}
				return nil
			}))
	})
}

// TestLoad_missingEvents refuses a stream with a gap, of which a snapshot would hide what comes late.
func TestLoad_missingEvents(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, -1)
		_, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(3), nil })
		must(t, err)
		d.exec(t, "DELETE FROM "+d.events+" WHERE aggregate_version = 2")
		if _, err := repository.Load(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "event 3 (booked) follows event 1") {
			t.Error(err)
		}
		if err := repository.Snapshot(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "SnapshotEvery is below 0") {
			t.Error(err)
		}
	})
}
