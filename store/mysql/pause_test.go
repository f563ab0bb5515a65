package mysql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// TestClaim_waitsForAPauseUnderWay has a claim begin before a pause is committed.
func TestClaim_waitsForAPauseUnderWay(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 2)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	pause := begun(t, at, "UPDATE pupwasm__projections SET paused_at = 1")
	type answer struct {
		claims []store.Claim
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: bare().ID(), Worker: "w", Limit: 2})
		answers <- answer{claims, err}
	}()
	awaitBlocked(t, at, 1)
	must(t, pause.Commit())
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
	at, s := bareOn(t, 1)
	claim := begun(t, at, "SELECT 1 FROM pupwasm__projections WHERE name = 'sums' AND version = 1 LOCK IN SHARE MODE")
	paused := make(chan error, 1)
	go func() {
		_, err := s.SetPaused(t.Context(), "sums", true)
		paused <- err
	}()
	awaitBlocked(t, at, 1)
	must(t, claim.Commit())
	must(t, <-paused)
}

// TestSetPaused_waitsForNobodyWhoHoldsASegment has a commit under way of a worker that is alive.
func TestSetPaused_waitsForNobodyWhoHoldsASegment(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 2)
	claimedBy(t, s, "w", 2)
	begun(t, at, "SELECT 1 FROM pupwasm__segments WHERE projection = 'sums' AND version = 1 AND segment = 1 FOR UPDATE")
	changed, err := s.SetPaused(t.Context(), "sums", true)
	must(t, err)
	if !changed {
		t.Error("the projection is not paused")
	}
}

// TestSetPaused_doesNotDeadlockWithACommitThatParks has the one wait for the segment of a commit, which then parks a key
// and so locks the projection, by the foreign key.
func TestSetPaused_doesNotDeadlockWithACommitThatParks(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 1)
	claims := claimedBy(t, s, "w", 1)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, 0)) // the worker is gone, and its commit under way
	commit := begun(t, at, "SELECT 1 FROM pupwasm__segments FOR UPDATE")
	paused := make(chan error, 1)
	go func() {
		_, err := s.SetPaused(t.Context(), "sums", true)
		paused <- err
	}()
	awaitBlocked(t, at, 1)
	_, err := commit.Exec("INSERT INTO pupwasm__skipped_events (projection, version, position, `key`, event_id, error, " +
		"skipped_at) VALUES ('sums', 1, 1, '', '', '', 0)")
	must(t, err)
	must(t, commit.Commit())
	must(t, <-paused)
	if err := s.Fail(t.Context(), claims[0], "late"); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the worker that is gone is not fenced: %v", err)
	}
}
