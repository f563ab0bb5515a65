package pupwasm_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func TestConsumer_writesEachEventOnceInOrder(t *testing.T) {
	t.Parallel()
	partitions := map[string]*store.Partition{
		"one segment": nil, "by stream": pupwasm.ByStream(), "by JSON": pupwasm.ByJSON("n"),
	}
	for name, partition := range partitions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(t *testing.T, db database) {
				orders(t, db, 7, 20)
				h := runHost(t, db, pupwasm.Options{
					Worker: quickly(),
					Consumers: []pupwasm.Consumer{{
						Name: "seen_orders", Partition: partition, BatchEvents: 3,
						Handle: db.handler(fine),
					}},
				})
				last := orders(t, db, 7, 5)
				must(h.Wait(t.Context(), "seen_orders", last))
				rows := 0
				for _, payloads := range db.rows(t) {
					rows += len(payloads)
				}
				if rows != 7*25 {
					t.Errorf("%d rows, want %d", rows, 7*25)
				}
				status, err := h.Status(t.Context(), "seen_orders")
				must(err)
				if segmentsWanted := map[bool]int{true: 1, false: segments.DefaultSegments}[partition == nil]; len(status[0].Segments) != segmentsWanted {
					t.Errorf("%d segments, want %d", len(status[0].Segments), segmentsWanted)
				}
			})
		})
	}
}

// TestConsumer_anEventAtFaultStopsItsSegmentOnly has an error and a panic in the middle of a batch, beside a
// module and another consumer that go on. All before the event are applied.
func TestConsumer_anEventAtFaultStopsItsSegmentOnly(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct {
		with func() error
		want string
	}{
		"error": {func() error { return errors.New("no such customer") }, "no such customer"},
		"panic": {func() error { panic("index out of luck") }, "panic: index out of luck (consumer_test.go:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(t *testing.T, db database) {
				last := orders(t, db, 3, 30)
				bad := func(e *store.RecordedEvent) error {
					if e.AggregateID == "order-1" && e.AggregateVersion == 21 {
						return fail.with()
					}
					return nil
				}
				h := runHost(t, db, pupwasm.Options{
					Worker: quickly(), Modules: fstest.MapFS{"users.wasm": {Data: guest("users")}},
					Consumers: []pupwasm.Consumer{
						{Name: "failing", Handle: db.handler(bad)},
						{Name: "well", Handle: func(context.Context, any, []store.RecordedEvent) error { return nil }},
					},
				})
				must(h.Wait(t.Context(), "well", last))
				must(h.Wait(t.Context(), "users", last))
				var failed *segments.FailedError
				if err := h.Wait(t.Context(), "failing", last); !errors.As(err, &failed) ||
					!strings.Contains(failed.Reason, "event ") || !strings.Contains(failed.Reason, "consumer failing: "+fail.want) {
					t.Errorf("the wait returns %v", err)
				}
				rows := db.rows(t)
				if len(rows["order-0"]) != 21 || len(rows["order-1"]) != 20 || len(rows["order-2"]) != 20 {
					t.Errorf("%d, %d and %d rows", len(rows["order-0"]), len(rows["order-1"]), len(rows["order-2"]))
				}
			})
		})
	}
}

// TestConsumer_whatMayPassIsRetried has the handler meet a lost connection, and a serialization failure of a
// statement of its own.
func TestConsumer_whatMayPassIsRetried(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, db database) {
		last := orders(t, db, 2, 10)
		var times atomic.Int64
		flaky := func(e *store.RecordedEvent) error {
			if e.AggregateVersion == 5 && times.Add(1) <= 3 {
				return fmt.Errorf("asking the shop: %w", store.ErrTransient)
			}
			return nil
		}
		h := runHost(t, db, pupwasm.Options{
			Worker:    quickly(),
			Consumers: []pupwasm.Consumer{{Name: "flaky", Handle: db.handler(flaky)}},
		})
		must(h.Wait(t.Context(), "flaky", last))
		wantAll(t, db, 2, 10)
	})
}

