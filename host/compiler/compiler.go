package compiler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Compiler starts child processes. It is safe for concurrent use.
type Compiler struct {
	// Program calls [Main] first in its main function, and has the engine in the same version as this one.
	Program string
	// MemoryBytes bounds the memory of the child.
	MemoryBytes int64
	// Time bounds the processor time of the child. It is stopped, too, when it has not ended in twenty times as long.
	Time time.Duration
	// CodeBytesMax bounds the machine code of a module.
	CodeBytesMax int64
	// Engine is what [EngineFolder] returns.
	Engine string
}

// temporary begins the names of folders that are removed after use.
const temporary = ".compiling-"

// Temporary matches the names of folders that are removed after use, unless the process was killed.
const Temporary = temporary + "*"

// selfExe is the program that runs, on Linux, also when its file was replaced.
const selfExe = "/proc/self/exe"

// Self returns the program that runs, if it has called [Main], or "".
func Self() string {
	if !selfCompiles.Load() {
		return ""
	}
	if runtime.GOOS == "linux" {
		return selfExe
	}
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	return program
}

// Refusal says what a module did wrong: it would do so on every machine. Any other error is this machine's.
type Refusal struct{ Reason string }

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{Reason: fmt.Sprintf(format, args...)} }

// name is the compiler as messages have it.
func (c *Compiler) name() string {
	if program, err := os.Executable(); err == nil && c.Program == selfExe {
		return program
	}
	return c.Program
}

// ErrStopped is the error of an attempt that came to the end of its turn.
var ErrStopped = errors.New("came to the end of its turn")

// Prepare makes a folder for attempts at a module within another one, whose path is absolute, and puts the
// module there. The caller removes it.
func Prepare(within string, code []byte) (folder string, err error) {
	if err := os.MkdirAll(within, 0o700); err != nil { // it may have been removed meanwhile
		return "", err
	}
	if folder, err = os.MkdirTemp(within, temporary); err != nil {
		return "", err
	}
	if err = os.WriteFile(filepath.Join(folder, moduleFile), code, 0o600); err != nil {
		os.RemoveAll(folder)
		return "", err
	}
	return folder, nil
}

// Module reads the module of a folder.
func Module(folder string) ([]byte, error) { return os.ReadFile(filepath.Join(folder, moduleFile)) }

// Compile compiles the module of a folder that [Prepare] has made, and returns the path of the machine code in it.
// It gives up when stop is closed.
//
// # Errors
//
// [ErrStopped]; the context's; [*Refusal]; or one of this machine.
func (c *Compiler) Compile(ctx context.Context, folder string, stop <-chan struct{}) (code string, err error) {
	// An attempt before may have been stopped while it wrote.
	if err := os.RemoveAll(filepath.Join(folder, c.Engine)); err != nil {
		return "", err
	}
	const wallTimes = 20
	limited, cancel := context.WithTimeout(ctx, wallTimes*c.Time)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		select {
		case <-stop:
			close(stopped)
			cancel()
		case <-limited.Done():
		}
	}()
	err = c.run(limited, folder)
	select {
	case <-stopped:
		if err != nil {
			return "", ErrStopped
		}
	default:
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil && err != nil:
		return "", fmt.Errorf("took longer than %s to compile: this machine is slow or busy", wallTimes*c.Time)
	case err != nil:
		return "", err
	}
	return c.product(folder)
}

// run runs the child to its end.
func (c *Compiler) run(ctx context.Context, folder string) error {
	req, err := json.Marshal(request{Folder: folder, MemoryBytes: c.MemoryBytes, Time: c.Time})
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, c.Program)
	child.Env = []string{childVariable + "=1", "GOTRACEBACK=none"}
	child.Dir = folder
	var out, errs boundedBuffer
	child.Stdout, child.Stderr = &out, &errs
	in, err := child.StdinPipe() // it stays open
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting the compiler: %w", err)
	}
	_, _ = in.Write(append(req, '\n')) // or the child has ended, which Wait tells
	err = child.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return c.reason(exit, errs.String())
	}
	if err != nil {
		return fmt.Errorf("running the compiler: %w", err)
	}
	var result reply
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return fmt.Errorf("%s is no compiler: it does not call CompilerMain first", c.name())
	}
	if result.Transient {
		return errors.New(result.Error)
	}
	if result.Error != "" {
		return refuse("does not compile: %s", result.Error)
	}
	return nil
}

// reason says why a child has ended early.
func (c *Compiler) reason(exit *exec.ExitError, errs string) error {
	switch exit.ExitCode() {
	case exitMemory:
		return refuse("takes more than %d MiB of memory to compile: raise Limits.CompileMemoryMiB", c.MemoryBytes>>20)
	case exitTime:
		return refuse("takes more than %s of processor time to compile: raise Limits.CompileTime", c.Time)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(errs), "\n")
	if line == "" {
		line = exit.String()
	}
	return fmt.Errorf("the compiler failed: %s", line)
}

// product finds the machine code in the folder of an attempt.
func (c *Compiler) product(folder string) (string, error) {
	entries, err := os.ReadDir(filepath.Join(folder, c.Engine))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s has another version of the engine than this program: build both from the same "+
			"source", c.name())
	}
	if err != nil {
		return "", err
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s left %d files of machine code, not one", c.name(), len(entries))
	}
	info, err := entries[0].Info()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s left no file of machine code", c.name())
	}
	if info.Size() > c.CodeBytesMax {
		return "", refuse("has %d MiB of machine code, the limit is %d: raise Limits.CodeMiB",
			(info.Size()+1<<20-1)>>20, c.CodeBytesMax>>20)
	}
	return filepath.Join(folder, c.Engine, entries[0].Name()), nil
}

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct{ bytes.Buffer }

const outputBytesMax = 16 << 10

// Write keeps what fits and drops the rest without an error.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if room := outputBytesMax - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
