package postgres_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestClaim_waitsForAPauseUnderWay has a claim begin, with all that it sees, before a pause is committed.
func TestClaim_waitsForAPauseUnderWay(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 2)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	tx := begin(t, db.Connect(t))
	_, err = tx.Exec(t.Context(), "UPDATE pupwasm.projections SET paused_at = now()")
	must(t, err)
	type answer struct {
		claims []store.Claim
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 2})
		answers <- answer{claims, err}
	}()
	awaitBlocked(t, db)
	must(t, tx.Commit(t.Context()))
	got := <-answers
	must(t, got.err)
	if len(got.claims) > 0 {
		t.Errorf("a paused projection gives %+v", got.claims)
	}
}

// TestSetPaused_waitsForAClaimUnderWay has a pause begin before a claim is committed, whose owner the status shows when
// the pause has returned.
func TestSetPaused_waitsForAClaimUnderWay(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	tx := begin(t, db.Connect(t))
	_, err = tx.Exec(t.Context(), "SELECT FROM pupwasm.projections FOR SHARE") // as a claim does first
	must(t, err)
	paused := make(chan error, 1)
	go func() {
		_, err := s.SetPaused(t.Context(), "sums", true)
		paused <- err
	}()
	awaitBlocked(t, db)
	must(t, tx.Commit(t.Context()))
	must(t, <-paused)
}
