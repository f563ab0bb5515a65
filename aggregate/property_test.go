package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
)

// errCrash is what a call says at which a program is made to crash.
var errCrash = errors.New("crash")

// crashing are streams of a program that crashes at a call: before it, or after it has done its work.
type crashing struct {
	store.Streams
	calls, at int
	after     bool
}

// here reports whether the call is the one to crash at, and whether its work is done first.
func (c *crashing) here() (crash, work bool) {
	c.calls++
	return c.calls >= c.at, c.calls < c.at || c.calls == c.at && c.after
}

func (c *crashing) do(work func() error) error {
	crash, works := c.here()
	if works {
		if err := work(); err != nil {
			return err
		}
	}
	if crash {
		return errCrash
	}
	return nil
}

func (c *crashing) Append(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend,
) (appended []store.Appended, err error) {
	err = c.do(func() (err error) {
		appended, err = c.Streams.Append(ctx, options, appends...)
		return err
	})
	return appended, err
}

func (c *crashing) ReadStreamAfter(ctx context.Context, stream store.Stream, after int64,
	each func(*store.RecordedEvent) error,
) error {
	return c.do(func() error { return c.Streams.ReadStreamAfter(ctx, stream, after, each) })
}

func (c *crashing) LoadSnapshot(ctx context.Context, stream store.Stream, version int32) (s *store.Snapshot, err error) {
	err = c.do(func() (err error) {
		s, err = c.Streams.LoadSnapshot(ctx, stream, version)
		return err
	})
	return s, err
}

func (c *crashing) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) (saved bool, err error) {
	err = c.do(func() (err error) {
		saved, err = c.Streams.SaveSnapshot(ctx, snapshot)
		return err
	})
	return saved, err
}

// history does random things to one stream.
type history struct {
	*rapid.T
	d       *database
	id      string
	version int32 // of snapshots
	stale   *aggregate.Root[ledger]
}

// repository is that of a program, which may be one with another SnapshotEvery.
func (h *history) repository(db store.Streams) *aggregate.Repository[ledger] {
	return ledgers(h.T, db, rapid.IntRange(1, 12).Draw(h.T, "every"), func(o *aggregate.Options[ledger]) {
		o.SnapshotVersion = h.version
	})
}

func (h *history) events() []store.Event { return booked(rapid.IntRange(0, 9).Draw(h.T, "events")) }

// tolerate ends the check for an error that nothing of the history explains.
func (h *history) tolerate(err error) {
	h.Helper()
	var conflict *store.VersionConflictError
	if err != nil && !errors.Is(err, errCrash) && !errors.As(err, &conflict) && !errors.Is(err, aggregate.ErrSpent) {
		h.Fatal(err)
	}
}

func (h *history) steps() map[string]func(*rapid.T) {
	ctx := context.Background()
	at := func(where string) string { return where + " WHERE aggregate_id = '" + h.id + "'" }
	steps := map[string]func(*rapid.T){
		"update": func(*rapid.T) {
			_, err := h.repository(h.d.db).Update(ctx, h.id, func(state *ledger) ([]store.Event, error) {
				state.Digest = "changed"
				return h.events(), nil
			})
			h.tolerate(err)
		},
		"update and crash": func(*rapid.T) {
			db := &crashing{
				Streams: h.d.db, at: rapid.IntRange(1, 7).Draw(h.T, "call"), after: rapid.Bool().Draw(h.T, "after the call"),
			}
			_, err := h.repository(db).Update(ctx, h.id, func(*ledger) ([]store.Event, error) { return h.events(), nil })
			h.tolerate(err)
		},
		"load for later": func(*rapid.T) {
			root, err := h.repository(h.d.db).Load(ctx, h.id)
			h.tolerate(err)
			h.stale = root
		},
		"save what was loaded": func(*rapid.T) {
			if h.stale != nil {
				h.tolerate(h.repository(h.d.db).Save(ctx, h.stale, h.events()...))
			}
		},
		"append by another program": func(*rapid.T) {
			_, err := h.d.db.Append(ctx, store.AppendOptions{}, store.StreamAppend{
				Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Ledger", AggregateID: h.id}, Events: h.events(),
			})
			h.tolerate(err)
		},
		"snapshot":     func(*rapid.T) { h.tolerate(h.repository(h.d.db).Snapshot(ctx, h.id)) },
		"next version": func(*rapid.T) { h.version++ },
		"version back": func(*rapid.T) { h.version = max(h.version-1, 1) },
		"delete the snapshot": func(*rapid.T) {
			h.d.exec(h.T, at("DELETE FROM "+h.d.snapshots))
		},
		"damage the snapshot": func(*rapid.T) {
			h.d.exec(h.T, at("UPDATE "+h.d.snapshots+" SET state = $1"), []byte(`{"Digest":"damaged","Types":{"x":1},"Last":0}`))
		},
		"a snapshot beyond the end": func(*rapid.T) {
			h.d.exec(h.T, at("UPDATE "+h.d.snapshots+" SET aggregate_version = aggregate_version + 1000"))
		},
		"delete events of the end": func(*rapid.T) {
			h.d.exec(h.T, at("DELETE FROM "+h.d.events)+" AND aggregate_version > $1", rapid.IntRange(0, 40).Draw(h.T, "left"))
		},
		"change an event": func(*rapid.T) {
			h.d.exec(h.T, at("UPDATE "+h.d.events+" SET payload = $1")+" AND aggregate_version = $2", []byte("changed"),
				rapid.IntRange(1, 40).Draw(h.T, "at"))
		},
		"": func(*rapid.T) { h.d.wantWhole(h.T, h.repository(h.d.db), h.id) },
	}
	for way, inTx := range h.d.inTx {
		steps["transaction of "+way] = func(*rapid.T) {
			var end error
			if rapid.Bool().Draw(h.T, "rollback") {
				end = errCrash
			}
			h.tolerate(inTx(ctx, func(tx appTx) error {
				for range rapid.IntRange(1, 3).Draw(h.T, "saves") {
					repository := h.repository(h.d.db)
					root, err := repository.LoadTx(ctx, tx.StreamsTx, h.id)
					if err != nil {
						return err
					}
					if err := repository.AppendTx(ctx, tx.StreamsTx, root, h.events()...); err != nil {
						return err
					}
				}
				return end
			}))
		}
	}
	return steps
}

// TestLoad_bySnapshotIsTheWholeStream checks after every step of random histories, with crashes, conflicts, rolled back
// transactions, other versions of the state and damage to log and snapshot, that a load by the snapshot is one of the
// whole stream.
func TestLoad_bySnapshotIsTheWholeStream(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var streams atomic.Int64
		var bySnapshot int64
		rapid.Check(t, func(rt *rapid.T) {
			h := &history{T: rt, d: d, version: 1, id: fmt.Sprint("ledger-", streams.Add(1))}
			rt.Repeat(h.steps())
			if d.snapshotOf(rt, h.id) > 0 {
				bySnapshot++
			}
		})
		if bySnapshot == 0 {
			t.Error("no history ended with a snapshot")
		}
	})
}
