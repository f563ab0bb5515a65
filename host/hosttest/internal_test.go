package hosttest

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestHostileCode_inSmall runs what is dangerous because of its size in a size that is not.
func TestHostileCode_inSmall(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	engine := wazero.NewRuntime(ctx)
	defer engine.Close(ctx)
	guests := map[string]*Guest{
		"locals":      withLocals(Locals{100, I64}),
		"parameters":  withParameters(10),
		"loops":       nestedLoops(10),
		"branches":    nestedBranches(10),
		"targets":     manyTargets(10),
		"exponential": exponential(3),
		"remembers":   remembers(Unreachable),
	}
	for name, g := range guests {
		wasm := g.Wasm()
		if err := Check(wasm); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		module, err := engine.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = module.ExportedFunction("pup_apply").Call(ctx, 0, 0)
		if trapped := err != nil; trapped != (name == "remembers") {
			t.Errorf("%s: pup_apply gives error %v", name, err)
		}
	}
}

// TestExponential_callsItselfTwice counts the calls of a small one in a global variable.
func TestExponential_callsItselfTwice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	engine := wazero.NewRuntime(ctx)
	defer engine.Close(ctx)
	m := &Module{}
	calls := m.Global(I32, true, I32Const(0))
	self := m.NextFunc()
	count := Code(GlobalGet(calls), I32Const(1), I32Add, GlobalSet(calls))
	again := Code(LocalGet(0), I32Const(1), I32Sub, Call(self))
	m.Func(Signature{Params: []ValType{I32}}, nil, count, LocalGet(0), If(again, again))
	m.Export("run", ExternFunc, self)
	m.Export("calls", ExternGlobal, calls)
	module, err := engine.Instantiate(ctx, m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := module.ExportedFunction("run").Call(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if got, want := module.ExportedGlobal("calls").Get(), uint64(1<<11-1); got != want {
		t.Errorf("got %d calls, want %d", got, want)
	}
}

func TestModule_encodesTheEmptyOne(t *testing.T) {
	t.Parallel()
	if got, want := (&Module{}).Encode(), []byte("\x00asm\x01\x00\x00\x00"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	signed := map[int64]string{
		0: "\x00", 1: "\x01", 63: "\x3f", 64: "\xc0\x00", -1: "\x7f", -64: "\x40",
		-65: "\xbf\x7f", 1 << 31: "\x80\x80\x80\x80\x08",
	}
	for v, want := range signed {
		if got := appendSigned(nil, v); string(got) != want {
			t.Errorf("%d is %x, want %x", v, got, want)
		}
	}
	if got := I32Const(uint32(0xFFFFFFFF)); !bytes.Equal(got, []byte{0x41, 0x7f}) {
		t.Errorf("0xFFFFFFFF is %x, want 417f", got)
	}
}
