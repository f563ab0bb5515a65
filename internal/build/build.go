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
	"time"

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

// Lines are those of the output that say something, with paths as they are from the current folder.
func (e *CompileError) Lines() []string {
	var lines []string
	for line := range strings.Lines(e.Output) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(line, "# ") { // the name of the package
			continue
		}
		if place := placeInFile.FindStringSubmatchIndex(line); place != nil {
			file, _ := splitPosition(e.Folder, line)
			line = Relative(file) + line[place[3]:]
		}
		lines = append(lines, line)
	}
	return lines
}

// Unwrap returns how the compiler has ended.
func (e *CompileError) Unwrap() error { return e.err }

// Module compiles the main package in a folder, which is within a Go module, into the file out. The file appears when
// it is complete. Module returns which compiler was used.
//
// # Errors
//
// [*CompileError]; [ErrNoTinyGo] and [ErrNoGo]; one for a compiler that is none of the constants, and those of files.
func Module(ctx context.Context, compiler Compiler, folder, out string) (used Compiler, err error) {
	if info, err := os.Stat(folder); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder: name the one of the module's main package", folder)
	}
	with, err := findCompiler(compiler)
	if err != nil {
		return "", err
	}
	wasm, err := with.compile(ctx, folder)
	if err != nil {
		return with.kind, err
	}
	return with.kind, WriteFile(out, wasm)
}

// tool is a compiler that is installed.
type tool struct {
	kind Compiler // Go or TinyGo
	path string   // of TinyGo
}

// findCompiler returns the compiler to use.
func findCompiler(compiler Compiler) (tool, error) {
	switch compiler {
	case Go:
		return tool{kind: Go}, nil
	case TinyGo, Auto:
		path, err := FindTinyGo()
		switch {
		case err == nil:
			return tool{kind: TinyGo, path: path}, nil
		case compiler == Auto && errors.Is(err, ErrNoTinyGo):
			return tool{kind: Go}, nil
		}
		return tool{}, err
	}
	return tool{}, fmt.Errorf("there is no compiler %q: use %q, %q or %q", compiler, Go, TinyGo, Auto)
}

// compile returns the module of the main package in a folder.
func (t tool) compile(ctx context.Context, folder string) ([]byte, error) {
	work, err := os.MkdirTemp(os.Getenv("GOTMPDIR"), "pupwasm-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if work, err = filepath.Abs(work); err != nil {
		return nil, err
	}
	out := filepath.Join(work, "module.wasm")
	if t.kind == TinyGo {
		err = t.compileTinyGo(ctx, folder, out, work)
	} else {
		err = compileGo(ctx, folder, out, work)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// WriteFile writes a file that appears when it is complete, so that a host that watches its folder never sees a part of
// it.
func WriteFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	defer part.Close()
	if _, err := part.Write(content); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	if err := os.Chmod(part.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// The flags of the compilers.
var (
	goFlags     = []string{"-buildmode=c-shared", "-ldflags=-s -w"}
	tinyGoFlags = []string{"-opt=2", "-no-debug"}
)

func compileGo(ctx context.Context, folder, out, work string) error {
	cmd := command(ctx, "go", append(append([]string{"build"}, goFlags...), "-o", out, ".")...)
	cmd.Env = append(environment(), "GOOS=wasip1", "GOARCH=wasm")
	return run(cmd, folder, work, Go)
}

func (t tool) compileTinyGo(ctx context.Context, folder, out, work string) error {
	file := filepath.Join(work, "pupwasm.json")
	if err := os.WriteFile(file, target, 0o600); err != nil {
		return err
	}
	settings, err := readGoEnvironment(ctx, folder)
	if err != nil {
		return err
	}
	arguments := append([]string{"build", "-target=" + file}, tinyGoFlags...)
	if tags := settings.tags(); len(tags) > 0 {
		arguments = append(arguments, "-tags="+strings.Join(tags, " "))
	}
	cmd := command(ctx, t.path, append(arguments, "-o", out, ".")...)
	cmd.Env = environment()
	return run(cmd, folder, work, TinyGo)
}

// outputDelay is how long the output of a compiler is read after it has ended: a child may keep it open.
const outputDelay = 5 * time.Second

// command is a program that is killed with its children when ctx ends.
func command(ctx context.Context, path string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.WaitDelay = outputDelay
	ownGroup(cmd)
	return cmd
}

// run runs a compiler in a folder. Its temporary files are in work: those of one that is killed go with it.
func run(cmd *exec.Cmd, folder, work string, compiler Compiler) error {
	cmd.Dir, cmd.Env = folder, append(cmd.Env, "TMPDIR="+work, "GOTMPDIR="+work)
	output, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return ErrNoGo
	}
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
