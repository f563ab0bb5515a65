package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
)

// queue is a state that counts, and has who did what at which count.
type queue struct{ Events int64 }

// decision is the payload of an event of a queue.
type decision struct {
	Writer, Number int
	Seen           int64 // the count that it was decided at
}

func applyToQueue(state *queue, e store.RecordedEvent) error {
	state.Events++
	return nil
}

// TestUpdate_writersOfOneStream has several writers decide about one stream. Each decision is applied once, to the state
// that it was made for.
func TestUpdate_writersOfOneStream(t *testing.T) {
	t.Parallel()
	const writers, decisions = 6, 25
	onEach(t, func(t *testing.T, d *database) {
		repository, err := aggregate.New(d.db, aggregate.Options[queue]{
			Context: "Shop", Type: "Queue", Apply: applyToQueue, SnapshotEvery: 7, AttemptsMax: 1 << 20,
		})
		must(t, err)
		var group sync.WaitGroup
		for writer := range writers {
			group.Go(func() {
				for number := range decisions {
					_, err := repository.Update(t.Context(), "q", func(state *queue) ([]store.Event, error) {
						payload, err := json.Marshal(decision{Writer: writer, Number: number, Seen: state.Events})
						return []store.Event{{Type: "decided", Payload: payload}}, err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		made := map[string]int{}
		version := int64(0)
		must(t, d.db.ReadStreamAfter(t.Context(), store.Stream{BoundedContext: "Shop", AggregateType: "Queue", AggregateID: "q"}, 0,
			func(e *store.RecordedEvent) error {
				var of decision
				if err := json.Unmarshal(e.Payload, &of); err != nil {
					return err
				}
				if version++; e.AggregateVersion != version || of.Seen != version-1 {
					t.Errorf("event %d has version %d and was decided at %d", version, e.AggregateVersion, of.Seen)
				}
				made[fmt.Sprint(of.Writer, "/", of.Number)]++
				return nil
			}))
		if len(made) != writers*decisions || version != writers*decisions {
			t.Errorf("%d events of %d decisions, want %d", version, len(made), writers*decisions)
		}
		if at := d.snapshotOf(t, "q"); at <= version-14 {
			t.Errorf("the snapshot is of %d, the stream has %d events", at, version)
		}
	})
}

// TestUpdate_givesUp has another writer come first each time.
func TestUpdate_givesUp(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 50, func(o *aggregate.Options[ledger]) { o.AttemptsMax = 3 })
		calls := 0
		lose := func(*ledger) ([]store.Event, error) {
			calls++
			_, err := ledgers(t, d.db, 50).Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(1), nil })
			return booked(1), err
		}
		_, err := repository.Update(t.Context(), "a", lose)
		var conflict *store.VersionConflictError
		if !errors.As(err, &conflict) || calls != 3 || conflict.Actual != 3 {
			t.Errorf("after %d calls: %v", calls, err)
		}
		own := errors.New("sold out")
		if _, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(1), own }); err != own { //nolint:errorlint // as it is
			t.Errorf("the error of a decision comes back as %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err = ledgers(t, d.db, 50, func(o *aggregate.Options[ledger]) { o.AttemptsMax = 1 << 20 }).Update(ctx, "a",
			func(state *ledger) ([]store.Event, error) {
				events, err := lose(state)
				cancel()
				return events, err
			})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a context that is over: %v", err)
		}
		d.wantWhole(t, repository, "a")
	})
}
