package postgres_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// commitAndRead has several goroutines commit and read at once, so that a pooler mixes its servers.
func commitAndRead(t *testing.T, db pgtest.Database, dsn string) postgres.Backend {
	t.Helper()
	s, err := postgres.OpenBackend(dsn, postgres.Options{Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)
	const segments, rounds = 4, 40
	p := sums()
	catalogue, err := s.Install(t.Context(), p, segments)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: segments})
	must(t, err)
	handOut(t, db)
	var group sync.WaitGroup
	for _, claim := range claims {
		steps := store.NewFolder(p).Fold([]store.Mutation{add("a", 1)})
		group.Go(func() {
			var page store.Page
			for range rounds {
				tx := catalogue.Begin(claim)
				if err := tx.Commit(t.Context(), store.Commit{
					Through: claim.Position + 1, Steps: steps,
					Log: claim.Applied.Log,
				}); err != nil {
					t.Errorf("segment %d: %v", claim.Segment, err)
					return
				}
				claim.Position++
				request := store.ReadRequest{
					Through: 100, Limit: 10, Range: store.FullRange(),
					Columns: store.AllColumns,
				}
				if err := s.Read(t.Context(), request, &page); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	wantRows(t, db, "SELECT n FROM sums.total", strconv.Itoa(segments*rounds))
	return s
}

// TestStmtCache_isTurnedOffBehindAPooler: the first batch whose statements are lost is sent again without names.
func TestStmtCache_isTurnedOffBehindAPooler(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if s := commitAndRead(t, db, db.Pooler(t)); !s.StmtCacheOff() {
		t.Error("no statement was missed: this test proves nothing")
	}
}

func TestStmtCache_isUsedOnADirectConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if s := commitAndRead(t, db, db.DSN); s.StmtCacheOff() {
		t.Error("statements are not kept")
	}
}

// TestStmtCache_survivesAResetOfTheProjection has the server keep a statement whose table is dropped and made again.
func TestStmtCache_survivesAResetOfTheProjection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	handOut(t, db)
	p := sums()
	for range 3 {
		catalogue, err := s.Install(t.Context(), p, 1)
		must(t, err)
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
		must(t, err)
		for range 8 { // the server makes a plan for good after five
			must(t, catalogue.Begin(claims[0]).Commit(t.Context(),
				store.Commit{
					Through: claims[0].Position + 1,
					Steps:   store.NewFolder(p).Fold([]store.Mutation{add("a", 1)}), Log: claims[0].Applied.Log,
				}))
			claims[0].Position++
		}
		wantRows(t, db, "SELECT n FROM sums.total", "8")
		must(t, s.Release(t.Context(), claims[0]))
		must(t, s.Reset(t.Context(), p.Name))
	}
}
