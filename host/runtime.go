package host

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/compiler"
)

// Options configures a runtime. The zero value is ready to use.
type Options struct {
	// Limits bounds every guest.
	Limits Limits
	// Instances says whether batches share instances. Defaults to InstancesAuto.
	Instances Instances
	// CacheDir keeps compiled code between runs of the host. It must be writable by the host alone, since its
	// content is executed. Defaults to none: modules are compiled at every start, in a temporary folder.
	CacheDir string
	// Compiler is the program that compiles modules in a child process: one that calls [CompilerMain] first
	// in its main function, such as the pupwasm command, of the same build. Defaults to the program itself if
	// it does that. Without one, modules are compiled in this process, where nothing bounds the time and
	// memory that it takes, and have 4 MiB at most.
	Compiler string
	// Strict makes a module fail that asks for the time or for random bytes while it handles a batch.
	// Otherwise it gets the same always, and a line of the log tells once. Defaults to false.
	Strict bool
	// Environment is what instances find besides their batches. Rows must not depend on it, which 'pupwasm
	// check' tries with others. Defaults to what it is on every host.
	Environment Environment
	// Trust says which files ReadModule, and a [Registry], take for modules. Defaults to all.
	Trust Trust
	// Logger receives the lines of guests, with the fields module, projection and segment. Defaults to none.
	Logger zerolog.Logger
}

// Environment is what an instance finds besides its batches.
type Environment struct {
	Random uint64        // where random bytes begin
	Wall   time.Duration // the time that the wall clock always shows, since 1970
}

// Runtime compiles and runs modules. It is safe for concurrent use; its guests are not.
type Runtime struct {
	options     Options
	engine      wazero.Runtime
	engineCache wazero.CompilationCache // how the engine reads cache
	cache       *cache
	imports     []*hostModule // all that guests may import

	compiler *compiler.Compiler // nil where modules are compiled in this process
	// Modules are read one at a time, and the small ones beside the large ones; as many as there are
	// processors are compiled.
	reading, readingLarge, compiling *semaphore

	mu       sync.Mutex
	compiled map[[sha256.Size]byte]*compiledCode
}

// NewRuntime starts an engine. Close it when all guests are closed.
func NewRuntime(ctx context.Context, options Options) (*Runtime, error) {
	options.Limits = options.Limits.withDefaults()
	if err := options.Limits.validate(); err != nil {
		return nil, err
	}
	if options.Instances == "" {
		options.Instances = InstancesAuto
	}
	if err := options.Instances.validate(); err != nil {
		return nil, err
	}
	r := &Runtime{
		options: options, imports: []*hostModule{pupModule(), wasiModule()},
		compiled: map[[sha256.Size]byte]*compiledCode{}, reading: newSemaphore(1), readingLarge: newSemaphore(1),
		compiling: newSemaphore(compilationsMax()),
	}
	var err error
	if r.cache, err = openCache(options.CacheDir); err != nil {
		return nil, err
	}
	if r.engineCache, err = wazero.NewCompilationCacheWithDir(r.cache.folder); err != nil {
		return nil, fmt.Errorf("opening the compilation cache %s: %w", r.cache.folder, err)
	}
	if err := r.findCompiler(); err != nil {
		return nil, err
	}
	config := compiler.EngineConfig().WithCompilationCache(r.engineCache)
	r.engine = wazero.NewRuntimeWithConfig(ctx, config)
	for _, module := range r.imports {
		if err := module.instantiate(ctx, r.engine); err != nil {
			return nil, fmt.Errorf("preparing the imports of guests: %w", err)
		}
	}
	return r, nil
}

// Close releases everything. Guests must not be used after it.
func (r *Runtime) Close(ctx context.Context) error {
	if err := r.engine.Close(ctx); err != nil {
		return fmt.Errorf("closing the engine: %w", err)
	}
	r.cache.close()
	return r.engineCache.Close(ctx)
}

// findCompiler decides which program compiles modules.
func (r *Runtime) findCompiler() (err error) {
	program := r.options.Compiler
	if program == "" {
		program = compiler.Self()
	}
	if program == "" {
		r.options.Logger.Info().Msgf("modules are compiled in this process, %d MiB each at most, and nothing "+
			"bounds what that takes: call pupwasm.CompilerMain first in main, or set Options.Compiler",
			inProcessBytesMax>>20)
		return nil
	}
	// A name is looked up on the PATH; a path is meant from where this process is.
	if strings.ContainsRune(program, filepath.Separator) {
		if program, err = filepath.Abs(program); err != nil {
			return fmt.Errorf("finding the compiler %s: %w", program, err)
		}
	}
	limits := r.options.Limits
	r.compiler = &compiler.Compiler{
		Program: program, MemoryBytes: int64(limits.CompileMemoryMiB) << 20, Time: limits.CompileTime,
		CodeBytesMax: int64(limits.CodeMiB) << 20,
		Engine:       filepath.Base(r.cache.engine),
	}
	return nil
}

// hostModule is a set of functions that guests may import.
type hostModule struct {
	name      string
	functions []hostFunction
}

type hostFunction struct {
	name    string
	params  []api.ValueType
	results []api.ValueType
	call    func(g *Guest, memory api.Memory, stack []uint64)
}

func (m *hostModule) instantiate(ctx context.Context, engine wazero.Runtime) error {
	builder := engine.NewHostModuleBuilder(m.name)
	for _, f := range m.functions {
		call := api.GoModuleFunc(func(ctx context.Context, module api.Module, stack []uint64) {
			f.call(guestFrom(ctx), module.Memory(), stack)
		})
		builder.NewFunctionBuilder().WithGoModuleFunction(call, f.params, f.results).Export(f.name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}

func (m *hostModule) function(name string) (hostFunction, bool) {
	for _, f := range m.functions {
		if f.name == name {
			return f, true
		}
	}
	return hostFunction{}, false
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)
