package host_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// started is the code of a guest that says that it starts, through function 0, with what stands at address 0.
var started = Code(I32Const(2), I32Const(0), I32Const(1), Call(0))

// startsIn applies batches of so many events, by default three small ones, each with an instance as new, and returns how often the
// guest started for them.
func startsIn(t *testing.T, g *Guest, sizes ...int) int {
	t.Helper()
	g.Imports = []Import{ImportLog}
	g.Initialize = Code(started, g.Initialize)
	var lines bytes.Buffer
	engine := newRuntime(t, host.Options{Instances: host.InstancesFresh, Logger: zerolog.New(&lines)})
	module := load(t, engine, "state.wasm", g.Wasm())
	if said := strings.Count(lines.String(), "\n"); said != 1 {
		t.Errorf("loading let the guest say %d times that it starts", said)
	}
	lines.Reset()
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	if sizes == nil {
		sizes = []int{Events, Events, Events}
	}
	for batch, size := range sizes {
		if _, err := guest.Apply(t.Context(), make([]store.RecordedEvent, size), nil); err != nil {
			t.Fatalf("batch %d: %v", batch+1, err)
		}
	}
	return strings.Count(lines.String(), "\n")
}

// TestInstancesFresh_putsMemoryAndGlobalsBack has a guest that changes all that it has, and traps when it finds a change again.
func TestInstancesFresh_putsMemoryAndGlobalsBack(t *testing.T) {
	t.Parallel()
	const untouched, filled, far = 8, 16, 3 << 16
	is := func(code []byte, want int32) []byte {
		return Code(code, I32Const(want), I32Ne, If(Unreachable))
	}
	g := &Guest{
		Memory: Limits{Min: 8},
		Edit: func(m *Module) {
			m.Global(I32, true, I32Const(1))
			m.Global(I64, true, I64Const(1))
			m.Global(I32, false, I32Const(1))
		},
		Initialize: Code(
			I32Const(2), GlobalSet(0), I64Const(1<<40), GlobalSet(1),
			I32Const(filled), I32Const(5), I32Store(0), I32Const(far), I32Const(6), I32Store(0),
		),
	}
	g.Apply = Code(
		is(GlobalGet(0), 2), GlobalGet(1), I64Const(1<<40), I64Eq, I32Eqz, If(Unreachable),
		is(Code(I32Const(untouched), I32Load(0)), 0), is(Code(I32Const(filled), I32Load(0)), 5),
		is(Code(I32Const(far), I32Load(0)), 6), is(Code(I32Const(far+pageOf), I32Load(0)), 0),
		I32Const(3), GlobalSet(0), I64Const(3), GlobalSet(1),
		I32Const(untouched), I32Const(1), I32Store(0), I32Const(filled), I32Const(0), I32Store(0),
		I32Const(far), I32Const(0), I32Store(0), I32Const(far+pageOf), I32Const(9), I32Store(0),
		g.GoodReply(),
	)
	if starts := startsIn(t, g); starts != 1 {
		t.Errorf("the guest started %d times, once is enough", starts)
	}
}

const pageOf = 64 << 10

// TestInstancesFresh_startsAgainWhatCannotBePutBack has guests whose changes are neither in memory nor in globals, or in memory
// that has grown.
func TestInstancesFresh_startsAgainWhatCannotBePutBack(t *testing.T) {
	t.Parallel()
	const prefix = 0xFC
	for _, test := range []struct {
		name  string
		apply []byte
	}{
		{
			name: "table.copy",
			apply: Code(
				I32Const(0), CallIndirect(1),
				I32Const(0), I32Const(1), I32Const(1), []byte{prefix, 14, 0, 0}, // now there is the function that traps
			),
		},
		{name: "table.init", apply: Code(I32Const(0), I32Const(0), I32Const(0), []byte{prefix, 12, 0, 0})},
		{name: "elem.drop", apply: []byte{prefix, 13, 0}},
		{
			name: "memory.grow",
			apply: Code(
				MemorySize, I32Const(8), I32Ne, If(Unreachable),
				I32Const(1), MemoryGrow, Drop,
			),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := &Guest{Memory: Limits{Min: 8}}
			g.Edit = func(m *Module) {
				m.Table(Limits{Min: 2})
				m.Elements(0, m.Func(Signature{}, nil), m.Func(Signature{}, nil, Unreachable))
			}
			g.Apply = Code(test.apply, g.GoodReply())
			if starts := startsIn(t, g); starts != 3 {
				t.Errorf("the guest started %d times, must start for every batch", starts)
			}
		})
	}
}
