package worst

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/pupwasm/pupwasm/host/compiler"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/clock"
)

// rounds are more than any program has the fuel for.
const rounds = math.MaxInt32

// Engine runs programs. It is used by one goroutine.
type Engine struct {
	runtime wazero.Runtime
	circles map[int][]byte // the places of a memory, by its size
}

// NewEngine starts an engine.
func NewEngine(ctx context.Context) (*Engine, error) {
	e := &Engine{
		runtime: wazero.NewRuntimeWithConfig(ctx, compiler.EngineConfig()), circles: map[int][]byte{},
	}
	nothing := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
	_, err := e.runtime.NewHostModuleBuilder("host").NewFunctionBuilder().WithGoModuleFunction(nothing, nil, nil).
		Export("nothing").Instantiate(ctx)
	return e, err
}

// Close releases everything.
func (e *Engine) Close(ctx context.Context) error { return e.runtime.Close(ctx) }

// Result is what a program took, in processor time of its thread.
type Result struct {
	Units   int64
	Time    time.Duration
	Longest time.Duration // of its slices
}

// NanosUnit is the time of a unit of fuel, in nanoseconds.
func (r Result) NanosUnit() float64 { return float64(r.Time.Nanoseconds()) / float64(max(r.Units, 1)) }

// instance is a program at work. It is also the memory of its instance, where exits to the host arrive.
type instance struct {
	api.Module
	code    wazero.CompiledModule
	buffer  []byte
	limit   uint64
	end     time.Duration // of what is measured, as the thread's time
	left    time.Duration // when it left its code last
	longest time.Duration
}

// errLate ends a program that has taken as long as it may.
var errLate = errors.New("late")

// Allocate implements [experimental.MemoryAllocator].
func (i *instance) Allocate(_, _ uint64) experimental.LinearMemory { return i }

// Reallocate implements [experimental.LinearMemory].
func (i *instance) Reallocate(size uint64) []byte {
	if size >= uint64(len(i.buffer))+meter.ExitPages<<16 {
		now := clock.ThreadTime()
		i.longest, i.left = max(i.longest, now-i.left), now
		if now > i.end {
			panic(errLate)
		}
		return nil
	}
	if size > i.limit {
		return nil
	}
	i.buffer = append(i.buffer, make([]byte, size-uint64(len(i.buffer)))...)
	return i.buffer
}

// Free implements [experimental.LinearMemory].
func (i *instance) Free() {}

// start meters, compiles and instantiates a program, and lays out its memory.
func (e *Engine) start(ctx context.Context, p *Program) (*instance, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	metered, err := meter.Instrument(p.Build())
	if err != nil {
		return nil, err
	}
	i := &instance{limit: uint64(p.MemoryMiB) << 20}
	if i.code, err = e.runtime.CompileModule(ctx, metered.Code); err != nil {
		return nil, err
	}
	i.Module, err = e.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, i), i.code,
		wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, errors.Join(err, i.code.Close(ctx))
	}
	e.layOut(i, p.MemoryMiB)
	return i, nil
}

func (i *instance) close(ctx context.Context) {
	_ = i.Close(ctx)
	_ = i.code.Close(ctx)
}

// layOut writes the numbers that Float begins with, and the places.
func (e *Engine) layOut(i *instance, mib int) {
	memory := i.Memory()
	memory.WriteFloat64Le(denormalAt, 0x1p-1060)
	memory.WriteFloat64Le(factorAt, 0x1.0000000000001p0)
	if e.circles[mib] == nil {
		e.circles[mib] = circle(mib)
	}
	memory.Write(arenaAt, e.circles[mib])
	for at := uint32(mib) << 19; at < memory.Size(); at += 4096 {
		memory.WriteByte(at, 1) // so that the system has given it
	}
}

// circle is what is in the places: each tells the next, in one circle that looks random.
func circle(mib int) []byte {
	order := make([]int, places(mib))
	for n := range order {
		order[n] = n
	}
	b := &builder{random: 1}
	for n := len(order) - 1; n > 0; n-- { // Sattolo's shuffle makes one circle
		other := b.next(n)
		order[n], order[other] = order[other], order[n]
	}
	memory := make([]byte, placeBytes*len(order))
	for n, next := range order {
		binary.LittleEndian.PutUint32(memory[placeBytes*n:], uint32(arenaAt+placeBytes*next))
	}
	return memory
}

func (i *instance) global(name string) api.MutableGlobal {
	return i.ExportedGlobal(name).(api.MutableGlobal)
}

// call runs a number of rounds with fuel, and returns the fuel that was used.
func (i *instance) call(ctx context.Context, times int, fuel int64) (int64, error) {
	i.global(meter.FuelLeft).Set(uint64(fuel))
	i.global(meter.SliceLeft).Set(0)
	i.global(meter.StackLeft).Set(meter.StackBytes)
	_, err := i.ExportedFunction("run").Call(ctx, uint64(times))
	return fuel - int64(i.global(meter.FuelLeft).Get()) - int64(i.global(meter.SliceLeft).Get()), err
}

// Measure runs a program until it has used some fuel or processor time.
func (e *Engine) Measure(ctx context.Context, p *Program, fuel int64, limit time.Duration) (Result, error) {
	i, err := e.start(ctx, p)
	if err != nil {
		return Result{}, err
	}
	defer i.close(ctx)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	i.end = clock.ThreadTime() + limit
	_, _ = i.call(ctx, rounds, fuel/10) // for the caches, and for memory that was not used before
	i.left, i.longest = clock.ThreadTime(), 0
	i.end = i.left + limit
	began := i.left
	units, err := i.call(ctx, rounds, fuel)
	took := clock.ThreadTime() - began
	if units <= fuel && !errors.Is(err, errLate) {
		return Result{}, fmt.Errorf("ended before its fuel: %w", err)
	}
	return Result{Units: units, Time: took, Longest: i.longest}, nil
}

// RoundFuel returns the fuel of a round, which is the same everywhere. Three rounds must not take more than some fuel.
func (e *Engine) RoundFuel(ctx context.Context, p *Program, fuel int64) (int64, error) {
	i, err := e.start(ctx, p)
	if err != nil {
		return 0, err
	}
	defer i.close(ctx)
	i.end = math.MaxInt64
	once, err := i.call(ctx, 1, fuel)
	if err != nil {
		return 0, err
	}
	twice, err := i.call(ctx, 2, fuel)
	return twice - once, err
}
