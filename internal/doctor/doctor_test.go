package doctor_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/doctor"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

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

// findings are the problems and warnings, each with its check, finding and remedy.
func findings(t *testing.T, s store.Store) (lines []string, worst store.Severity) {
	t.Helper()
	examination, err := doctor.Examine(t.Context(), s, s)
	must(t, err)
	for _, f := range examination.Findings {
		if (f.Severity == store.SeverityOK) != (f.Remedy == "") {
			t.Errorf("%+v: what is wrong has a remedy, and nothing else has", f)
		}
		if f.Severity != store.SeverityOK {
			lines = append(lines, string(f.Severity)+" "+f.Check+": "+f.Finding+" → "+f.Remedy)
		}
	}
	return lines, examination.Worst
}

func TestExamine_aSoundDatabase(t *testing.T) {
	t.Parallel()
	if lines, worst := findings(t, openStore(t)); len(lines) != 0 || worst != store.SeverityOK {
		t.Errorf("a new database is %s: %q", worst, lines)
	}
}

// TestExamine_everythingAtOnce has segments without a host, one that failed, one that is stalled, keys that are parked, a
// module that is refused, and hosts that disagree and share unevenly.
func TestExamine_everythingAtOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	fines, sums := store.ProjectionID{Name: "fines", Version: 1}, store.ProjectionID{Name: "sums", Version: 1}
	catalogue, err := s.Install(t.Context(), &store.Projection{Name: "fines", Version: 1}, 4)
	must(t, err)
	_, err = s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 2)
	must(t, err)
	beat := func(worker store.Worker) { t.Helper(); must(t, s.Heartbeat(t.Context(), worker, time.Hour)) }
	beat(store.Worker{Name: "a", Projections: []store.Membership{{ProjectionID: fines}}, Segments: 4})
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: fines, Worker: "a", Limit: 3})
	must(t, err)
	must(t, s.Fail(t.Context(), claims[0], "it divides by zero"))
	beat(store.Worker{
		Name: "a", Projections: []store.Membership{{ProjectionID: fines}}, Segments: 4,
		Troubles: []store.Trouble{{Projection: fines, Segment: claims[1].Segment, Reason: "the disk is full"}},
	})
	beat(store.Worker{
		Name: "b", Projections: []store.Membership{
			{ProjectionID: fines, Segments: 8}, {ProjectionID: store.ProjectionID{Name: "sums", Version: 2}},
		},
		Refused: []store.Refusal{{Projection: store.ProjectionID{Name: "sums", Version: 3}, Reason: "it is too large"}},
	})
	beat(store.Worker{Name: "c", Projections: []store.Membership{{ProjectionID: sums}}})
	_, err = s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "1"}, Events: []store.Event{{Type: "E"}},
	})
	must(t, err)
	park := store.Commit{
		Through: 1, Log: claims[2].Applied.Log,
		Parked: []store.NewParked{{Key: []byte("k"), Fault: store.ParkedFault{Position: 1, Event: store.UUID{1}, Error: "no", RetryAfter: -1}}},
		Noted:  []store.ParkedEvent{{Key: []byte("k"), Position: 1}},
	}
	must(t, catalogue.Begin(claims[2]).Commit(t.Context(), park))

	lines, worst := findings(t, s)
	all := strings.Join(lines, "\n")
	for _, want := range []string{
		"problem failed: fines, segment 0: it divides by zero → remove the cause, then 'pupwasm retry fines'",
		"problem stalled: fines, segment 1: the disk is full → ",
		"problem unowned: of 4 segments of fines 1 without a host → start 'pupwasm run'",
		"problem parked: of 1 parked key of fines 1 will not be tried again by itself; waiting: 1 event → 'pupwasm parked list fines'",
		"problem refused: host b refuses version 3 of sums: it is too large → ",
		"warning hosts disagree: about sums: version 1 runs on c; version 2 runs on b → ",
		"warning hosts disagree: about the number of segments of fines: 4 by a; 8 by b → ",
		"warning uneven: of 4 segments of fines one host has 2 and another 0 → ",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say\n%s\nbut\n%s", want, all)
		}
	}
	if worst != store.SeverityProblem || !strings.HasPrefix(all, "problem ") {
		t.Errorf("the worst is %s, and problems must come first:\n%s", worst, all)
	}
}

