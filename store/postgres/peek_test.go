package postgres_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func peek(t testing.TB, s postgres.Backend, after int64, limit int) (store.Horizon, *store.Page) {
	t.Helper()
	page := &store.Page{}
	h, err := s.Peek(t.Context(), store.ReadRequest{
		After: after, Limit: limit, Range: store.FullRange(),
		Columns: store.AllColumns,
	}, page)
	must(t, err)
	h.Log = store.LogID{} // as horizonOf has it
	return h, page
}

func positionsOf(page *store.Page) (positions []int64) {
	for i := range page.Events {
		positions = append(positions, page.Events[i].Position)
	}
	return positions
}

func TestPeek_readsNotBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	if h, page := peek(t, s, 0, 10); h.Position != 0 || page.Through != 0 || len(page.Events) != 0 {
		t.Errorf("an empty log has %+v and goes up to %d", h, page.Through)
	}
	appendOne(t, s, "a")
	appendOne(t, s, "b")
	under := begin(t, db.Connect(t))
	insertIn(t, under, "c", 1)
	appendOne(t, s, "d")

	h, page := peek(t, s, 0, 10)
	if h != horizonOf(t, s) || h.Position != 2 || h.Holder == 0 {
		t.Errorf("the horizon is %+v, must be %+v", h, horizonOf(t, s))
	}
	if got := positionsOf(page); len(got) != 2 || page.Through != 2 {
		t.Errorf("the page has %v and goes up to %d, must end at the horizon, which is 2", got, page.Through)
	}
	if _, page := peek(t, s, 0, 1); len(page.Events) != 1 || page.Through != 1 {
		t.Errorf("with a limit of 1 the page has %v and goes up to %d", positionsOf(page), page.Through)
	}
	if _, page := peek(t, s, 2, 1); len(page.Events) != 0 || page.Through != 2 {
		t.Errorf("at the horizon the page has %v and goes up to %d", positionsOf(page), page.Through)
	}
	if _, page := peek(t, s, 7, 1); len(page.Events) != 0 || page.Through != 7 {
		t.Errorf("beyond the horizon the page has %v and goes up to %d", positionsOf(page), page.Through)
	}
	end(t, under, true)
	if _, page := peek(t, s, 2, 10); len(page.Events) != 2 || page.Through != 4 {
		t.Errorf("when the append has ended the page has %v and goes up to %d", positionsOf(page), page.Through)
	}
}

// TestPeek_missesNothing reads by peeks alone beside writers whose positions become visible in any order, under an
// isolation level that would give both halves one snapshot, were they one transaction.
func TestPeek_missesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	execute(t, db.Connect(t),
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$`)
	s := open(t, db)
	const writers, each = 8, 150
	var group sync.WaitGroup
	var over atomic.Bool
	for n := range writers {
		conn := db.Connect(t)
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for i := range each {
				err := pgx.BeginTxFunc(context.Background(), conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted},
					func(tx pgx.Tx) error {
						for range 1 + random.IntN(3) {
							if _, err := tx.Exec(context.Background(),
								`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
							aggregate_version, event_type, payload) VALUES ('shop', 'order',
							gen_random_uuid()::text, 1, 'e', '')`); err != nil {
								return err
							}
						}
						if i%5 == 0 {
							return tx.Rollback(context.Background())
						}
						return nil
					})
				if err != nil && i%5 != 0 {
					t.Error(err)
				}
			}
		})
	}
	go func() { group.Wait(); over.Store(true) }()
	seen, after := int64(0), int64(0)
	for last := false; ; {
		h, page := peek(t, s, after, 1+rand.IntN(50))
		seen += int64(len(page.Events))
		after = page.Through
		if last && after == h.Head {
			break
		}
		last = over.Load()
	}
	var want int64
	must(t, db.Connect(t).QueryRow(t.Context(), "SELECT count(*) FROM pupwasm.events").Scan(&want))
	if seen != want {
		t.Errorf("peeks saw %d of %d events", seen, want)
	}
}
