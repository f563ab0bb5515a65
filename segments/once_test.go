package segments_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// server is a store on PostgreSQL, as a worker uses it.
type server interface {
	store.Store
	store.Notifier
	store.Peeker
	AppendTx(
		ctx context.Context, tx pgx.Tx, options store.AppendOptions, appends ...store.StreamAppend,
	) ([]store.Appended, error)
}

func openPostgres(t testing.TB, db pgtest.Database) server {
	t.Helper()
	s, err := postgres.Open(db.DSN, postgres.Options{Schema: db.Schema, Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Backend().(server)
}

func newRuntime(t *testing.T, logger zerolog.Logger) *host.Runtime {
	t.Helper()
	runtime, err := host.NewRuntime(t.Context(), host.Options{Logger: logger, CacheDir: compiled, Compiler: compiler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	return runtime
}

func loadExample(t *testing.T, runtime *host.Runtime, name string) *host.Module {
	t.Helper()
	module, err := runtime.Load(t.Context(), name+".wasm", guestbuild.Example(t, guestbuild.Auto, name))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func payments(fine string, cents ...int) store.StreamAppend {
	events := make([]store.Event, len(cents))
	for i, c := range cents {
		events[i] = store.Event{Type: "Payment", Payload: fmt.Appendf(nil, `{"paymentAmount":%d.%02d}`, c/100, c%100)}
	}
	return store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: fine}, Events: events,
	}
}

func TestWorker_onceAppliesWhatIsThere(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	if _, err := s.Append(t.Context(), store.AppendOptions{}, payments("A1", 1, 2, 3), payments("A2", 1050)); err != nil {
		t.Fatal(err)
	}
	logger := zerolog.Nop()
	worker, err := segments.New(s, s, segments.Options{Once: true, Segments: 2, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadExample(t, newRuntime(t, logger), "fine_balance"))
	if err := worker.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows, paid, events int64
	err = db.Connect(t).QueryRow(t.Context(), `SELECT count(*), sum(paid_cents), sum(events) FROM fine_balance.fines`).Scan(&rows, &paid, &events)
	if err != nil {
		t.Fatal(err)
	}
	if rows != 2 || paid != 1056 || events != 4 {
		t.Errorf("got %d rows, %d cents, %d events; want 2, 1056, 4", rows, paid, events)
	}
}
