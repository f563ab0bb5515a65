// Package guestbuild compiles projection modules for tests, once a test process.
package guestbuild

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Compiler is what turns a module's source into WebAssembly.
type Compiler string

// The compilers.
const (
	Go     Compiler = "go"
	TinyGo Compiler = "tinygo"
	// Auto takes TinyGo where it is installed, else Go.
	Auto Compiler = "auto"
)

type built struct {
	once sync.Once
	wasm []byte
	err  error
}

var modules sync.Map // of *built, by compiler and folder

// Example returns the compiled example module of that name.
//
// A test that needs TinyGo is skipped where it is not installed, unless PUPWASM_REQUIRE_TINYGO is set, as it
// is by 'make test'. With -short, TinyGo is not used at all, since it takes its time.
func Example(t testing.TB, compiler Compiler, name string) []byte {
	t.Helper()
	return Module(t, compiler, filepath.Join(Root(t), "modules", "examples", name))
}

// Module returns the compiled main package in a folder.
func Module(t testing.TB, compiler Compiler, folder string) []byte {
	t.Helper()
	root := Root(t)
	if testing.Short() {
		switch compiler {
		case TinyGo:
			t.Skip("TinyGo takes its time, and this is the short form")
		case Auto:
			compiler = Go
		}
	}
	if compiler == TinyGo && os.Getenv("PUPWASM_REQUIRE_TINYGO") == "" {
		if err := exec.Command(filepath.Join(root, "scripts", "tinygo.sh"), "--print-path").Run(); err != nil {
			t.Skip("TinyGo is not installed: 'make tinygo' installs it")
		}
	}
	entry, _ := modules.LoadOrStore(string(compiler)+" "+folder, &built{})
	b := entry.(*built)
	b.once.Do(func() { b.wasm, b.err = build(root, compiler, folder) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.wasm
}

func build(root string, compiler Compiler, folder string) ([]byte, error) {
	out, err := os.MkdirTemp("", "pupwasm-module-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	file := filepath.Join(out, "module.wasm")
	cmd := exec.Command(filepath.Join(root, "scripts", "build-module.sh"), string(compiler), folder, file)
	// The race detector and coverage of the test itself are not for the guest.
	cmd.Env = append(os.Environ(), "GOFLAGS="+withoutRace(os.Getenv("GOFLAGS")))
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s with %s: %w: %s", folder, compiler, err, text)
	}
	return os.ReadFile(file)
}

func withoutRace(flags string) string {
	kept := []string{}
	for _, flag := range strings.Fields(flags) {
		if flag != "-race" && !strings.HasPrefix(flag, "-cover") {
			kept = append(kept, flag)
		}
	}
	return strings.Join(kept, " ")
}

// Root returns the folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the place of the source is not known")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Variant returns a module that does the same and has other bytes: it adds a custom section, which WebAssembly ignores.
func Variant(wasm []byte, mark string) []byte {
	section := append([]byte{byte(len("variant"))}, "variant"+mark...)
	variant := append([]byte(nil), wasm...)
	return append(append(variant, 0, byte(len(section))), section...)
}
