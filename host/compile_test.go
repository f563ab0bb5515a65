package host_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestCompile_hasLimits has modules that take too much to compile. Each ends with one line, and the host goes on.
func TestCompile_hasLimits(t *testing.T) {
	t.Parallel()
	slow, large := hosttest.SlowToCompile().Wasm(), hosttest.LargeToCompile().Wasm()
	for name, test := range map[string]struct {
		wasm   []byte
		limits host.Limits
		want   string
	}{
		"time": {
			slow,
			host.Limits{CompileTime: 300 * time.Millisecond},
			"takes more than 300ms of processor time to compile: raise Limits.CompileTime",
		},
		"memory": {
			large,
			host.Limits{CompileMemoryMiB: 64},
			"takes more than 64 MiB of memory to compile: raise Limits.CompileMemoryMiB",
		},
		"code": {large, host.Limits{CodeMiB: 1}, "MiB of machine code, the limit is 1: raise Limits.CodeMiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuntime(t, host.Options{Limits: test.limits, CacheDir: t.TempDir()})
			_, err := r.Load(t.Context(), "bomb.wasm", test.wasm)
			for err != nil && strings.HasSuffix(err.Error(), "this machine is slow or busy") {
				_, err = r.Load(t.Context(), "bomb.wasm", test.wasm) // the compiler had hardly any processor time
			}
			var fault *host.LoadError
			if !errors.As(err, &fault) || !strings.Contains(fault.Reason, test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, must be one line with %q", err, test.want)
			}
		})
	}
}

// TestRegistry_whatIsSlowToCompileHoldsUpNobody has more modules that take for ever than are compiled at a
// time, before an honest one.
func TestRegistry_whatIsSlowToCompileHoldsUpNobody(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for n := range 2*runtime.GOMAXPROCS(0) + 2 {
		write(t, filepath.Join(folder, fmt.Sprintf("a%d.wasm", n)), withNumber(hosttest.SlowToCompile(), n))
	}
	write(t, filepath.Join(folder, "honest.wasm"), (&hosttest.Guest{}).Wasm())
	r := newRuntime(t, host.Options{Limits: host.Limits{CompileTime: time.Hour}})
	registry, err := host.NewRegistry(r, folder)
	must(t, err)
	defer registry.Close() // ends the others, none of which would end by itself
	changes, err := registry.Sync(t.Context())
	must(t, err)
	for len(changes) == 0 {
		select {
		case <-registry.Arrived():
			changes = registry.Collect(t.Context())
		case <-t.Context().Done():
			t.Fatal("nothing has arrived")
		}
	}
	if len(changes) != 1 || changes[0].File != "honest.wasm" || changes[0].Err != nil || registry.Loading() == 0 {
		t.Errorf("changes are %+v, and %d modules are loading", changes, registry.Loading())
	}
	for _, change := range changes {
		if change.Module != nil {
			change.Module.Close(t.Context())
		}
	}
}

// withNumber makes a guest another one.
func withNumber(g *hosttest.Guest, n int) []byte {
	m := g.Module()
	m.Custom("number", []byte{byte(n)})
	return m.Encode()
}