// TestConsumer_ofTheWrongDatabaseSaysSo gives a handler of one database to the other.
func TestConsumer_ofTheWrongDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	for want, handle := range map[string]store.Handler{
		"PostgreSQL": postgres.Handler(func(context.Context, pgx.Tx, []store.RecordedEvent) error { return nil }),
		"MariaDB":    mysql.Handler(func(context.Context, *sql.Tx, []store.RecordedEvent) error { return nil }),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			db := onSQLite(t)
			last := orders(t, db, 1, 1)
			h := runHost(t, db, pupwasm.Options{
				Worker: quickly(), Consumers: []pupwasm.Consumer{{Name: "wrong", Handle: handle}},
			})
			var failed *segments.FailedError
			testwait.Until(t, "it has failed", func() bool {
				return errors.As(h.Wait(t.Context(), "wrong", last), &failed)
			})
			if !strings.Contains(failed.Reason, "the handler is for "+want) {
				t.Errorf("the failure is %s", failed.Reason)
			}
		})
	}
}

func TestNewHost_refusesConsumersThatCannotRun(t *testing.T) {
	t.Parallel()
	handle := func(context.Context, any, []store.RecordedEvent) error { return nil }
	for want, consumers := range map[string][]pupwasm.Consumer{
		"is not a name": {{Name: "Users", Handle: handle}},
		"has no Handle": {{Name: "users"}},
		"two consumers have the name users and version 1": {
			{Name: "users", Handle: handle}, {Name: "users", Version: 1, Handle: handle},
		},
		"partition": {{Name: "users", Handle: handle, Partition: &store.Partition{By: "moon"}}},
	} {
		if _, err := pupwasm.NewHost(open(t), pupwasm.Options{Consumers: consumers}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

// TestHost_failFastEndsWithTheFailure has one of two consumers fail.
func TestHost_failFastEndsWithTheFailure(t *testing.T) {
	t.Parallel()
	db := onSQLite(t)
	orders(t, db, 1, 3)
	options := quickly()
	options.FailFast = true
	h, err := pupwasm.NewHost(db, pupwasm.Options{Worker: options, Logger: discard(), Consumers: []pupwasm.Consumer{
		{Name: "failing", Handle: db.handler(func(e *store.RecordedEvent) error { return errors.New("no such customer") })},
		{Name: "well", Handle: db.handler(fine)},
	}})
	must(err)
	var failed *segments.FailedError
	if err := h.Run(t.Context()); !errors.As(err, &failed) || failed.Projection != "failing" ||
		!strings.Contains(failed.Reason, "no such customer") {
		t.Errorf("Run returns %v", err)
	}
}

// TestHost_aProjectionHasSettingsOfItsOwn counts the segments, and the events of a batch, of two consumers.
func TestHost_aProjectionHasSettingsOfItsOwn(t *testing.T) {
	t.Parallel()
	db := onSQLite(t)
	last := orders(t, db, 4, 10)
	options := quickly()
	options.Segments, options.BatchEvents = 2, 30
	options.Projections = map[string]segments.ProjectionOptions{"own": {Segments: 1, BatchEvents: 7}}
	var batches sync.Map // the largest of each
	consumer := func(name string) pupwasm.Consumer {
		return pupwasm.Consumer{
			Name: name, Partition: pupwasm.ByStream(),
			Handle: func(_ context.Context, _ any, events []store.RecordedEvent) error {
				largest, _ := batches.LoadOrStore(name, new(atomic.Int64))
				for most := largest.(*atomic.Int64); most.Load() < int64(len(events)); {
					most.Store(int64(len(events)))
				}
				return nil
			},
		}
	}
	both := []pupwasm.Consumer{consumer("own"), consumer("other")}
	h := runHost(t, db, pupwasm.Options{Worker: options, Consumers: both})
	for name, want := range map[string]struct{ segments, batch int }{"own": {1, 7}, "other": {2, 30}} {
		must(h.Wait(t.Context(), name, last))
		status, err := h.Status(t.Context(), name)
		must(err)
		largest, _ := batches.Load(name)
		if got := int(largest.(*atomic.Int64).Load()); len(status[0].Segments) != want.segments || got > want.batch ||
			name == "own" && got != 7 {
			t.Errorf("%s has %d segments and batches of %d", name, len(status[0].Segments), got)
		}
	}
}
