package segments_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// quietID is a version of the module of loadVersion.
func quietID(version int) store.ProjectionID {
	return store.ProjectionID{Name: "quiet", Version: version}
}

// loadVersion loads a module that writes nothing, by version, which may have further members of the description.
func loadVersion(t *testing.T, runtime *host.Runtime, version string) *host.Module {
	t.Helper()
	guest := &hosttest.Guest{Describe: `{"name":"quiet","version":` + version + `}`}
	module, err := runtime.Load(t.Context(), "quiet"+version[:1]+".wasm", guest.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// reset resets a projection once nobody owns a segment of it, as nobody does for a moment when all have failed
// or their worker was paused for longer than its lease.
func reset(t *testing.T, s store.Store, db pgtest.Database, projection string) {
	t.Helper()
	if _, err := db.Connect(t).Exec(t.Context(), "DELETE FROM pupwasm.workers"); err != nil {
		t.Fatal(err)
	}
	var err error
	testwait.Until(t, "the projection is reset", func() bool {
		if err = s.Reset(t.Context(), projection); err != nil {
			_, _ = db.Connect(t).Exec(t.Context(), "DELETE FROM pupwasm.workers")
		}
		return err == nil
	})
}

// TestReset_aWorkerDoesNotRunItsModuleOnTheTablesOfAnotherVersion has a projection be reset and built by
// another version behind a worker's back.
func TestReset_aWorkerDoesNotRunItsModuleOnTheTablesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	lines := &logBuffer{}
	options := quick()
	options.Logger = zerolog.New(lines)
	old := startWorker(t, s, options, loadVersion(t, runtime, "1"))
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))

	reset(t, s, db, "quiet")
	next := loadVersion(t, runtime, "2")
	if _, err := s.Install(t.Context(), &next.Description.Projection, 4); err != nil {
		// The old worker was first, which is its right: then it is reset again until the new one is.
		testwait.Until(t, "version 2 is installed", func() bool {
			reset(t, s, db, "quiet")
			_, err := s.Install(t.Context(), &next.Description.Projection, 4)
			return err == nil
		})
	}
	testwait.Until(t, "the old worker says why it stops", func() bool {
		return strings.Contains(lines.String(), "has version 2 live, and version 1")
	})
	head := appendTo(t, s, finesOf(10)...)
	for _, segment := range statusOf(t, s, "quiet").Segments {
		if segment.Owner != "" {
			t.Errorf("segment %d is run by %s", segment.Segment, segment.Owner)
		}
	}
	startWorker(t, s, quick(), next)
	applied(t, s, "quiet", head)
	old.runs(t)
}

// TestReset_aModuleThatWaitsIsInstalled is what the refusal of another declaration advises.
func TestReset_aModuleThatWaitsIsInstalled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	lines := &logBuffer{}
	options := quick()
	options.Logger = zerolog.New(lines)
	worker := startWorker(t, s, options, loadVersion(t, runtime, "1"))
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))
	worker.Set(loadVersion(t, runtime, `1,"ordering":"global"`))
	testwait.Until(t, "the other declaration is refused", func() bool {
		return strings.Contains(lines.String(), "module refused, the one before goes on")
	})
	reset(t, s, db, "quiet")
	testwait.Until(t, "the other declaration is installed", func() bool {
		all, err := s.Status(t.Context(), "quiet")
		return err == nil && len(all) == 1 && len(all[0].Segments) == 1
	})
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))
	worker.runs(t)
}
