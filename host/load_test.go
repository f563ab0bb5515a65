package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestLoad_saysWhatWasForgotten loads modules whose authors have forgotten something.
func TestLoad_saysWhatWasForgotten(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(guestbuild.Root(t), "modules", "examples", "testdata")
	const register, shared = "call pup.Register from an init function",
		"build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared"
	trapping := &hosttest.Guest{Description: hosttest.Unreachable, Edit: func(m *hosttest.Module) {
		m.Export("_start", hosttest.ExternFunc, m.Func(hosttest.Signature{}, nil))
	}}
	for name, test := range map[string]struct {
		wasm []byte
		want string
	}{
		"Register, Go": {guestbuild.Module(t, guestbuild.Go, filepath.Join(folder, "unregistered")), register},
		"Register, TinyGo": {
			guestbuild.Module(t, guestbuild.TinyGo, filepath.Join(folder, "unregistered")),
			register,
		},
		"c-shared, Go":                {program(t, "wasip1", filepath.Join(folder, "unregistered")), shared},
		"GOOS=js":                     {program(t, "js", filepath.Join(folder, "unregistered")), "is built for JavaScript, and not for a host: " + shared},
		"c-shared, any other":         {trapping.Wasm(), shared},
		"c-shared, without our SDK":   {(&hosttest.Guest{Export: without("pup_abi_1")}).Wasm(), shared},
		"pup_collections is no count": {collecting().Wasm(), "exports pup_collections with another signature"},
	} {
		runtime := newRuntime(t, host.Options{CacheDir: compiled})
		_, err := runtime.Load(t.Context(), "x.wasm", test.wasm)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, must be one line with %q", name, err, test.want)
		}
	}
}

// program builds a module of Go's as a program.
func program(t *testing.T, system, folder string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program.wasm")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "GOOS="+system, "GOARCH=wasm", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func without(name string) func(hosttest.Export) hosttest.Export {
	return func(e hosttest.Export) hosttest.Export {
		if e.Name == name {
			e.Name = ""
		}
		return e
	}
}

func collecting() *hosttest.Guest {
	return &hosttest.Guest{Edit: func(m *hosttest.Module) {
		m.Export("pup_collections", hosttest.ExternFunc, m.Func(hosttest.Signature{}, nil))
	}}
}