// TestLoad_endsWithItsContext gives up while a module is compiled that takes for ever.
func TestLoad_endsWithItsContext(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := newRuntime(t, host.Options{Limits: host.Limits{CompileTime: time.Hour}, CacheDir: folder})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := r.Load(ctx, "bomb.wasm", hosttest.SlowToCompile().Wasm())
		ended <- err
	}()
	testwait.Until(t, "it compiles", func() bool {
		attempts, _ := filepath.Glob(filepath.Join(folder, ".compiling-*", "wazero-*"))
		return len(attempts) > 0
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, ".compiling-*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

// compilingHost is what the process of TestCompile_endsWithAHostThatWasKilled does: it loads what takes for ever.
const compilingHost = "PUPWASM_TEST_COMPILING_HOST"

func beCompilingHost(cache string) {
	r, err := host.NewRuntime(context.Background(), host.Options{
		Limits:   host.Limits{CompileTime: time.Hour},
		CacheDir: cache,
	})
	if err == nil {
		_, err = r.Load(context.Background(), "bomb.wasm", hosttest.SlowToCompile().Wasm())
	}
	fmt.Println(err)
}

// TestCompile_endsWithAHostThatWasKilled kills a host, and waits for the process that compiled for it.
func TestCompile_endsWithAHostThatWasKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("processes are found in /proc")
	}
	of := exec.Command(os.Args[0])
	of.Env = append(os.Environ(), compilingHost+"="+t.TempDir())
	out, err := of.StdoutPipe()
	must(t, err)
	must(t, of.Start())
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	var children []int
	testwait.Until(t, "it compiles", func() bool {
		select {
		case line := <-said:
			t.Fatalf("it ended, and said %q", line)
		default:
		}
		children = childrenOf(of.Process.Pid)
		return len(children) > 0
	})
	must(t, of.Process.Kill())
	_ = of.Wait()
	for _, child := range children {
		testwait.Until(t, "the compiler has ended", func() bool {
			return syscall.Kill(child, 0) != nil || isZombie(child)
		})
	}
}

// childrenOf are the processes that a process has started.
func childrenOf(pid int) (children []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// isZombie tells whether a process has ended that nobody has asked for yet.
func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, found := strings.Cut(string(text), ") ")
	return err == nil && found && strings.HasPrefix(state, "Z")
}

// TestCompile_inThisProcess has no compiler.
func TestCompile_inThisProcess(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{})
	r.CompileHere()
	module, err := r.Load(t.Context(), "small.wasm", (&hosttest.Guest{}).Wasm())
	must(t, err)
	module.Close(t.Context())
	large := (&hosttest.Guest{}).Module()
	large.Custom("padding", make([]byte, 4<<20))
	_, err = r.Load(t.Context(), "large.wasm", large.Encode())
	if err == nil || !strings.Contains(err.Error(),
		"in a program without a compiler (Options.Compiler) a module has 4194304 at most") {
		t.Errorf("error is %v", err)
	}
}

// TestCompile_byWhatIsNoCompiler names programs that do not compile.
func TestCompile_byWhatIsNoCompiler(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\necho '{}'\n"), 0o755))
	crash := filepath.Join(t.TempDir(), "crash")
	must(t, os.WriteFile(crash, []byte("#!/bin/sh\necho 'panic: out of luck' >&2\nexit 2\n"), 0o755))
	for program, want := range map[string]string{
		"/nowhere/pupwasm": "starting the compiler: ",
		"true":             "is no compiler: it does not call CompilerMain first",
		script:             "has another version of the engine than this program",
		crash:              "the compiler failed: panic: out of luck",
	} {
		r := newRuntime(t, host.Options{Compiler: program})
		_, err := r.Load(t.Context(), "x.wasm", (&hosttest.Guest{}).Wasm())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, must say %q", program, err, want)
		}
	}
}

// TestRuntime_relativePathsAreFromWhereTheProcessIs has a cache and a compiler by relative paths.
func TestRuntime_relativePathsAreFromWhereTheProcessIs(t *testing.T) { // not parallel: it changes the folder of the process
	self, err := filepath.Abs(os.Args[0])
	must(t, err)
	t.Chdir(t.TempDir())
	must(t, os.Symlink(self, "compiler"))
	r := newRuntime(t, host.Options{CacheDir: "cache", Compiler: "./compiler"})
	module, err := r.Load(t.Context(), "x.wasm", (&hosttest.Guest{}).Wasm())
	must(t, err)
	module.Close(t.Context())
}