// TestExamine_aVersionThatWasLeftBehind has a host refuse an older version than the one that readers see, and a later one.
func TestExamine_aVersionThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	live := store.ProjectionID{Name: "left", Version: 2}
	_, err := s.Install(t.Context(), &store.Projection{Name: live.Name, Version: live.Version}, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{
		Name: "a", Projections: []store.Membership{{ProjectionID: live}}, Refused: []store.Refusal{
			{Projection: store.ProjectionID{Name: "left", Version: 1}, Reason: "it is old"},
			{Projection: store.ProjectionID{Name: "left", Version: 3}, Reason: "it is bad"},
		},
	}, time.Hour))
	lines, _ := findings(t, s)
	for _, want := range []string{
		"warning refused: host a refuses version 1 of left: it is old → take its file out of the folder of that host",
		"problem refused: host a refuses version 3 of left: it is bad → give it a module that fits, or put the one before it back",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("it says %q, not %q", lines, want)
		}
	}
}

// TestExamine_versionsBesideEachOther has every host run two versions of a projection.
func TestExamine_versionsBesideEachOther(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	both := []store.Membership{
		{ProjectionID: store.ProjectionID{Name: "sums", Version: 1}},
		{ProjectionID: store.ProjectionID{Name: "sums", Version: 2}},
	}
	for _, name := range []string{"a", "b"} {
		must(t, s.Heartbeat(t.Context(), store.Worker{Name: name, Projections: both}, time.Hour))
	}
	if lines, _ := findings(t, s); len(lines) > 0 {
		t.Errorf("it says %q", lines)
	}
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "b", Projections: both[:1]}, time.Hour))
	want := "warning hosts disagree: about sums: version 1 runs on a, b; version 2 runs on a → " +
		"give all hosts the same modules"
	if lines, _ := findings(t, s); len(lines) != 1 || lines[0] != want {
		t.Errorf("where one host has one of them it says %q, want %q", lines, want)
	}
}

// TestExamine_aPausedProjection is not said to lack a host.
func TestExamine_aPausedProjection(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 2)
	must(t, err)
	_, err = s.SetPaused(t.Context(), "sums", true)
	must(t, err)
	want := "warning paused: sums is paused, and its rows stay as they are → 'pupwasm resume sums' lets it go on"
	if lines, _ := findings(t, s); !slices.Equal(lines, []string{want}) {
		t.Errorf("the findings are %q, must be %q", lines, want)
	}
}

// TestExamine_aVersionWithoutAHost tells the version that readers see from others.
func TestExamine_aVersionWithoutAHost(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	first, second := store.ProjectionID{Name: "sums", Version: 1}, store.ProjectionID{Name: "sums", Version: 2}
	table := func(version int) *store.Projection {
		name := store.Column{Name: "name", Type: store.Type{Kind: store.KindText}}
		return &store.Projection{Name: "sums", Version: version, Tables: []store.Table{
			{Name: "total", Key: []string{"name"}, Columns: []store.Column{name}},
		}}
	}
	_, err := s.Install(t.Context(), table(1), 2)
	must(t, err)
	_, err = s.InstallBeside(t.Context(), table(2), 2)
	must(t, err)
	runs := func(id store.ProjectionID) {
		t.Helper()
		must(t, s.Heartbeat(t.Context(), store.Worker{
			Name: "a", Projections: []store.Membership{{ProjectionID: id}},
		}, time.Hour))
		_, err := s.Claim(t.Context(), store.ClaimRequest{Projection: id, Worker: "a", Limit: 2})
		must(t, err)
	}
	want := func(want string) {
		t.Helper()
		if lines, _ := findings(t, s); len(lines) != 1 || lines[0] != want {
			t.Errorf("it says %q, want %q", lines, want)
		}
	}
	runs(second)
	want("problem unowned: of 2 segments of sums version 1, which readers see, 2 without a host → " +
		"start 'pupwasm run' with a folder that has its module, or promote a version that runs")
	_, err = s.Promote(t.Context(), second)
	must(t, err)
	want("warning unowned: of 2 segments of sums version 1, which readers do not see, 2 without a host → " +
		"put its module into the folder of a host to go on with it, or 'pupwasm retire sums 1' deletes it")
	must(t, s.Leave(t.Context(), store.Worker{Name: "a"}))
	runs(first)
	if lines, _ := findings(t, s); len(lines) != 1 || !strings.Contains(lines[0], "version 2, which readers see, 2 without") {
		t.Errorf("it says %q", lines)
	}
}
