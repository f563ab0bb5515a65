package postgres_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestClaim_keepsItsLimitWhateverThePlan has the planner believe that there is one segment, so that it looks for free ones once
// for every segment there is: each time without those that were taken just before.
func TestClaim_keepsItsLimitWhateverThePlan(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	execute(t, db.Connect(t), "VACUUM ANALYZE pupwasm.segments")
	must(t, s.Reshard(t.Context(), "sums", func(l *store.Layout) error { return l.Resize(8) }))
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	for limit := range 4 {
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: "sums", Worker: "w", Limit: limit})
		must(t, err)
		if len(claims) != limit {
			t.Errorf("a limit of %d gives %d claims", limit, len(claims))
		}
	}
}
