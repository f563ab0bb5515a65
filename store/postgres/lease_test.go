package postgres_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestClaim_keepsItsLimitWhateverThePlan has the planner believe that there is one segment, so that it looks for
// free ones once for every segment there is: each time without those that were taken just before.
func TestClaim_keepsItsLimitWhateverThePlan(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	execute(t, db.Connect(t), "VACUUM ANALYZE pupwasm.segments")
	must(t, s.Reshard(t.Context(), sums().ID(), func(l *store.Layout) error { return l.Resize(8) }))
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	for limit := range 4 {
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: limit})
		must(t, err)
		if len(claims) != limit {
			t.Errorf("a limit of %d gives %d claims", limit, len(claims))
		}
	}
}

// TestLeave_locksInOrder has a segment stored behind the next one. Who takes the later first and waits for the
// earlier meets, in a deadlock, a change of the layout that takes them in order.
func TestLeave_locksInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 2)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	_, err = s.Claim(t.Context(), store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 2})
	must(t, err)
	conn := db.Connect(t)
	execute(t, conn, "UPDATE pupwasm.segments SET epoch = epoch + 1 WHERE segment = 0")
	tx := begin(t, conn)
	_, err = tx.Exec(t.Context(), "SELECT FROM pupwasm.segments WHERE segment = 0 FOR UPDATE")
	must(t, err)
	left := make(chan error, 1)
	go func() { left <- s.Leave(t.Context(), store.Worker{Name: "w"}) }()
	awaitBlocked(t, db)
	_, err = tx.Exec(t.Context(), "SELECT FROM pupwasm.segments WHERE segment = 1 FOR UPDATE NOWAIT")
	must(t, err)
	must(t, tx.Rollback(t.Context()))
	must(t, <-left)
	wantRows(t, db, "SELECT count(owner) FROM pupwasm.segments", "0")
}
