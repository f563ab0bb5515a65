package compiler

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
)

// childVariable tells a program that it is to compile.
const childVariable = "PUPWASM_COMPILER"

// moduleFile is the module in the folder of an attempt.
const moduleFile = "module.wasm"

// request is what the child reads from its input, as one line of JSON. The input stays open as long as the host lives.
type request struct {
	Folder      string        `json:"folder"`
	MemoryBytes int64         `json:"memory_bytes"`
	Time        time.Duration `json:"time"`
}

// reply is what it writes to its output.
type reply struct {
	Error     string `json:"error"`
	Transient bool   `json:"transient"` // this machine is to blame, as with a full disk, and not the module
}

// The exit codes of the child that stand for a limit.
const (
	exitMemory = 3
	exitTime   = 4
	exitOrphan = 5
)

var selfCompiles atomic.Bool

// Main must be called first in the main function of a program that is its own compiler. It returns at once,
// unless the program was started to compile: then it compiles and ends the process.
func Main() {
	if os.Getenv(childVariable) == "" {
		selfCompiles.Store(true)
		return
	}
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	var req request
	if err == nil {
		err = json.Unmarshal(line, &req)
	}
	if err != nil {
		os.Exit(exitOrphan)
	}
	lowerPriority()
	go watchLimits(req)
	go func() {
		_, _ = io.Copy(io.Discard, in) // ends with the host
		os.Exit(exitOrphan)
	}()
	var result reply
	if err := compile(req.Folder); err != nil {
		var path *fs.PathError
		result = reply{Error: err.Error(), Transient: errors.As(err, &path)}
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(exitOrphan)
	}
	os.Exit(0)
}

// compile leaves the code of the folder's module in the folder.
func compile(folder string) error {
	code, err := os.ReadFile(filepath.Join(folder, moduleFile))
	if err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(folder)
	if err != nil {
		return fmt.Errorf("preparing the folder: %w", err)
	}
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, EngineConfig().WithCompilationCache(cache))
	_, err = engine.CompileModule(ctx, code)
	return err
}
