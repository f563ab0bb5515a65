package status_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// openStore opens an empty store.
func openStore(t *testing.T) store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.db")
	db, err := sqlite.OpenSQL(path)
	must(t, err)
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	must(t, err)
	_, err = migrator.Up(t.Context())
	must(t, err)
	opened, err := sqlite.Open(path, sqlite.Options{})
	must(t, err)
	t.Cleanup(opened.Close)
	return opened.Backend()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	paused := store.ProjectionStatus{PausedAt: time.Now()}
	for _, test := range []struct {
		segment store.SegmentStatus
		want    status.State
		paused  status.State // while the projection is
	}{
		{store.SegmentStatus{}, status.Waiting, status.Paused},
		{store.SegmentStatus{Owner: "w", Live: true}, status.Running, status.Running},
		{store.SegmentStatus{Owner: "w"}, status.Abandoned, status.Paused},
		{store.SegmentStatus{Failure: "it traps", Merge: store.Merge{At: 5}, Position: 5}, status.Failed, status.Failed},
		{store.SegmentStatus{Merge: store.Merge{At: 5}, Position: 5}, status.Merging, status.Merging},
		{store.SegmentStatus{Merge: store.Merge{At: 5}, Position: 4}, status.Waiting, status.Paused},
	} {
		got := [...]status.State{
			status.StateOf(&store.ProjectionStatus{}, &test.segment), status.StateOf(&paused, &test.segment),
		}
		if want := [...]status.State{test.want, test.paused}; got != want {
			t.Errorf("%+v is %s, want %s", test.segment, got, want)
		}
	}
}

// TestRead_refusals has a worker refuse a projection that is installed and one that is not.
func TestRead_refusals(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w", Refused: []store.Refusal{
		{Projection: store.ProjectionID{Name: "sums", Version: 2}, Reason: "it is another version"},
		{Projection: store.ProjectionID{Name: "new", Version: 3}, Reason: "it is too large"},
	}}, time.Hour))
	report, err := status.Read(t.Context(), s, s)
	must(t, err)
	if len(report.Projections) != 2 || report.Projections[0].Name != "new" || report.Projections[1].Name != "sums" {
		t.Fatalf("the projections are %+v", report.Projections)
	}
	if p := report.Projections[0]; p.Installed || p.Version != 3 || len(p.Segments) != 0 ||
		!slices.Equal(p.Refused, []status.Refusal{{Worker: "w", Version: 3, Reason: "it is too large"}}) {
		t.Errorf("a projection that was never installed is %+v", p)
	}
	if p := report.Projections[1]; !p.Installed || p.Segments[0].State != status.Refused || len(p.Refused) != 1 {
		t.Errorf("a projection that is installed is %+v", p)
	}
	report, err = status.Read(t.Context(), s, s, "unknown")
	must(t, err)
	if len(report.Projections) != 0 {
		t.Errorf("an unknown projection is %+v", report.Projections)
	}
}

func TestReport_labels(t *testing.T) {
	t.Parallel()
	report := status.Report{Projections: []status.Projection{
		{Name: "sums", Version: 2}, {Name: "users", Version: 1}, {Name: "users", Version: 2},
	}}
	var labels []string
	for i := range report.Projections {
		labels = append(labels, report.Label(&report.Projections[i]))
	}
	if want := []string{"sums", "users version 1", "users version 2"}; !slices.Equal(labels, want) {
		t.Errorf("the labels are %q, want %q", labels, want)
	}
}

// TestRead_ageOfImportedEvents appends events that were created years ago. The segment is behind since it was
// last at the end of the log, and not for years.
func TestRead_ageOfImportedEvents(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	catalogue, err := s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{
		Projection: store.ProjectionID{Name: "sums", Version: 1},
		Worker:     "w", Limit: 1,
	})
	must(t, err)
	old := time.Now().Add(-700 * 24 * time.Hour)
	_, err = s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "1"},
		Events: []store.Event{{Type: "E", CreatedAt: old}, {Type: "E", CreatedAt: old}},
	})
	must(t, err)
	age := func() float64 {
		t.Helper()
		report, err := status.Read(t.Context(), s, s, "sums")
		must(t, err)
		if report.Projections[0].Segments[0].AgeSeconds == nil {
			t.Fatal("the age is not known")
		}
		return *report.Projections[0].Segments[0].AgeSeconds
	}
	if got := age(); got > 600 {
		t.Errorf("before the first commit it is behind for %.0f seconds", got)
	}
	must(t, catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{Through: 1, Log: claims[0].Applied.Log}))
	if got := age(); got > 600 {
		t.Errorf("in the middle it is behind for %.0f seconds", got)
	}
	claims[0].Position = 1
	must(t, catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{Through: 2, Log: claims[0].Applied.Log}))
	if got := age(); got != 0 {
		t.Errorf("at the end it is behind for %.0f seconds", got)
	}
}
