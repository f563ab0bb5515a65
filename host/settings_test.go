package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// written are the settings of modules as an operator has written them.
type written struct {
	settings map[string]host.Settings
	faults   map[string]error
}

func (w *written) read(file string) (host.Settings, error) { return w.settings[file], w.faults[file] }

func newRegistryWithSettings(t *testing.T) (*host.Registry, string, *written) {
	t.Helper()
	registry, folder := newRegistry(t)
	w := &written{settings: map[string]host.Settings{}, faults: map[string]error{}}
	registry.UseSettings(host.SettingsFiles{Suffix: ".set", Read: w.read})
	return registry, folder, w
}

// loaded returns the only module that a Sync brings.
func loaded(t *testing.T, registry *host.Registry) *host.Module {
	t.Helper()
	changes, err := registry.Sync(t.Context())
	if err != nil || len(changes) != 1 || changes[0].Module == nil {
		t.Fatalf("changes are %+v, %v", changes, err)
	}
	return changes[0].Module
}

// TestRegistry_aModuleIsLoadedAgainWithOtherSettings has the settings of a module change, with those that are not the
// host's among them. Its code is not compiled again.
func TestRegistry_aModuleIsLoadedAgainWithOtherSettings(t *testing.T) {
	t.Parallel()
	registry, folder, w := newRegistryWithSettings(t)
	write(t, filepath.Join(folder, "a.wasm"), guestbuild.Example(t, guestbuild.Auto, "user_counter"))
	first := loaded(t, registry)
	if first.Settings != (host.Settings{}) {
		t.Errorf("settings are %+v", first.Settings)
	}
	for _, settings := range []host.Settings{
		{MemoryMiB: 128, Fuel: 1 << 40, BatchTimeout: time.Hour, Instances: host.InstancesReuse, Beside: "batch 5"},
		{MemoryMiB: 128, Fuel: 1 << 40, BatchTimeout: time.Hour, Instances: host.InstancesReuse, Beside: "batch 6"},
		{Instances: host.InstancesFresh},
		{},
	} {
		w.settings["a.wasm"] = settings
		module := loaded(t, registry)
		if module.Settings != settings {
			t.Errorf("settings are %+v, must be %+v", module.Settings, settings)
		}
		if settings.Instances != "" && module.Reuses() != (settings.Instances == host.InstancesReuse) {
			t.Errorf("with %+v it reuses instances: %t", settings, module.Reuses())
		}
		if !host.SameCode(first, module) {
			t.Errorf("with %+v it is compiled again", settings)
		}
		expect(t, registry)
		first.Close(t.Context())
		first = module
	}
	first.Close(t.Context())
}

func TestRegistry_refusedSettingsChangeNothing(t *testing.T) {
	t.Parallel()
	registry, folder, w := newRegistryWithSettings(t)
	counter := guestbuild.Example(t, guestbuild.Auto, "user_counter")
	at := filepath.Join(folder, "a.wasm")
	write(t, at, counter)
	w.settings["a.wasm"] = host.Settings{MemoryMiB: 128}
	expect(t, registry, "a.wasm loaded")
	w.faults["a.wasm"] = errors.New("a.set:1:1: is wrong")
	expect(t, registry, "a.wasm refused: a.set:1:1: is wrong")
	expect(t, registry)
	w.faults["a.wasm"] = errors.New("a.set:2:1: is wrong, too")
	expect(t, registry, "a.wasm refused: a.set:2:1: is wrong, too")

	// Another module of the file has the settings before.
	write(t, at, guestbuild.Variant(counter, "2"))
	module := loaded(t, registry)
	if module.Settings.MemoryMiB != 128 {
		t.Errorf("settings are %+v", module.Settings)
	}
	delete(w.faults, "a.wasm")
	expect(t, registry)
	w.settings["a.wasm"] = host.Settings{MemoryMiB: 64}
	expect(t, registry, "a.wasm replaced")
	w.settings["a.wasm"] = host.Settings{MemoryMiB: host.MemoryMiBMax + 1}
	expect(t, registry, "a.wasm refused: module a.wasm: limit MemoryMiB must be between 1 and 2048")
}

// TestRegistry_withoutSettingsThatHoldNothingRuns has settings be refused before there were any.
func TestRegistry_withoutSettingsThatHoldNothingRuns(t *testing.T) {
	t.Parallel()
	registry, folder, w := newRegistryWithSettings(t)
	write(t, filepath.Join(folder, "a.wasm"), guestbuild.Example(t, guestbuild.Auto, "user_counter"))
	w.faults["a.wasm"] = errors.New("a.set:1:1: is wrong")
	changes, err := registry.Sync(t.Context())
	if err != nil || len(changes) != 1 {
		t.Fatalf("changes are %+v, %v", changes, err)
	}
	var refused *host.SettingsError
	if change := changes[0]; !errors.As(change.Err, &refused) || change.Module != nil || change.Previous != nil ||
		refused.Projection.Name != "user_counter" || refused.File != "a.wasm" {
		t.Errorf("the change is %+v, %+v", change, refused)
	}
	expect(t, registry)
	w.faults["a.wasm"] = errors.New("a.set:2:1: is wrong, too")
	expect(t, registry, "a.wasm refused: a.set:2:1: is wrong, too")
	delete(w.faults, "a.wasm")
	w.settings["a.wasm"] = host.Settings{Fuel: 1 << 40}
	expect(t, registry, "a.wasm loaded")
	write(t, filepath.Join(folder, "b.wasm"), guestbuild.Example(t, guestbuild.Auto, "activity_log"))
	w.faults["b.wasm"] = errors.New("b.set:1:1: is wrong")
	expect(t, registry, "b.wasm refused: b.set:1:1: is wrong")
	if err := os.Remove(filepath.Join(folder, "b.wasm")); err != nil {
		t.Fatal(err)
	}
	expect(t, registry, "b.wasm removed")
	if err := os.Remove(filepath.Join(folder, "a.wasm")); err != nil {
		t.Fatal(err)
	}
	expect(t, registry, "a.wasm removed")
}

// TestSettings_grantMoreOrLess has a module that needs more memory than the host grants to all.
func TestSettings_grantMoreOrLess(t *testing.T) {
	t.Parallel()
	registry, folder, w := newRegistryWithSettings(t)
	guest := &hosttest.Guest{Describe: `{"name":"large","version":1}`, Memory: hosttest.Limits{Min: 80 * 16}}
	write(t, filepath.Join(folder, "a.wasm"), guest.Wasm())
	expect(t, registry, "a.wasm refused: module a.wasm: needs 80 MiB of memory, this host grants 64: raise Limits.MemoryMiB")
	w.settings["a.wasm"] = host.Settings{MemoryMiB: 70}
	expect(t, registry, "a.wasm refused: module a.wasm: needs 80 MiB of memory, this host grants 70: "+
		"raise memory in the settings of the module")
	w.settings["a.wasm"] = host.Settings{MemoryMiB: 80}
	expect(t, registry, "a.wasm loaded")
}

func TestRegistry_watchNoticesSettings(t *testing.T) {
	t.Parallel()
	registry, folder, _ := newRegistryWithSettings(t)
	changed := make(chan struct{}, 100)
	go func() { _ = registry.Watch(t.Context(), func() { changed <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(testwait.Patience):
			t.Fatalf("%s went unnoticed", what)
		}
	}
	wait("the beginning")
	write(t, filepath.Join(folder, "a.set"), []byte("one"))
	wait("a file of settings")
	registry.Recheck()
	wait("a request")
}
