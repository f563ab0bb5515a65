// Package guestbuild compiles projection modules for tests, once a test process.
package guestbuild

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/build"
)

// Compiler turns the source of a module into WebAssembly.
type Compiler = build.Compiler

// The compilers.
const (
	Go     = build.Go
	TinyGo = build.TinyGo
	Auto   = build.Auto
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
	if testing.Short() {
		switch compiler {
		case TinyGo:
			t.Skip("TinyGo takes its time, and this is the short form")
		case Auto:
			compiler = Go
		}
	}
	if compiler == TinyGo && os.Getenv("PUPWASM_REQUIRE_TINYGO") == "" {
		if _, err := build.FindTinyGo(); err != nil {
			t.Skip("TinyGo is not installed: 'make tinygo' installs it")
		}
	}
	entry, _ := modules.LoadOrStore(string(compiler)+" "+folder, &built{})
	b := entry.(*built)
	b.once.Do(func() { b.wasm, b.err = compile(compiler, folder) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.wasm
}

func compile(compiler Compiler, folder string) ([]byte, error) {
	out, err := os.MkdirTemp("", "pupwasm-module-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	file := filepath.Join(out, "module.wasm")
	if _, err := build.Module(context.Background(), compiler, folder, file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
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
