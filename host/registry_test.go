package host_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

func newRegistry(t *testing.T) (registry *host.Registry, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "mod[u]les") // a name that a pattern would misread
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	registry, err := host.NewRegistry(newRuntime(t, host.Options{}), folder)
	if err != nil {
		t.Fatal(err)
	}
	registry.WaitForAll()
	t.Cleanup(registry.Close)
	return registry, folder
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// syncFolder returns what changed as "file: verb" in order.
func syncFolder(t *testing.T, registry *host.Registry) []string {
	t.Helper()
	changes, err := registry.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := []string{}
	for _, change := range changes {
		verb := "loaded"
		switch {
		case change.Err != nil:
			verb = "refused: " + change.Err.Error()
		case change.Module == nil:
			verb = "removed"
		case change.Previous != nil:
			verb = "replaced"
		}
		said = append(said, change.File+" "+verb)
	}
	return said
}

func expect(t *testing.T, registry *host.Registry, want ...string) {
	t.Helper()
	said := syncFolder(t, registry)
	if len(said) != len(want) {
		t.Fatalf("changes are %q, must be %q", said, want)
	}
	for i := range want {
		if !strings.HasPrefix(said[i], want[i]) {
			t.Errorf("change %d is %q, must be %q", i, said[i], want[i])
		}
	}
}

func TestRegistry_syncTellsEveryChangeOnce(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	counter := guestbuild.Example(t, guestbuild.Auto, "user_counter")
	at := func(name string) string { return filepath.Join(folder, name) }

	expect(t, registry)
	write(t, at("a.wasm"), counter)
	write(t, at("notes.txt"), []byte("not a module"))
	expect(t, registry, "a.wasm loaded")
	expect(t, registry)

	write(t, at("a.wasm"), counter[:len(counter)/2])
	expect(t, registry, "a.wasm refused")
	expect(t, registry)
	write(t, at("a.wasm"), guestbuild.Variant(counter, "2"))
	expect(t, registry, "a.wasm replaced")

	write(t, at("b.wasm"), counter)
	expect(t, registry, `b.wasm refused: module b.wasm: implements version 1 of projection "user_counter" as a.wasm does`)

	// With a.wasm gone, b.wasm is welcome.
	if err := os.Remove(at("a.wasm")); err != nil {
		t.Fatal(err)
	}
	expect(t, registry, "a.wasm removed", "b.wasm loaded")
	if err := os.Rename(at("b.wasm"), at("c.wasm")); err != nil {
		t.Fatal(err)
	}
	expect(t, registry, "b.wasm removed", "c.wasm loaded")
}

func TestRegistry_aRefusedFileLoadsOnceItsNameIsFree(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	counter := guestbuild.Example(t, guestbuild.Auto, "user_counter")
	at := func(name string) string { return filepath.Join(folder, name) }
	write(t, at("a.wasm"), counter)
	write(t, at("b.wasm"), counter)
	expect(t, registry, "a.wasm loaded", "b.wasm refused")
	// a.wasm becomes another projection.
	write(t, at("a.wasm"), guestbuild.Example(t, guestbuild.Auto, "revenue"))
	expect(t, registry, "a.wasm replaced", "b.wasm loaded")
	// The same where the file that frees the name comes later.
	write(t, at("0.wasm"), counter)
	expect(t, registry, "0.wasm refused")
	write(t, at("b.wasm"), guestbuild.Example(t, guestbuild.Auto, "activity_log"))
	expect(t, registry, "b.wasm replaced", "0.wasm loaded")
}

func TestRegistry_aFolderThatIsAwayStopsNothing(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	write(t, filepath.Join(folder, "a.wasm"), guestbuild.Example(t, guestbuild.Auto, "user_counter"))
	expect(t, registry, "a.wasm loaded")
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if changes, err := registry.Sync(t.Context()); err == nil || len(changes) > 0 {
		t.Errorf("changes are %v and the error %v, must be none and one", changes, err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	expect(t, registry)
}

func TestRegistry_unreadableFileIsRefused(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	if err := os.Mkdir(filepath.Join(folder, "folder.wasm"), 0o755); err != nil {
		t.Fatal(err)
	}
	expect(t, registry, "folder.wasm refused: module folder.wasm: cannot be read")
	expect(t, registry)
}

func TestRegistry_watchNoticesWhateverWayAFileComes(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 100)
	stopped := make(chan error, 1)
	go func() { stopped <- registry.Watch(ctx, func() { changed <- struct{}{} }) }()

	wait := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(testwait.Patience):
			t.Fatalf("%s went unnoticed", what)
		}
	}
	wait("the beginning")
	wasm := guestbuild.Example(t, guestbuild.Auto, "user_counter")
	target := filepath.Join(folder, "a.wasm")
	write(t, target, wasm)
	wait("a new file")
	write(t, target+".part", guestbuild.Variant(wasm, "1"))
	if err := os.Rename(target+".part", target); err != nil {
		t.Fatal(err)
	}
	wait("a rename over it")
	for range 50 {
		write(t, target, wasm)
	}
	wait("a burst of writes")
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	wait("a removal")
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestNewRegistry_namesWhatIsWrongWithTheFolder(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{})
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	for folder, want := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "does not exist",
		file:                               "is not a folder",
	} {
		_, err := host.NewRegistry(runtime, folder)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, must say %q", folder, err, want)
		}
	}
}
