package meter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pupwasm/pupwasm/host/compiler"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
)

// pagesMax is the memory of every instance here: 16 MiB.
const pagesMax = 256

// newEngine has the imports that guests may have, which do nothing.
func newEngine(t testing.TB) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, compiler.EngineConfig())
	t.Cleanup(func() {
		if err := engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	modules := map[string]wazero.HostModuleBuilder{}
	for _, i := range hosttest.AllowedImports() {
		if modules[i.Module] == nil {
			modules[i.Module] = engine.NewHostModuleBuilder(i.Module)
		}
		call := api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			switch i.Name {
			case "proc_exit":
				panic(sys.NewExitError(uint32(stack[0])))
			case "fd_prestat_get": // there are no folders
				stack[0] = 8
				return
			case "clock_time_get":
				// It moves, since Go waits for it, and is the same for every instance.
				g := ctx.Value(guestKey{}).(*guest)
				g.clock += 1_000_000
				m.Memory().WriteUint64Le(uint32(stack[2]), g.clock)
			}
			if len(stack) > 0 {
				stack[0] = 0
			}
		})
		modules[i.Module].NewFunctionBuilder().
			WithGoModuleFunction(call, valueTypes(i.Signature.Params), valueTypes(i.Signature.Results)).Export(i.Name)
	}
	for _, builder := range modules {
		if _, err := builder.Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return engine
}

func valueTypes(types []hosttest.ValType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}

// guest is an instance of a module, as it is or metered.
type guest struct {
	api.Module
	code    wazero.CompiledModule
	metered bool
	exits   int // to the host
	clock   uint64

	catalogue *hosttest.Catalogue
}

type guestKey struct{}

// plentyOfFuel is more than any guest here uses.
const plentyOfFuel = 1 << 50

// boundedMemory is the memory of package host in small: it refuses what leaves the limit, which exits do.
type boundedMemory struct {
	guest  *guest
	buffer []byte
	limit  uint64
}

func (m *boundedMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.buffer))+1<<30 {
		m.guest.exits++
	}
	if size > m.limit {
		return nil
	}
	m.buffer = append(m.buffer, make([]byte, size-uint64(len(m.buffer)))...)
	return m.buffer
}

func (m *boundedMemory) Free() {}

// startBare instantiates a module as it is.
func startBare(engine wazero.Runtime, wasm []byte) (*guest, error) {
	return start(engine, wasm, &guest{}, 65536)
}

// startMetered instruments a module and instantiates it, with fuel.
func startMetered(engine wazero.Runtime, wasm []byte, fuel int64) (*guest, error) {
	m, err := meter.Instrument(wasm)
	if err != nil {
		return nil, err
	}
	g, err := start(engine, m.Code, &guest{metered: true}, m.Memory.Max)
	if err != nil {
		return nil, err
	}
	g.fill(fuel)
	if m.HasStart {
		if _, err := g.call(meter.Start); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

func start(engine wazero.Runtime, wasm []byte, g *guest, pages uint32) (*guest, error) {
	ctx := context.Background()
	code, err := engine.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	allocator := experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory {
		return &boundedMemory{guest: g, limit: uint64(min(pages, pagesMax)) << 16}
	})
	g.code = code
	g.Module, err = engine.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), code,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		_ = code.Close(ctx)
		return nil, err
	}
	return g, nil
}

func (g *guest) close() {
	_ = g.Close(context.Background())
	_ = g.code.Close(context.Background())
}

func (g *guest) global(name string) api.MutableGlobal {
	return g.ExportedGlobal(name).(api.MutableGlobal)
}

func (g *guest) fill(fuel int64) {
	g.global(meter.FuelLeft).Set(uint64(fuel))
	g.global(meter.SliceLeft).Set(0)
	g.global(meter.StackLeft).Set(meter.StackBytes)
}

func (g *guest) fuelLeft() int64 {
	return int64(g.global(meter.FuelLeft).Get()) + int64(g.global(meter.SliceLeft).Get())
}

func (g *guest) stackLeft() int64 { return int64(g.global(meter.StackLeft).Get()) }

// call calls an export and returns its results. An error is the first line of what the engine says.
func (g *guest) call(name string, params ...uint64) ([]uint64, error) {
	results, err := g.ExportedFunction(name).Call(context.WithValue(context.Background(), guestKey{}, g), params...)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(line)
	}
	return results, nil
}

// apply hands over a batch and returns the reply.
func (g *guest) apply(batch []byte) ([]byte, error) {
	results, err := g.call("pup_reserve", uint64(len(batch)))
	if err != nil {
		return nil, err
	}
	if !g.Memory().Write(uint32(results[0]), batch) {
		return nil, fmt.Errorf("pup_reserve returned %d", results[0])
	}
	if results, err = g.call("pup_apply", results[0], uint64(len(batch))); err != nil {
		return nil, err
	}
	return g.block(results[0])
}

// block reads what a result ptr<<32 | len stands for.
func (g *guest) block(result uint64) ([]byte, error) {
	view, ok := g.Memory().Read(uint32(result>>32), uint32(result))
	if !ok {
		return nil, fmt.Errorf("returned %#x", result)
	}
	return append([]byte(nil), view...), nil
}

// batch lays out events as the module wants them. At first it runs _initialize and reads the description.
func (g *guest) batch(events []hosttest.Event) ([]byte, error) {
	if g.catalogue == nil {
		if g.ExportedFunction("_initialize") != nil {
			if _, err := g.call("_initialize"); err != nil {
				return nil, err
			}
		}
		results, err := g.call("pup_describe")
		if err != nil {
			return nil, err
		}
		text, err := g.block(results[0])
		if err != nil {
			return nil, err
		}
		if g.catalogue, err = hosttest.ParseDescription(text); err != nil {
			return nil, err
		}
	}
	return hosttest.Batch(events, g.catalogue.Columns, hosttest.Layout{})
}

// fines are events that fine_balance and the other examples read.
func fines(count int) []hosttest.Event {
	events := hosttest.SampleEvents(count)
	kinds := []string{"CreateFine", "SendFine", "Payment", "AddPenalty", "SendForCreditCollection"}
	payloads := []string{
		`{"amount":%d.59,"vehicleClass":"A"}`, `{"expense":%d.5}`, `{"paymentAmount":%d}`, `{"amount":%d.1}`, `{"n":%d}`,
	}
	for i := range events {
		e := &events[i]
		e.BoundedContext, e.AggregateType, e.AggregateID = "Traffic", "Fine", fmt.Sprintf("S%d", i%40)
		e.EventType, e.Payload = kinds[i%len(kinds)], fmt.Appendf(nil, payloads[i%len(payloads)], i)
	}
	return events
}
