package hosttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pupwasm/pupwasm/host/hosttest"
)

// smallHost is a host in a few lines, straight on the engine: it shows that the guests are what their names
// say, and that the kit can be passed without package host.
type smallHost struct {
	engine wazero.Runtime
}

// features are the engine's without reference types, whose table.grow no limit covers.
const features = api.CoreFeaturesV1 | api.CoreFeatureMutableGlobal | api.CoreFeatureSignExtensionOps |
	api.CoreFeatureNonTrappingFloatToIntConversion | api.CoreFeatureBulkMemoryOperations | api.CoreFeatureMultiValue

func newEngine(t *testing.T, features api.CoreFeatures) wazero.Runtime {
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCoreFeatures(features).WithMemoryLimitPages(hosttest.MemoryMiB*16).WithCloseOnContextDone(true))
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
		modules[i.Module].NewFunctionBuilder().
			WithGoModuleFunction(hostFunction(i.Name), valueTypes(i.Signature.Params),
				valueTypes(i.Signature.Results)).Export(i.Name)
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

// hostFunction is what the small host does when a guest calls it: it checks addresses, refuses every query,
// and has nothing else to give.
func hostFunction(name string) api.GoModuleFunc {
	return func(_ context.Context, m api.Module, stack []uint64) {
		switch name {
		case "log":
			if _, ok := m.Memory().Read(uint32(stack[1]), uint32(stack[2])); !ok {
				panic(errors.New("log of text outside the memory"))
			}
		case "query":
			panic(errors.New("query is not possible here"))
		case "proc_exit":
			panic(sys.NewExitError(uint32(stack[0])))
		default:
			stack[0] = 0
		}
	}
}

// Load keeps the order that matters: nothing of the engine sees a module before Check has.
func (h *smallHost) Load(ctx context.Context, wasm []byte) (hosttest.Loaded, error) {
	if len(wasm) > hosttest.ModuleBytesMax {
		return nil, fmt.Errorf("the module has %d bytes, above the limit", len(wasm))
	}
	if err := hosttest.Check(wasm); err != nil {
		return nil, err
	}
	code, err := h.engine.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	l := &smallLoaded{host: h, code: code, wasm: wasm}
	if err := l.describe(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

type smallLoaded struct {
	host      *smallHost
	code      wazero.CompiledModule
	wasm      []byte
	catalogue *hosttest.Catalogue
}

func (l *smallLoaded) Close() { _ = l.code.Close(context.Background()) }

// smallInstance is one instance; see hosttest.Instance.
type smallInstance struct {
	module api.Module
}

func (i *smallInstance) Close() { _ = i.module.Close(context.Background()) }

func (i *smallInstance) Call(ctx context.Context, name string, params ...uint64) (uint64, error) {
	results, err := i.module.ExportedFunction(name).Call(ctx, params...)
	var exit *sys.ExitError
	switch {
	case isLate(ctx):
		return 0, context.DeadlineExceeded
	case errors.As(err, &exit):
		return 0, fmt.Errorf("exit code %d", exit.ExitCode())
	case err != nil:
		line, _, _ := strings.Cut(err.Error(), "\n")
		return 0, errors.New(line)
	}
	if len(results) == 0 {
		return 0, nil
	}
	return results[0], nil
}

// isLate looks at the clock: a guest that has no loop to be stopped at can return after its deadline, and the
// timer behind ctx.Err() does not run while a garbage collection waits for such a guest.
func isLate(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

func (i *smallInstance) Read(ptr, size uint32) ([]byte, bool) {
	view, ok := i.module.Memory().Read(ptr, size)
	return bytes.Clone(view), ok
}

func (i *smallInstance) Write(ptr uint32, data []byte) bool {
	return i.module.Memory().Write(ptr, data)
}

func (h *smallHost) start(ctx context.Context, code wazero.CompiledModule) (*smallInstance, error) {
	module, err := h.engine.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		if isLate(ctx) {
			return nil, context.DeadlineExceeded
		}
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	i := &smallInstance{module}
	if module.ExportedFunction("_initialize") != nil {
		if _, err := i.Call(ctx, "_initialize"); err != nil {
			i.Close()
			return nil, fmt.Errorf("instantiate: %w", err)
		}
	}
	return i, nil
}

func (l *smallLoaded) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hosttest.Deadline)
	defer cancel()
	i, err := l.host.start(ctx, l.code)
	if err != nil {
		return err
	}
	defer i.Close()
	text, err := hosttest.ReadDescription(ctx, i, 1<<20)
	if err != nil {
		return err
	}
	if err := hosttest.CheckEmbedded(l.wasm, text); err != nil {
		return err
	}
	l.catalogue, err = hosttest.ParseDescription(text)
	return err
}

// Apply uses a fresh instance for each batch.
func (l *smallLoaded) Apply(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, hosttest.Deadline)
	defer cancel()
	i, err := l.host.start(ctx, l.code)
	if err != nil {
		return 0, err
	}
	defer i.Close()
	events := hosttest.SampleEvents(hosttest.Events)
	batch, err := hosttest.Batch(events, l.catalogue.Columns, hosttest.Layout{})
	if err != nil {
		return 0, err
	}
	reply, err := hosttest.Apply(ctx, i, batch, hosttest.ReplyBytesMax)
	if err != nil {
		return 0, err
	}
	mutations, err := l.catalogue.Mutations(reply, hosttest.Events)
	if err == nil {
		err = l.catalogue.CheckRows(mutations, events)
	}
	return len(mutations), err
}

var _ hosttest.Host = (*smallHost)(nil)
