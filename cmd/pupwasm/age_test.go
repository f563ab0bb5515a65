package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

// TestStatus_ageOfImportedEvents has events be appended that were created years ago, and one that is of now: a segment is behind since
// it was last at the end of the log, and not for years.
func TestStatus_ageOfImportedEvents(t *testing.T) {
	t.Parallel()
	globals := &globalOptions{database: "sqlite:" + filepath.Join(t.TempDir(), "events.db"), schema: "pupwasm", migrate: true, log: zerolog.Nop()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(migrateUp(t.Context(), globals))
	s, err := openStore(t.Context(), globals)
	must(err)
	defer s.Close()
	catalogue, err := s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 1)
	must(err)
	must(s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: "sums", Worker: "w", Limit: 1})
	must(err)
	appendAt := func(created time.Time) {
		t.Helper()
		_, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "1"},
			Events: []store.Event{{Type: "E", CreatedAt: created}, {Type: "E", CreatedAt: created}},
		})
		must(err)
	}
	age := func() float64 {
		t.Helper()
		report, err := readStatus(t.Context(), s, []string{"sums"})
		must(err)
		if report.Projections[0].Segments[0].AgeSeconds == nil {
			t.Fatal("the age is not known")
		}
		return *report.Projections[0].Segments[0].AgeSeconds
	}
	old := time.Now().Add(-700 * 24 * time.Hour)
	appendAt(old)
	if got := age(); got > 600 {
		t.Errorf("before the first commit it is behind for %.0f seconds", got)
	}
	must(catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{Through: 1, Log: claims[0].Applied.Log}))
	if got := age(); got > 600 {
		t.Errorf("in the middle it is behind for %.0f seconds", got)
	}
	claims[0].Position = 1
	must(catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{Through: 2, Log: claims[0].Applied.Log}))
	if got := age(); got != 0 {
		t.Errorf("at the end it is behind for %.0f seconds", got)
	}
}
