package moduleset_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/moduleset"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestMain lets modules be compiled in processes of this program.
func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(m.Run())
}

// folder is a folder of modules whose worker has not begun, so that each change is there at once.
type folder struct {
	*testing.T
	path     string
	registry *host.Registry
	set      *moduleset.Set
	worker   *segments.Worker
	lines    bytes.Buffer // of the set's log
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "shop.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	f := &folder{T: t, path: t.TempDir()}
	if f.worker, err = segments.New(db.Backend(), db.Backend(), segments.Options{}); err != nil {
		t.Fatal(err)
	}
	runtime, err := host.NewRuntime(t.Context(), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runtime.Close(context.Background()) })
	if f.registry, err = host.NewRegistry(runtime, f.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.registry.Close)
	f.set = moduleset.New(f.worker, zerolog.New(&f.lines))
	return f
}

// write puts a module into the folder.
func (f *folder) write(file, projection string, version int) {
	f.Helper()
	guest := &hosttest.Guest{Describe: `{"name":"` + projection + `","version":` + strconv.Itoa(version) + `}`}
	if err := os.WriteFile(filepath.Join(f.path, file), guest.Wasm(), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) remove(file string) {
	f.Helper()
	if err := os.Remove(filepath.Join(f.path, file)); err != nil {
		f.Fatal(err)
	}
}

// runs brings the set up to date, and fails the test unless the worker then has just these versions of projection
// fines.
func (f *folder) runs(versions ...int) {
	f.Helper()
	changes, err := f.registry.Sync(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.set.Apply(changes)
	var got []int
	for _, p := range f.worker.Progress() {
		if p.Projection.Name == "fines" {
			got = append(got, p.Projection.Version)
		}
	}
	if !slices.Equal(got, versions) {
		f.Errorf("the worker has versions %v of the projection, want %v", got, versions)
	}
}

// refuses fails the test unless the last failure is one line that says this.
func (f *folder) refuses(want string) {
	f.Helper()
	failures := f.set.Failures()
	if len(failures) == 0 {
		f.Fatal("nothing has failed")
	}
	if got := failures[len(failures)-1].Error(); !strings.Contains(got, want) || strings.Contains(got, "\n") {
		f.Errorf("the last failure is %q, want %q", got, want)
	}
}

// says fails the test unless the log has a text, once.
func (f *folder) says(text string) {
	f.Helper()
	if n := strings.Count(f.lines.String(), text); n != 1 {
		f.Errorf("the log says %d times %q: %s", n, text, &f.lines)
	}
}

func TestSet_twoVersionsOfAProjection(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("fines.wasm", "fines", 1)
	f.write("next.wasm", "fines", 2)
	f.runs(1, 2)
	f.write("next.wasm", "fines", 3) // another version takes its place
	f.runs(1, 3)
	f.says(`"module":"next.wasm","projection":"fines","version":2,"now":"version 3 of projection fines",` +
		`"message":"the file is another version now, this host no longer runs the one before"`)
	f.write("fines.wasm", "fines", 4)
	f.runs(3, 4)
	f.write("next.wasm", "other", 4) // another projection does
	f.runs(4)
	f.write("next.wasm", "fines", 5)
	f.runs(4, 5)
	f.remove("fines.wasm")
	f.runs(5)
	f.remove("next.wasm")
	f.runs()
	if failures := f.set.Failures(); len(failures) > 0 {
		t.Errorf("failures are %v", failures)
	}
}

func TestSet_oneVersionTwice(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("fines.wasm", "fines", 1)
	f.write("next.wasm", "fines", 2)
	f.runs(1, 2)
	f.write("next.wasm", "fines", 1) // the version before goes on
	f.runs(1, 2)
	f.refuses(`module next.wasm: implements version 1 of projection "fines" as fines.wasm does: remove one of the two, ` +
		`or give it another version`)
	f.write("fines.wasm", "fines", 3) // version 1 is free
	f.runs(1, 3)
}

// TestSet_aProgramKeepsItsVersion has a module of the version of a program that is in no folder.
func TestSet_aProgramKeepsItsVersion(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.set.AddProgram(native{})
	f.write("fines.wasm", "fines", 1)
	f.runs(1)
	f.refuses("consumer fines and module fines.wasm are both version 1 of projection fines: remove one of the two, " +
		"or give it another version")
	f.write("fines.wasm", "fines", 2)
	f.runs(1, 2)
	f.remove("fines.wasm")
	f.runs(1)
}

// native is version 1 of projection fines, of which only the declaration counts.
type native struct{ segments.Program }

func (native) Projection() *store.Projection { return &store.Projection{Name: "fines", Version: 1} }
func (native) Source() string                { return "consumer fines" }
func (native) Close(context.Context)         {}
