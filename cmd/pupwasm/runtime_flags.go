package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/host"
)

var instancePolicies = []string{string(host.InstancesAuto), string(host.InstancesFresh), string(host.InstancesReuse)}

// runtimeOptions are the settings of the sandbox.
type runtimeOptions struct {
	limits    host.Limits
	moduleMiB int
	cacheDir  string
	instances string
	trust     host.Trust
	strict    bool
	world     host.Environment
}

func (o *runtimeOptions) addFlags(flags *pflag.FlagSet) {
	standard := host.DefaultLimits()
	flags.IntVar(&o.limits.MemoryMiB, "memory", standard.MemoryMiB, "MiB of memory that a module's instance may have")
	flags.Int64Var(&o.limits.Fuel, "fuel", standard.Fuel, "how much a module may do for one batch, in `units` of which some 35 take a nanosecond ('pupwasm inspect --measure' shows both)")
	flags.DurationVar(&o.limits.BatchTimeout, "batch-timeout", standard.BatchTimeout, "how long one batch may take on this machine before it is tried again; the third time in a row stops the projection")
	flags.IntVar(&o.moduleMiB, "module-size", standard.ModuleBytesMax>>20, "MiB that the file of a module may have")
	flags.DurationVar(&o.limits.CompileTime, "compile-time", standard.CompileTime, "processor time that compiling a module may take, in a process of its own")
	flags.IntVar(&o.limits.CompileMemoryMiB, "compile-memory", standard.CompileMemoryMiB, "MiB of memory that compiling a module may take, in a process of its own")
	flags.IntVar(&o.limits.CodeMiB, "code-size", standard.CodeMiB, "MiB of machine code that a module may have")
	flags.StringVar(&o.instances, "instances", string(host.InstancesAuto), "`policy` for a module's instances: fresh for every batch, reuse up to half of --memory (32 MiB at most), or auto: fresh where a module starts fast")
	flags.StringVar(&o.cacheDir, "cache-dir", defaultCacheDir(), "folder for compiled code, writable by this user alone; empty for none")
}

// defaultCacheDir is a folder of the user's, or none where there is no home.
func defaultCacheDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "pupwasm", "compiled")
}

// sizeMiBMax bounds the sizes that flags give in MiB.
const sizeMiBMax = 64 << 10

// check refuses what makes no sense. Zero stands for the default in a library's options, and for nothing sensible on a command line.
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

// shortest is the least that a limit of time may be.
const shortest = time.Millisecond

// start makes a runtime. A cache that cannot be used costs time at the start and nothing else, unless it was asked for.
func (o *runtimeOptions) start(ctx context.Context, globals *globalOptions) (*host.Runtime, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	options := host.Options{
		Limits:      o.limits,
		CacheDir:    o.cacheDir,
		Instances:   host.Instances(o.instances),
		Trust:       o.trust,
		Strict:      o.strict,
		Environment: o.world,
		Logger:      globals.log,
	}
	runtime, err := host.NewRuntime(ctx, options)
	if err != nil && o.cacheDir != "" && o.cacheDir == defaultCacheDir() {
		globals.log.Warn().Err(err).Msg("modules are compiled again at every start")
		options.CacheDir = ""
		runtime, err = host.NewRuntime(ctx, options)
	}
	if err != nil {
		return nil, usagef("%v", err)
	}
	return runtime, nil
}
