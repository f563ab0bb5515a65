// Package build compiles projection modules to WebAssembly, with TinyGo or with Go. It is the one home of the
// compilers' flags.
package build

import (
	"context"
	_ "embed" // the target of TinyGo
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// Compiler turns the source of a module into WebAssembly.
type Compiler string

// The compilers.
const (
	Go     Compiler = "go"
	TinyGo Compiler = "tinygo"
	// Auto is TinyGo where it is installed, and Go elsewhere.
	Auto Compiler = "auto"
)

// target is guest-sdk/targets/pupwasm.json: what TinyGo may use of WebAssembly, and what it links.
//
//go:embed pupwasm.json
var target []byte

// CompileError says that the source of a module does not compile.
type CompileError struct {
	Folder   string
	Compiler Compiler // which one was used: Go or TinyGo
	Output   string   // what it has written, in several lines
	err      error    // how it has ended
}

// Error has the output in one line.
func (e *CompileError) Error() string {
	return fmt.Sprintf("compiling %s with %s: %s: %s", e.Folder, e.Compiler, e.err, oneline.Text(e.Output))
}

// Unwrap returns how the compiler has ended.
func (e *CompileError) Unwrap() error { return e.err }

// Module compiles the main package in a folder, which is within a Go module, into the file out. The file appears when
// it is complete, so that a host that watches its folder never sees a part of it. Module returns which compiler was
// used.
//
// # Errors
//
// [*CompileError]; [ErrNoTinyGo]; one for a compiler that is none of the constants, and those of files.
func Module(ctx context.Context, compiler Compiler, folder, out string) (used Compiler, err error) {
	if info, err := os.Stat(folder); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder: name the one of the module's main package", folder)
	}
	tinygo := ""
	switch compiler {
	case Go:
	case TinyGo, Auto:
		tinygo, err = FindTinyGo()
		if err != nil && (compiler == TinyGo || !errors.Is(err, ErrNoTinyGo)) {
			return "", err
		}
	default:
		return "", fmt.Errorf("there is no compiler %q: use %q, %q or %q", compiler, Go, TinyGo, Auto)
	}
	if out, err = filepath.Abs(out); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	built := filepath.Join(work, "module.wasm")
	if tinygo != "" {
		used, err = TinyGo, compileTinyGo(ctx, tinygo, folder, built, work)
	} else {
		used, err = Go, compileGo(ctx, folder, built)
	}
	if err != nil {
		return used, err
	}
	if err := os.Chmod(built, 0o644); err != nil {
		return used, err
	}
	return used, os.Rename(built, out)
}

func compileGo(ctx context.Context, folder, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, ".")
	cmd.Env = append(environment(), "GOOS=wasip1", "GOARCH=wasm")
	return run(cmd, folder, Go)
}

func compileTinyGo(ctx context.Context, tinygo, folder, out, work string) error {
	file := filepath.Join(work, "pupwasm.json")
	if err := os.WriteFile(file, target, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tinygo, "build", "-target="+file, "-opt=2", "-no-debug", "-o", out, ".")
	cmd.Env = environment()
	return run(cmd, folder, TinyGo)
}

func run(cmd *exec.Cmd, folder string, compiler Compiler) error {
	cmd.Dir = folder
	output, err := cmd.CombinedOutput()
	if err != nil {
		return &CompileError{Folder: folder, Compiler: compiler, Output: string(output), err: err}
	}
	return nil
}

// environment is that of this process without flags of Go that are not for guests: a test hands on that it looks for
// races, or measures coverage.
func environment() []string {
	var flags []string
	for _, flag := range strings.Fields(os.Getenv("GOFLAGS")) {
		if flag != "-race" && !strings.HasPrefix(flag, "-cover") {
			flags = append(flags, flag)
		}
	}
	return append(os.Environ(), "GOFLAGS="+strings.Join(flags, " "))
}
