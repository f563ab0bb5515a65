package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// borrow makes a pool as an application would, and a store on it.
func borrow(t *testing.T, dsn string) (*pgxpool.Pool, postgres.Backend) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	must(t, err)
	t.Cleanup(pool.Close)
	s, err := postgres.NewBackend(pool, postgres.Options{})
	must(t, err)
	t.Cleanup(s.Close)
	return pool, s
}

// TestNew_worksOnThePoolOfTheCaller appends, installs, commits and reads on a pool of two connections, which
// goes on after the store.
func TestNew_worksOnThePoolOfTheCaller(t *testing.T) {
	t.Parallel()
	pool, s := borrow(t, pgtest.New(t).DSN+"&pool_max_conns=2")
	ctx := t.Context()
	must(t, s.Ping(ctx))
	appendOne(t, s, "a")
	tx, err := pool.Begin(ctx)
	must(t, err)
	appended, err := s.AppendTx(ctx, tx, store.AppendOptions{}, store.StreamAppend{Stream: stream("b"), Events: events(1)})
	must(t, err)
	must(t, tx.Commit(ctx))
	catalogue, err := s.Install(ctx, sums(), 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	horizon, err := s.Horizon(ctx)
	must(t, err)
	var page store.Page
	must(t, s.Read(ctx, store.ReadRequest{
		Through: horizon.Position, Limit: 10, Range: store.FullRange(),
		Columns: store.AllColumns,
	}, &page))
	if len(page.Events) != 2 || page.Events[1].Position != appended[0].Position {
		t.Fatalf("read %d events", len(page.Events))
	}
	last := page.Events[1]
	must(t, s.Adopt(ctx, claims[0], page.Log))
	unit := catalogue.Begin(claims[0])
	must(t, unit.Commit(ctx, store.Commit{
		Through: last.Position, Log: page.Log, LastPosition: last.Position,
		LastEvent: last.ID,
	}))
	s.Close()
	must(t, pool.Ping(ctx))
}

// TestNew_refusesAConnectionOfAnotherEncoding has the application change the setting on a connection of its pool.
func TestNew_refusesAConnectionOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	pool, s := borrow(t, pgtest.New(t).DSN+"&pool_max_conns=1")
	_, err := pool.Exec(t.Context(), "SET client_encoding = LATIN1")
	must(t, err)
	_, err = s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream("Zoë"), Events: events(1)})
	if err == nil || !strings.Contains(err.Error(), "client_encoding LATIN1") {
		t.Errorf("the append returns %v", err)
	}
}

// TestNative_theHandlerDoesNotEndTheTransaction tries to.
func TestNative_theHandlerDoesNotEndTheTransaction(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	ctx := t.Context()
	catalogue, err := s.Install(ctx, sums(), 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	unit := catalogue.Begin(claims[0])
	defer unit.Rollback()
	handle, err := unit.(store.NativeTx).Native(ctx)
	must(t, err)
	for name, end := range map[string]func(context.Context) error{"Commit": handle.(pgx.Tx).Commit, "Rollback": handle.(pgx.Tx).Rollback} {
		if err := end(ctx); err == nil || !strings.Contains(err.Error(), "ends with the batch") {
			t.Errorf("%s returns %v", name, err)
		}
	}
	nested, err := handle.(pgx.Tx).Begin(ctx) // a savepoint is the handler's own
	must(t, err)
	must(t, nested.Rollback(ctx))
	if again, err := unit.(store.NativeTx).Native(ctx); err != nil || again != handle {
		t.Errorf("a second call gives another handle, or %v", err)
	}
	_, err = handle.(pgx.Tx).Exec(ctx, "COMMIT") // by SQL it can: the commit finds out
	must(t, err)
	var rejected *store.RejectedError
	if err := unit.Commit(ctx, store.Commit{Through: 0, Log: claims[0].Applied.Log}); !errors.As(err, &rejected) {
		t.Errorf("the commit returns %v", err)
	}
}
