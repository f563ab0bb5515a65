package pupwasm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestConsumer_writesEachEventOnceInOrder(t *testing.T) {
	t.Parallel()
	partitions := map[string]*store.Partition{
		"one segment": nil, "by stream": pupwasm.ByStream(), "by JSON": pupwasm.ByJSON("n"),
	}
	for name, partition := range partitions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, db database) {
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
			onBoth(t, func(t *testing.T, db database) {
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
	onBoth(t, func(t *testing.T, db database) {
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
	db := onSQLite(t)
	last := orders(t, db, 1, 1)
	h := runHost(t, db, pupwasm.Options{Worker: quickly(), Consumers: []pupwasm.Consumer{{
		Name: "wrong", Handle: postgres.Handler(func(context.Context, pgx.Tx, []store.RecordedEvent) error { return nil }),
	}}})
	var failed *segments.FailedError
	testwait.Until(t, "it has failed", func() bool {
		return errors.As(h.Wait(t.Context(), "wrong", last), &failed)
	})
	if !strings.Contains(failed.Reason, "the handler is for PostgreSQL") {
		t.Errorf("the failure is %s", failed.Reason)
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

// TestConsumer_mistakesAreFaults has handlers leave things behind, and end what is not theirs. Each stops its segment
// with a reason, writes nothing, and holds up nobody.
func TestConsumer_mistakesAreFaults(t *testing.T) {
	t.Parallel()
	const ended = "was ended by SQL of the program"
	onPgx := func(handle func(ctx context.Context, tx pgx.Tx) error) store.Handler {
		return postgres.Handler(func(ctx context.Context, tx pgx.Tx, _ []store.RecordedEvent) error {
			if _, err := tx.Exec(ctx, "INSERT INTO seen (n, stream, payload) VALUES (1, '', '')"); err != nil {
				return err
			}
			return handle(ctx, tx)
		})
	}
	onLite := func(handle func(conn *sqlite3.Conn) error) store.Handler {
		return sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, _ []store.RecordedEvent) error {
			if err := conn.Exec("INSERT INTO seen (n) VALUES (1)"); err != nil {
				return err
			}
			return handle(conn)
		})
	}
	execute := func(statements ...string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			for _, sql := range statements {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, mistake := range map[string]struct {
		open    func(t *testing.T) database
		handler store.Handler
		want    string
	}{
		"postgres, a query left open": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Query(ctx, "SELECT generate_series(1, 1000)")
			return err
		}), "has left a query open"},
		"postgres, ended by SQL": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "ROLLBACK")
			return err
		}), ended},
		"postgres, an error ignored": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "SELECT 1 / 0")
			return nil
		}), "has failed within it"},
		"postgres, committed and chained":   {onPostgres, onPgx(execute("COMMIT AND CHAIN")), ended},
		"postgres, rolled back and chained": {onPostgres, onPgx(execute("ROLLBACK AND CHAIN")), ended},
		"postgres, committed":               {onPostgres, onPgx(execute("COMMIT")), ended},
		"postgres, committed and begun":     {onPostgres, onPgx(execute("COMMIT", "BEGIN")), ended},
		"postgres, prepared":                {onPostgres, onPgx(execute("PREPARE TRANSACTION 'mistaken'", "ROLLBACK PREPARED 'mistaken'")), ended},
		"postgres, committed by the driver": {
			onPostgres,
			onPgx(func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) }), "the transaction ends with the batch",
		},
		"postgres, another role": {
			onPostgres, onPgx(execute("SET LOCAL ROLE pg_monitor")),
			"has another role than it began with",
		},
		"postgres, read-only": {
			onPostgres, onPgx(execute("SET TRANSACTION READ ONLY")),
			"was made read-only by the program",
		},
		"postgres, read-only before it writes": {
			onPostgres,
			postgres.Handler(func(ctx context.Context, tx pgx.Tx, _ []store.RecordedEvent) error {
				return execute("SET TRANSACTION READ ONLY", "INSERT INTO seen (n) VALUES (1)")(ctx, tx)
			}), "3 times in a row, events 1 to 2: the handler met a read-only transaction, and the server takes writes",
		},
		"postgres, closed": {
			onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error { return tx.Conn().Close(ctx) }),
			"3 times in a row, events 1 to 2: the program has left the connection of its transaction closed",
		},
		"postgres, closed and gone on": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_ = tx.Conn().Close(ctx)
			return execute("SELECT 1")(ctx, tx)
		}), "3 times in a row, events 1 to 2: the program has left the connection of its transaction closed"},
		"postgres, a deadline of its own": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			return execute("SELECT pg_sleep(60)")(ctx, tx)
		}), "3 times in a row, events 1 to 2: the handler met a limit"},
		"postgres, a timeout of its own": {
			onPostgres, onPgx(execute("SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(60)")),
			"3 times in a row, events 1 to 2: the handler met a limit",
		},
		"postgres, a timeout of its own at the commit": {onPostgres, onPgx(execute(
			"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$",
			"CREATE TRIGGER slow BEFORE UPDATE ON pupwasm.segments FOR EACH ROW EXECUTE FUNCTION slow()",
			"SET LOCAL statement_timeout = '20ms'")), "3 times in a row, events 1 to 2: the transaction of the program was stopped while it was committed"},
		"sqlite, rolled back and begun": {
			onSQLite,
			onLite(func(conn *sqlite3.Conn) error { return conn.Exec("ROLLBACK; BEGIN; INSERT INTO seen (n) VALUES (2)") }), "was ended by a statement within it",
		},
		"sqlite, committed and begun": {onSQLite, onLite(func(conn *sqlite3.Conn) error {
			_ = conn.Exec("COMMIT")
			return conn.Exec("BEGIN; INSERT INTO seen (n) VALUES (2)")
		}), "was ended by a statement within it"},
		"sqlite, read-only": {
			onSQLite,
			onLite(func(conn *sqlite3.Conn) error { return conn.Exec("PRAGMA query_only = ON") }), "was made read-only by the program",
		},
		"sqlite, rolled back": {
			onSQLite, onLite(func(conn *sqlite3.Conn) error { return conn.Exec("ROLLBACK") }),
			"was ended by a statement within it",
		},
		"sqlite, committed and gone on": {onSQLite, onLite(func(conn *sqlite3.Conn) error {
			_ = conn.Exec("COMMIT")
			_ = conn.Exec("INSERT INTO seen (n) VALUES (2)")
			return nil
		}), "was ended by a statement within it"},
		"sqlite, its goroutine ended": {onSQLite, onLite(func(*sqlite3.Conn) error {
			runtime.Goexit()
			return nil
		}), "has ended its goroutine"},
		"postgres, its goroutine ended": {onPostgres, onPgx(func(context.Context, pgx.Tx) error {
			runtime.Goexit()
			return nil
		}), "has ended its goroutine"},
		"several lines": {
			onSQLite,
			onLite(func(*sqlite3.Conn) error { return errors.Join(errors.New("one"), errors.New("two")) }), "one; two",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := mistake.open(t)
			last := orders(t, db, 1, 2)
			h := runHost(t, db, pupwasm.Options{
				Worker:    quickly(),
				Consumers: []pupwasm.Consumer{{Name: "mistaken", Handle: mistake.handler}},
			})
			var failed *segments.FailedError
			if err := h.Wait(t.Context(), "mistaken", last); !errors.As(err, &failed) ||
				!strings.Contains(failed.Reason, mistake.want) {
				t.Errorf("the wait returns %v", err)
			}
			orders(t, db, 1, 1) // nothing holds an append up
			// What SQL has committed is there, and the checkpoint is not.
			if rows := db.rows(t); len(rows) != 0 && !strings.HasPrefix(name, "postgres, committed") {
				t.Errorf("rows %v", rows)
			}
			status, err := h.Status(t.Context(), "mistaken")
			must(err)
			if position := status[0].Segments[0].Position; position != 0 {
				t.Errorf("the checkpoint is %d", position)
			}
		})
	}
}

// TestConsumer_aStatementLeftOpenHoldsNobodyUp has a handler on SQLite step once through what it has prepared.
func TestConsumer_aStatementLeftOpenHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	db := onSQLite(t)
	last := orders(t, db, 2, 3)
	h := runHost(t, db, pupwasm.Options{Worker: quickly(), Consumers: []pupwasm.Consumer{{
		Name: "open", Handle: sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
			for i := range events {
				insert, _, err := conn.Prepare(fmt.Sprintf("INSERT INTO seen VALUES (%d, '%s', '') RETURNING n", events[i].Position,
					events[i].AggregateID))
				if err != nil {
					return err
				}
				insert.Step()
			}
			return nil
		}),
	}}})
	must(h.Wait(t.Context(), "open", last))
	must(h.Wait(t.Context(), "open", orders(t, db, 2, 1)))
	if rows := db.rows(t); len(rows["order-0"]) != 4 || len(rows["order-1"]) != 4 {
		t.Errorf("rows %v", rows)
	}
}
