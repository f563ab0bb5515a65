package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/cases"
)

var instancePolicies = []string{string(host.InstancesAuto), string(host.InstancesFresh), string(host.InstancesReuse)}

// runtimeOptions are the settings of the sandbox.
type runtimeOptions struct {
	limits      host.Limits
	moduleMiB   int
	cacheDir    string
	instances   string
	trust       host.Trust
	strict      bool
	environment host.Environment
}

func (o *runtimeOptions) addFlags(flags *pflag.FlagSet) {
	standard := host.DefaultLimits()
	flags.IntVar(&o.limits.MemoryMiB, "memory", standard.MemoryMiB, "maximum MiB of memory per instance of a module")
	flags.Int64Var(&o.limits.Fuel, "fuel", standard.Fuel,
		"maximum work of a module per batch, in `units`; about 35 units take a nanosecond ('pupwasm inspect --measure' "+
			"shows both)")
	flags.DurationVar(&o.limits.BatchTimeout, "batch-timeout", standard.BatchTimeout,
		"maximum time of a module per batch; the batch is tried again, and the third timeout in a row stops the projection")
	flags.IntVar(&o.moduleMiB, "module-size", standard.ModuleBytesMax>>20, "maximum MiB of a module file")
	flags.DurationVar(&o.limits.CompileTime, "compile-time", standard.CompileTime,
		"maximum processor time of compiling a module, in a separate process")
	flags.IntVar(&o.limits.CompileMemoryMiB, "compile-memory", standard.CompileMemoryMiB,
		"maximum MiB of memory of compiling a module, in a separate process")
	flags.IntVar(&o.limits.CodeMiB, "code-size", standard.CodeMiB, "maximum MiB of machine code of a module")
	flags.StringVar(&o.instances, "instances", string(host.InstancesAuto),
		"`policy` for instances: fresh for every batch, reuse (up to half of --memory, at most 32 MiB), or auto (fresh if "+
			"the module starts fast)")
	flagChoices(flags, "instances", instancePolicies...)
	flags.StringVar(&o.cacheDir, "cache-dir", defaultCacheDir(),
		"`folder` for compiled code, which only this user may write to; empty for none")
}

// defaultCacheDir is the user's cache folder, or none without a home.
func defaultCacheDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "pupwasm", "compiled")
}

// sizeMiBMax bounds the sizes that flags give in MiB.
const sizeMiBMax = 64 << 10

// check refuses invalid settings. Zero means the default in a library's options and is a mistake on a command line.
func (o *runtimeOptions) check() error {
	if o.limits.Fuel < 1 {
		return usagef("--fuel must be more than 0, it is %d", o.limits.Fuel)
	}
	for _, time := range []struct {
		flag string
		is   time.Duration
	}{{"batch-timeout", o.limits.BatchTimeout}, {"compile-time", o.limits.CompileTime}} {
		if time.is < shortest {
			return usagef("--%s must be at least %s, it is %s", time.flag, shortest, time.is)
		}
	}
	for _, size := range []struct {
		flag    string
		is, max int
	}{
		{"memory", o.limits.MemoryMiB, host.MemoryMiBMax},
		{"module-size", o.moduleMiB, sizeMiBMax},
		{"compile-memory", o.limits.CompileMemoryMiB, sizeMiBMax},
		{"code-size", o.limits.CodeMiB, sizeMiBMax},
	} {
		if size.is < 1 || size.is > size.max {
			return usagef("--%s must be between 1 and %d MiB, it is %d", size.flag, size.max, size.is)
		}
	}
	if !slices.Contains(instancePolicies, o.instances) {
		return usagef("--instances %q: use auto, fresh or reuse", o.instances)
	}
	o.limits.ModuleBytesMax = o.moduleMiB << 20
	return nil
}

// shortest is the smallest limit of time.
const shortest = time.Millisecond

// start makes a runtime. An unusable default cache is no error: it only makes starts slower.
func (o *runtimeOptions) start(ctx context.Context, globals *globalOptions) (*host.Runtime, error) {
	return startWith(ctx, o, globals, host.NewRuntime)
}

// several makes the runtimes of cases.
func (o *runtimeOptions) several(ctx context.Context, globals *globalOptions) (cases.Runtimes, error) {
	return startWith(ctx, o, globals, cases.NewRuntimes)
}

func startWith[R any](
	ctx context.Context, o *runtimeOptions, globals *globalOptions, make func(context.Context, host.Options) (R, error),
) (R, error) {
	var none R
	if err := o.check(); err != nil {
		return none, err
	}
	options := host.Options{
		Limits:      o.limits,
		CacheDir:    o.cacheDir,
		Instances:   host.Instances(o.instances),
		Trust:       o.trust,
		Strict:      o.strict,
		Environment: o.environment,
		Logger:      globals.log,
	}
	made, err := make(ctx, options)
	if err != nil && o.cacheDir != "" && o.cacheDir == defaultCacheDir() {
		globals.log.Warn().Err(err).Msg("modules are compiled again at every start")
		options.CacheDir = ""
		made, err = make(ctx, options)
	}
	if err != nil {
		return none, usagef("%v", err)
	}
	return made, nil
}

// readModule reads the file of a module.
func readModule(runtime *host.Runtime, file string) ([]byte, error) {
	wasm, err := runtime.ReadModule(file)
	if err != nil {
		return nil, &inputError{where: file, err: unwrapPath(err)}
	}
	return wasm, nil
}

// loadModule reads and loads the file of a module.
func loadModule(ctx context.Context, runtime *host.Runtime, file string) (*host.Module, []byte, error) {
	wasm, err := readModule(runtime, file)
	if err != nil {
		return nil, nil, err
	}
	module, err := runtime.Load(ctx, filepath.Base(file), wasm)
	return module, wasm, err
}
