package host_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// started is the code of a guest that says that it starts, through function 0, with what is at address 0.
var started = Code(I32Const(2), I32Const(0), I32Const(1), Call(0))

// startsIn applies three batches, each with a fresh instance, and returns how often the guest started for them.
func startsIn(t *testing.T, g *Guest) int {
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
	for batch := range 3 {
		if _, err := guest.Apply(t.Context(), make([]store.RecordedEvent, Events), nil); err != nil {
			t.Fatalf("batch %d: %v", batch+1, err)
		}
	}
	return strings.Count(lines.String(), "\n")
}

// TestInstancesFresh_putsMemoryAndGlobalsBack has a guest that changes all that it has, and traps when it
// finds a change again.
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

// TestInstancesFresh_startsAgainWhatCannotBePutBack has guests whose changes are neither in memory nor in
// globals, or in memory that has grown.
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

// TestInstancesFresh_usageDependsOnTheBatchAlone gives batches of random sizes to a guest of TinyGo, whose
// work depends on the memory that it has.
func TestInstancesFresh_usageDependsOnTheBatchAlone(t *testing.T) {
	t.Parallel()
	engine := newRuntime(t, host.Options{Instances: host.InstancesFresh})
	module := load(t, engine, "fine_balance.wasm", guestbuild.Example(t, guestbuild.TinyGo, "fine_balance"))
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	random := rand.New(rand.NewPCG(4, 4))
	sizes := []int{1, 1000, 4000, 6000, 20_000}
	first := map[int]host.Usage{}
	for range 30 {
		size := sizes[random.IntN(len(sizes))]
		if _, err := guest.Apply(t.Context(), fineEvents(1, size), nil); err != nil {
			t.Fatal(err)
		}
		got := guest.Usage()
		got.Time = 0
		if want, known := first[size]; !known {
			first[size] = got
		} else if got != want {
			t.Errorf("a batch of %d events: %+v, was %+v", size, got, want)
		}
	}
	if small, large := first[sizes[0]], first[sizes[len(sizes)-1]]; small.MemoryBytes == 0 ||
		large.MemoryBytes < 4*small.MemoryBytes {
		t.Errorf("memory of %d bytes for the smallest batch, %d for the largest", small.MemoryBytes, large.MemoryBytes)
	}
}
