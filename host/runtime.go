package host

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/meter"
)

// Options configures a runtime. The zero value is ready to use.
type Options struct {
	// Limits bounds every guest.
	Limits Limits
	// Instances says whether batches share instances. Defaults to InstancesAuto.
	Instances Instances
	// CacheDir keeps compiled code between runs of the host. It must be writable by the host alone, since what stands there
	// is executed. Defaults to none: modules are compiled at every start.
	CacheDir string
	// Strict makes a module fail that asks for the time or for random bytes while it handles a batch. Otherwise it gets the same always,
	// and a line of the log tells once. Defaults to false.
	Strict bool
	// World is what instances find besides their batches. Rows must not depend on it, which 'pupwasm check' tries with others. Defaults to
	// what it is on every host.
	World World
	// Trust says which files ReadModule, and a [Registry], take for modules. Defaults to all.
	Trust Trust
	// Logger receives the lines of guests, with the fields module, projection and segment. Defaults to none.
	Logger zerolog.Logger
}

// World is what an instance finds besides its batches.
type World struct {
	Random uint64        // where random bytes begin
	Wall   time.Duration // what the wall clock shows, since 1970, at which it stands still
}

// coreFeatures is what the compilers of Go and TinyGo emit. Without reference types there is no table.grow, whose memory no limit
// covers.
const coreFeatures = api.CoreFeaturesV1 | api.CoreFeatureMutableGlobal | api.CoreFeatureSignExtensionOps |
	api.CoreFeatureNonTrappingFloatToIntConversion | api.CoreFeatureBulkMemoryOperations | api.CoreFeatureMultiValue

// Runtime compiles and runs modules. It is safe for concurrent use; its guests are not.
type Runtime struct {
	options Options
	engine  wazero.Runtime
	cache   wazero.CompilationCache
	imports []*hostModule // all that guests may import

	mu       sync.Mutex
	compiled map[[sha256.Size]byte]*compiledCode
}

// compiledCode is one compiled module, however many files hold the same bytes: the engine must not compile the same bytes
// while it closes them.
type compiledCode struct {
	wazero.CompiledModule
	metered *meter.Module // but for its code
	users   int
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
	r := &Runtime{options: options, imports: []*hostModule{pupModule(), wasiModule()}, compiled: map[[sha256.Size]byte]*compiledCode{}}
	// The engine gives memory all of its addresses: the host's own allocator bounds it, since that is where guests that are metered
	// leave their code for a moment.
	config := wazero.NewRuntimeConfig().WithCoreFeatures(coreFeatures)
	if options.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(options.CacheDir)
		if err == nil {
			err = checkCache(options.CacheDir)
		}
		if err != nil {
			return nil, fmt.Errorf("opening the compilation cache %s: %w", options.CacheDir, err)
		}
		r.cache = cache
		config = config.WithCompilationCache(cache)
	}
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
	if r.cache != nil {
		return r.cache.Close(ctx)
	}
	return nil
}

// compile meters and compiles a module, and returns its code, which the caller releases.
func (r *Runtime) compile(ctx context.Context, hash [sha256.Size]byte, wasm []byte) (*compiledCode, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	code, known := r.compiled[hash]
	if !known {
		metered, err := meter.Instrument(wasm)
		if err != nil {
			return nil, err
		}
		pages, limit := metered.Memory.Min, r.options.Limits.MemoryMiB*pagesPerMiB
		if int64(pages) > int64(limit) {
			return nil, fmt.Errorf("needs %d MiB of memory, this host grants %d: raise --memory",
				(int64(pages)+pagesPerMiB-1)/pagesPerMiB, r.options.Limits.MemoryMiB)
		}
		module, err := r.engine.CompileModule(ctx, metered.Code)
		if err != nil && damaged(err) {
			r.options.Logger.Warn().Err(err).Msg("the compilation cache is damaged, it is made anew")
			r.emptyCache()
			module, err = r.engine.CompileModule(ctx, metered.Code)
		}
		if err != nil {
			return nil, fmt.Errorf("does not compile: %w", err)
		}
		metered.Code = nil
		code = &compiledCode{CompiledModule: module, metered: metered}
		r.compiled[hash] = code
	}
	code.users++
	return code, nil
}

func (r *Runtime) release(ctx context.Context, hash [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	code := r.compiled[hash]
	if code.users--; code.users == 0 {
		delete(r.compiled, hash)
		_ = code.Close(ctx)
	}
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
