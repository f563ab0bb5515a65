package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// promoterVariable holds the path of the database when this binary runs as a process that promotes.
const promoterVariable = "PUPWASM_SQLITE_TEST_PROMOTER"

// promoter promotes versions of tally in turns until it is killed, and prints each that is live.
func promoter(path string) error {
	ctx := context.Background()
	s, err := sqlite.OpenBackend(path, sqlite.Options{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer s.Close()
	for version := 2; ; version = 3 - version {
		if err := promoteTally(ctx, s, version); err != nil {
			return err
		}
		if _, err := fmt.Println(version); err != nil {
			return err
		}
	}
}

// promoteTally promotes a version as soon as it is not behind.
func promoteTally(ctx context.Context, s sqlite.Backend, version int) error {
	for {
		_, err := s.Promote(ctx, store.ProjectionID{Name: "tally", Version: version})
		var behind *store.BehindError
		if err == nil || !errors.As(err, &behind) && !errors.Is(err, store.ErrTransient) {
			return err
		}
	}
}

// tallies commits to two versions of tally in turns, so that none is behind by more than a position.
type tallies struct {
	s          sqlite.Backend
	claims     [2]store.Claim
	catalogues [2]store.Catalogue
}

func newTallies(t *testing.T, s sqlite.Backend) *tallies {
	t.Helper()
	all := &tallies{s: s}
	if err := s.Heartbeat(t.Context(), store.Worker{Name: "writer"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	for n := range all.claims {
		p := tally()
		p.Version = n + 1
		var err error
		if all.catalogues[n], err = s.InstallBeside(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "writer", Limit: 1})
		if err != nil || len(claims) != 1 {
			t.Fatal(claims, err)
		}
		all.claims[n] = claims[0]
	}
	return all
}

// round appends an event and commits it to both.
func (a *tallies) round(ctx context.Context) error {
	if _, err := a.s.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("one"), Events: events(1)}); err != nil {
		return fmt.Errorf("appending: %w", err)
	}
	for n := range a.claims {
		claim := &a.claims[n]
		mutations := []store.Mutation{
			{Values: []store.Value{store.I64(1), store.I64(1)}}, {Write: 1, Values: []store.Value{store.I64(claim.Position)}},
		}
		if err := a.catalogues[n].Begin(*claim).Commit(ctx, store.Commit{
			Through: claim.Position + 1, Steps: store.NewFolder(tally()).Fold(mutations), Log: claim.Applied.Log,
		}); err != nil {
			return fmt.Errorf("committing to version %d: %w", n+1, err)
		}
		claim.Position++
	}
	return nil
}

// liveTally returns the version that is live. It fails the test unless both views show it, with as many rows as its
// checkpoint says.
func liveTally(t *testing.T, s sqlite.Backend, db *sql.DB) int {
	t.Helper()
	all, err := s.Status(t.Context(), "tally")
	if err != nil {
		t.Fatal(err)
	}
	live, lives := 0, 0
	for i := range all {
		if all[i].Live {
			live = all[i].Version
			lives++
		}
	}
	views := queryText(t, db, "SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND name LIKE 'tally%' ORDER BY 1")
	for _, view := range views {
		if !strings.Contains(view[1], fmt.Sprintf("tally__v%d__", live)) {
			t.Errorf("version %d is live, and view %s is %s", live, view[0], view[1])
		}
	}
	if lives != 1 || len(views) != 2 {
		t.Errorf("%d versions are live, and readers have %d views", lives, len(views))
	}
	rows := queryText(t, db, "SELECT (SELECT n FROM tally__sum), (SELECT count(*) FROM tally__line)")
	if rows[0][0] != rows[0][1] {
		t.Errorf("readers see %s and %s rows", rows[0][0], rows[0][1])
	}
	return live
}

// TestPromote_killedProcessLeavesOneVersion kills a process that does nothing but promote, while both versions are
// written: one version is live each time, with both views, and the next promotion works.
func TestPromote_killedProcessLeavesOneVersion(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{BusyTimeout: time.Minute})
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	written := newTallies(t, s)
	if err := written.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, writer := make(chan struct{}), sync.WaitGroup{}
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := written.round(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[int]int{}
	for range 25 {
		killPromoter(t, path)
		live := liveTally(t, s, db)
		seen[live]++
		if err := promoteTally(t.Context(), s, 3-live); err != nil {
			t.Fatal(err)
		}
		if got := liveTally(t, s, db); got != 3-live {
			t.Errorf("version %d is live, %d was promoted", got, 3-live)
		}
	}
	close(stop)
	writer.Wait()
	t.Logf("versions were live after a kill so many times: %v", seen)
	if want := queryText(t, db, "PRAGMA integrity_check"); want[0][0] != "ok" {
		t.Errorf("integrity: %v", want)
	}
	comparison, err := s.Compare(t.Context(), store.ProjectionID{Name: "tally", Version: 1}, store.ProjectionID{Name: "tally", Version: 2}, 1,
		func() {})
	if err != nil || comparison.Differ() {
		t.Errorf("the versions are compared: %+v, %v", comparison, err)
	}
}

// killPromoter starts a process that promotes, and kills it at some moment.
func killPromoter(t *testing.T, path string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), promoterVariable+"="+path)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 2)
	for range 1 + rand.IntN(4) {
		if _, err := out.Read(line); err != nil {
			t.Fatalf("the process ended by itself: %v", err)
		}
	}
	<-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond) // in the middle of the next
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
}