// TestRuntime_aFolderThatIsMissingIsNamed has no place for temporary files.
func TestRuntime_aFolderThatIsMissingIsNamed(t *testing.T) { // not parallel: it changes the environment
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	if _, err := host.NewRuntime(t.Context(), host.Options{}); err == nil ||
		!strings.Contains(err.Error(), "nowhere (set TMPDIR, or name a folder by Options.CacheDir): ") {
		t.Errorf("error is %v", err)
	}
	r := newRuntime(t, host.Options{CacheDir: compiled}) // which needs none
	module, err := r.Load(t.Context(), "x.wasm", (&hosttest.Guest{}).Wasm())
	must(t, err)
	module.Close(t.Context())
}

// TestRegistry_whatIsTheMachinesFaultIsTriedAgain takes the folder for compiled code away, puts a file in its
// place, and gives it back.
func TestRegistry_whatIsTheMachinesFaultIsTriedAgain(t *testing.T) {
	t.Parallel()
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	r := newRuntime(t, host.Options{CacheDir: cache})
	registry, err := host.NewRegistry(r, folder)
	must(t, err)
	registry.WaitForAll()
	defer registry.Close()
	must(t, os.RemoveAll(cache))
	write(t, cache, nil)
	write(t, filepath.Join(folder, "a.wasm"), (&hosttest.Guest{}).Wasm())
	changes, err := registry.Sync(t.Context())
	must(t, err)
	var fault *host.LoadError
	if len(changes) != 1 || !errors.As(changes[0].Err, &fault) || !fault.Transient ||
		!strings.Contains(fault.Reason, "preparing to compile: ") {
		t.Fatalf("changes are %+v", changes)
	}
	registry.RetryAtOnce()
	if changes, err := registry.Sync(t.Context()); err != nil || len(changes) != 0 {
		t.Errorf("the same is told twice: %+v, %v", changes, err)
	}
	must(t, os.Remove(cache))
	registry.RetryAtOnce()
	changes, err = registry.Sync(t.Context())
	must(t, err)
	if len(changes) != 1 || changes[0].Module == nil {
		t.Fatalf("changes are %+v", changes)
	}
	changes[0].Module.Close(t.Context())
}

// TestRegistry_aFileThatChangesWhileItWaitsIsLookedAtAgain has a file change after Sync has seen it, and back again.
func TestRegistry_aFileThatChangesWhileItWaitsIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "a.wasm")
	first, second := withNumber(&hosttest.Guest{}, 1), withNumber(&hosttest.Guest{}, 2)
	r := newRuntime(t, host.Options{})
	registry, err := host.NewRegistry(r, folder)
	must(t, err)
	registry.WaitForAll()
	defer registry.Close()
	write(t, file, first)
	release := r.HoldReading()
	synced := make(chan []host.Change)
	go func() {
		changes, _ := registry.Sync(t.Context())
		synced <- changes
	}()
	testwait.Until(t, "the load waits", r.ReadingWaits)
	write(t, file, second)
	release()
	changes := <-synced
	if len(changes) != 1 || changes[0].Module == nil || string(changes[0].Module.Hash[:]) != string(hashOf(second)) {
		t.Fatalf("changes are %+v", changes)
	}
	changes[0].Module.Close(t.Context())
}

func hashOf(wasm []byte) []byte {
	sum := sha256.Sum256(wasm)
	return sum[:]
}

// TestLoad_modulesThatMeterAlikeAreApart has modules that differ in the maximum of their memory, which
// metering drops, come and go.
func TestLoad_modulesThatMeterAlikeAreApart(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{}) // nothing is kept
	var group sync.WaitGroup
	for most := range uint32(8) {
		group.Go(func() {
			for range 3 {
				module, err := r.Load(t.Context(), "x.wasm",
					(&hosttest.Guest{Memory: hosttest.Limits{Min: 2, Max: 10 + most, HasMax: true}}).Wasm())
				if err != nil {
					t.Error(err)
					return
				}
				module.Close(t.Context())
			}
		})
	}
	group.Wait()
	if left := r.CacheEntries(); len(left) > 0 { // what the engine does not find it compiles in this process, and keeps
		t.Errorf("%q are left in the cache", left)
	}
}
