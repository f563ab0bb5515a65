package hosttest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/hosttest"
)

// TestRunHost passes the kit with a small host. It has no metering, so that it cannot stop guests without
// loops in time.
func TestRunHost(t *testing.T) {
	hosttest.RunHost(t, &smallHost{engine: newEngine(t, features)},
		"fills_without_a_loop", "copies_without_a_loop", "recursion_exponential")
}

func TestHostile_namesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range hosttest.Hostile() {
		if seen[g.Name] {
			t.Errorf("%s is declared twice", g.Name)
		}
		seen[g.Name] = true
		if g.Stage == "" || len(g.Want) == 0 {
			t.Errorf("%s has no stage or nothing to say", g.Name)
		}
	}
}

// TestHostile_areValidBesides checks that a guest is wrong in what its name says and in nothing else: what
// the engine has to find does not compile, and what a host has to find compiles.
func TestHostile_areValidBesides(t *testing.T) {
	engine := newEngine(t, api.CoreFeaturesV2)
	ctx := context.Background()
	// The engine finds the fault in these groups, except for those named.
	byEngine := []string{
		"file_", "section", "code_", "export_twice", "start_function_with_parameters", "memory_", "table_minimum_32_gib",
		"import_of_an_unnamed_module", "import_of_a_memory_beside_its_own",
	}
	byHost := []string{"file_too_large", "memory_imported"}
	for _, g := range hosttest.Hostile() {
		dangerous := strings.HasPrefix(g.Name, "count_") || strings.HasPrefix(g.Name, "size_") ||
			strings.HasPrefix(g.Name, "code_with_")
		if dangerous {
			continue // the internal tests have them in small
		}
		wantFault := g.Stage == hosttest.StageLoad && !slices.Contains(byHost, g.Name) &&
			slices.ContainsFunc(byEngine, func(prefix string) bool { return strings.HasPrefix(g.Name, prefix) })
		code, err := engine.CompileModule(ctx, g.Wasm)
		if (err != nil) != wantFault {
			t.Errorf("%s: the engine's error is %v", g.Name, err)
		}
		if err == nil {
			_ = code.Close(ctx)
		}
	}
}

// TestHostile_countsAreFoundBeforeTheEngine checks only that the files are refused without being allocated
// for: the engine would end the process.
func TestHostile_countsAreFoundBeforeTheEngine(t *testing.T) {
	found := 0
	for _, g := range hosttest.Hostile() {
		if !strings.HasPrefix(g.Name, "count_") && !strings.HasPrefix(g.Name, "size_") {
			continue
		}
		found++
		allocated := testing.AllocsPerRun(1, func() {
			if err := hosttest.Check(g.Wasm); err == nil || !g.Explains(err) {
				t.Errorf("%s: got error %v", g.Name, err)
			}
		})
		if allocated > 100 {
			t.Errorf("%s: checking it allocates %.0f times", g.Name, allocated)
		}
	}
	if found < 15 {
		t.Errorf("found %d files whose counts lie, want more", found)
	}
}

// start makes an instance on a bare engine.
func start(t *testing.T, engine wazero.Runtime, wasm []byte) *smallInstance {
	t.Helper()
	ctx := context.Background()
	host := &smallHost{engine: engine}
	code, err := engine.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	i, err := host.start(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func hostileNamed(t *testing.T, name string) *hosttest.HostileGuest {
	t.Helper()
	for _, g := range hosttest.Hostile() {
		if g.Name == name {
			return &g
		}
	}
	t.Fatalf("no hostile guest is called %s", name)
	return nil
}

func TestHostile_memoryBombTakesAllThatThereIs(t *testing.T) {
	engine := newEngine(t, features)
	for _, name := range []string{"memory_bomb", "memory_bomb_that_writes"} {
		i := start(t, engine, hostileNamed(t, name).Wasm)
		if _, err := i.Call(t.Context(), "pup_apply", 0, 0); err == nil {
			t.Errorf("%s: no trap", name)
		}
		const limit, step = hosttest.MemoryMiB << 20, 1 << 20
		if size := i.module.Memory().Size(); size <= limit-step {
			t.Errorf("%s: it has %d bytes, want all of %d", name, size, limit)
		}
	}
}

func TestHostile_tableBombGrows(t *testing.T) {
	i := start(t, newEngine(t, api.CoreFeaturesV2), hostileNamed(t, "table_bomb").Wasm)
	if _, err := i.Call(t.Context(), "pup_apply", 0, 0); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("got error %v, want a trap when the table is full", err)
	}
}

// TestHostile_stateIsKept checks that the guest would answer well after its trap, if anybody asked it again.
func TestHostile_stateIsKept(t *testing.T) {
	i := start(t, newEngine(t, features), hostileNamed(t, "state_kept_after_a_trap").Wasm)
	if _, err := i.Call(t.Context(), "pup_apply", 0, 0); err == nil {
		t.Error("the first call does not trap")
	}
	if _, err := i.Call(t.Context(), "pup_apply", 0, 0); err != nil {
		t.Errorf("the second call traps: %v", err)
	}
}

func TestUnusual_passTheirOwnCheck(t *testing.T) {
	t.Parallel()
	for _, g := range hosttest.Unusual() {
		if err := hosttest.Check(g.Wasm); err != nil {
			t.Errorf("%s: %v", g.Name, err)
		}
	}
}
