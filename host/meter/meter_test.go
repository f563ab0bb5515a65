package meter_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// run is a module that exports a function "run" of one parameter and one result.
func run(locals []Locals, body []byte, edit func(m *Module)) []byte {
	m := &Module{}
	m.Memory(Limits{Min: 1})
	if edit != nil {
		edit(m)
	}
	m.Export("memory", ExternMemory, 0)
	m.Export("run", ExternFunc, m.Func(Signature{Params: []ValType{I32}, Results: []ValType{I32}}, locals, body))
	return m.Encode()
}

// forever is a loop of five instructions.
var forever = Code(Loop(LocalGet(0), I32Const(1), I32Add, LocalSet(0), Br(0)), Unreachable)

func TestInstrument_stopsAtTheSamePlace(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	recursion := func(m *Module) { m.Func(Signature{}, nil, Call(m.NextFunc()), Call(m.NextFunc())) }
	doubling := func(m *Module) {
		self := m.NextFunc()
		again := Code(LocalGet(0), I32Const(1), I32Sub, Call(self))
		m.Func(Signature{Params: []ValType{I32}}, nil, LocalGet(0), If(again, again))
	}
	straight := func(m *Module) {
		m.Func(Signature{}, nil, Repeat(20_000, I32Const(1), Drop, I32Const(9), I32Load(0), Drop))
	}
	for _, test := range []struct {
		name  string
		wasm  []byte
		stack bool // runs out before the fuel
	}{
		{name: "loop", wasm: run(nil, forever, nil)},
		{name: "loop_without_instructions", wasm: run(nil, Code(Loop(Br(0)), Unreachable), nil)},
		{
			name: "loop_of_calls",
			wasm: run(nil, Code(Loop(Call(0), Br(0)), Unreachable), func(m *Module) { m.Func(Signature{}, nil) }),
		},
		{name: "loop_of_fills", wasm: run(nil, Code(
			Loop(I32Const(0), I32Const(0), I32Const(60_000), MemoryFill, Br(0)), Unreachable), nil)},
		{name: "calls_without_a_loop", wasm: run(nil, Code(I32Const(60), Call(0), I32Const(0)), doubling)},
		{name: "code_without_a_loop", wasm: run(nil, Code(Repeat(10_000, Call(0)), I32Const(0)), straight)},
		{name: "recursion", wasm: run(nil, Code(Call(0), I32Const(0)), recursion), stack: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			const fuel = 50_000_000
			var left [2]int64
			for i := range left {
				g, err := startMetered(engine, test.wasm, fuel)
				if err != nil {
					t.Fatal(err)
				}
				defer g.close()
				if _, err := g.call("run", 0); err == nil || !strings.Contains(err.Error(), "unreachable") {
					t.Fatalf("error is %v", err)
				}
				left[i] = g.fuelLeft()
				if overflown := g.stackLeft() < 0; overflown != test.stack {
					t.Errorf("%d bytes of stack are left", g.stackLeft())
				}
				if test.stack {
					continue
				}
				if left[i] >= 0 || left[i] < -2*meter.SliceUnits {
					t.Errorf("%d units of fuel are left", left[i])
				}
				if want := fuel / meter.SliceUnits / 3; g.exits < want {
					t.Errorf("left its code %d times, want %d at least", g.exits, want)
				}
			}
			if left[0] != left[1] {
				t.Errorf("stops with %d and with %d units", left[0], left[1])
			}
		})
	}
}

// TestInstrument_takesTheSameInSlicesOfEverySize has programs take the same fuel, and run out of it at the
// same point, whatever the size of slices is.
func TestInstrument_takesTheSameInSlicesOfEverySize(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	const fuel = 3_000_000
	count := func(m *Module) { m.Global(I32, true, I32Const(0)); m.Export("count", ExternGlobal, 0) }
	counting := Code(GlobalGet(0), I32Const(1), I32Add, GlobalSet(0))
	again := func(m *Module) {
		count(m)
		self := m.NextFunc()
		m.Func(Signature{Params: []ValType{I32}}, nil, counting, LocalGet(0),
			If(LocalGet(0), I32Const(1), I32Sub, Call(self), LocalGet(0), I32Const(1), I32Sub, Call(self)))
	}
	for _, test := range []struct {
		name string
		wasm []byte
		ends bool
	}{
		{"loop", run(nil, Code(Loop(counting, Br(0)), Unreachable), count), false},
		{"loop_that_ends", run(nil, Code(
			I32Const(50_000), LocalSet(0), Loop(counting, LocalGet(0), I32Const(1), I32Sub, LocalTee(0),
				BrIf(0)), I32Const(0)), count), true},
		{"fills", run(nil, Code(Loop(counting, I32Const(0), I32Const(0), I32Const(30_000), MemoryFill, Br(0)), Unreachable),
			count), false},
		{"grows", run(nil, Code(Loop(counting, I32Const(1), MemoryGrow, Drop, Br(0)), Unreachable), count), false},
		{"calls", run(nil, Code(I32Const(60), Call(0), I32Const(0)), again), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			type outcome struct {
				left  int64
				count uint64
				err   string
			}
			outcomes := map[outcome][]int64{}
			for _, size := range []int64{1, 7, 999, 40_000, 123_456, meter.SliceUnits} {
				g, err := startMetered(engine, test.wasm, fuel)
				if err != nil {
					t.Fatal(err)
				}
				defer g.close()
				g.global(meter.SliceSize).Set(uint64(size))
				_, err = g.call("run", 0)
				if (err == nil) != test.ends || (g.fuelLeft() < 0) == test.ends {
					t.Fatalf("slices of %d: error is %v, %d units are left", size, err, g.fuelLeft())
				}
				of := outcome{g.fuelLeft(), g.global("count").Get(), fmt.Sprint(err)}
				outcomes[of] = append(outcomes[of], size)
			}
			if len(outcomes) != 1 {
				t.Errorf("outcomes by the size of slices: %v", outcomes)
			}
		})
	}
}

// TestInstrument_chargesWhatIsMoved has loops whose rounds differ by what the engine moves, and by nothing that runs.
func TestInstrument_chargesWhatIsMoved(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	const rounds = 1000
	// used is the fuel of a round that has some code besides what counts it.
	used := func(locals []Locals, body []byte, edit func(m *Module)) int64 {
		g, err := startMetered(engine, run(locals, Code(
			Loop(body, LocalGet(0), I32Const(1), I32Sub, LocalTee(0), BrIf(0)), I32Const(0)), func(m *Module) {
			m.Global(I32, true, I32Const(0))
			if edit != nil {
				edit(m)
			}
		}), plentyOfFuel)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		before := g.fuelLeft()
		if _, err := g.call("run", rounds); err != nil {
			t.Fatal(err)
		}
		return (before - g.fuelLeft()) / rounds
	}
	const many = 1000
	assign := func(variables int) []byte {
		var code []byte
		for i := range variables {
			code = Code(code, I64Const(1), LocalSet(uint32(1+i)))
		}
		return code
	}
	locals := []Locals{{Count: many, Type: I64}}
	never := func(variables int) []byte { return Code(GlobalGet(0), If(assign(variables))) }
	// The code itself is charged where it is, and never runs; what it assigns, at the end of its block and at
	// the head of the loop.
	if few, much := used(locals, never(1), nil), used(locals, never(many), nil); much-few < 2*(many-1)/4-1 ||
		much-few > 2*many/4 {
		t.Errorf("a round takes %d units with one variable that may be assigned, %d with %d", few, much, many)
	}
	call := func(params, results int) (code []byte, edit func(m *Module)) {
		signature := Signature{Params: slices.Repeat([]ValType{I64}, params), Results: slices.Repeat([]ValType{I64}, results)}
		return Code(Repeat(params, LocalGet(1)), Call(0), Repeat(results, Drop)), func(m *Module) {
			m.Func(signature, nil, Repeat(results, I64Const(1)))
		}
	}
	code, edit := call(0, 0)
	none := used(locals, code, edit)
	code, edit = call(400, 0)
	if got := used(locals, code, edit) - none; got != 400+400/4 {
		t.Errorf("400 parameters take %d units", got)
	}
	code, edit = call(0, 16)
	if got := used(locals, code, edit) - none; got != 16+16/4 {
		t.Errorf("16 results take %d units", got)
	}
	// A block with 16 results, at whose end two ways meet.
	carry := func(results int) []byte {
		types := slices.Repeat([]ValType{I64}, results)
		kind := (&Module{}).Type(Signature{Results: types})
		return Code([]byte{0x02, byte(kind)}, Repeat(results, LocalGet(1)), GlobalGet(0), BrIf(0), []byte{0x0B},
			Repeat(results, Drop))
	}
	types := func(results int) func(m *Module) {
		return func(m *Module) { m.Type(Signature{Results: slices.Repeat([]ValType{I64}, results)}) }
	}
	if got := used(locals, carry(16), types(16)) - used(locals, carry(0), types(0)); got != 16+16/4 {
		t.Errorf("a block with 16 results takes %d units more than one without", got)
	}
}

// TestInstrument_chargesForPages has memory grow by nothing, by pages, and by more than there are, which is refused.
func TestInstrument_chargesForPages(t *testing.T) {
	t.Parallel()
	g, err := startMetered(newEngine(t), run(nil, Code(LocalGet(0), MemoryGrow), nil), plentyOfFuel)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	used := func(pages uint64, want int32) int64 {
		before := g.fuelLeft()
		if results, err := g.call("run", pages); err != nil || int32(results[0]) != want {
			t.Fatalf("growing by %d pages gives %v, error %v, want %d", pages, results, err, want)
		}
		return before - g.fuelLeft()
	}
	none := used(0, 1)
	const unitsPage = 8192
	if got := used(3, 1) - none; got != 3*unitsPage {
		t.Errorf("three pages take %d units, want %d", got, 3*unitsPage)
	}
	for _, tooMany := range []uint64{300, 32768, 0xFFFFFFFF} {
		if got := used(tooMany, -1); got != none {
			t.Errorf("%d pages, which are refused, take %d units, want %d", tooMany, got, none)
		}
	}
}

// TestInstrument_fuelIsProportional counts what is known.
func TestInstrument_fuelIsProportional(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	countdown := Code(Loop(LocalGet(0), I32Const(1), I32Sub, LocalTee(0), BrIf(0)), I32Const(7))
	g, err := startMetered(engine, run(nil, countdown, nil), plentyOfFuel)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	used := func(times uint64) int64 {
		before := g.fuelLeft()
		if results, err := g.call("run", times); err != nil || results[0] != 7 {
			t.Fatalf("got %v, error %v", results, err)
		}
		return before - g.fuelLeft()
	}
	const units = 7 // a loop of five instructions, of which one assigns
	base := used(1)
	for _, times := range []uint64{2, 1000, 1_000_000} {
		if got := used(times) - base; got != units*int64(times-1) {
			t.Errorf("%d times take %d units more than once, want %d", times, got, units*(times-1))
		}
	}
	if g.stackLeft() != meter.StackBytes {
		t.Errorf("%d bytes of stack are left", g.stackLeft())
	}
}

// TestInstrument_saysWhatStateThereIs has modules that change globals, tables and segments.
func TestInstrument_saysWhatStateThereIs(t *testing.T) {
	t.Parallel()
	globals := func(m *Module) {
		m.Global(I32, true, I32Const(1))
		m.Global(I32, false, I32Const(1))
		m.Global(I64, true, I64Const(1))
		m.Table(Limits{Min: 1})
		m.Elements(0, m.Func(Signature{}, nil))
	}
	const prefix = 0xFC
	for _, test := range []struct {
		name  string
		code  []byte
		plain bool
	}{
		{"nothing", nil, true},
		{"memory.fill", Code(I32Const(0), I32Const(0), I32Const(0), MemoryFill), true},
		{"table.init", Code(I32Const(0), I32Const(0), I32Const(0), []byte{prefix, 12, 0, 0}), false},
		{"elem.drop", []byte{prefix, 13, 0}, false},
		{"table.copy", Code(I32Const(0), I32Const(0), I32Const(0), []byte{prefix, 14, 0, 0}), false},
	} {
		m, err := meter.Instrument(run(nil, Code(test.code, I32Const(0)), globals))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if m.StateIsPlain != test.plain {
			t.Errorf("%s: the state is plain: %t", test.name, m.StateIsPlain)
		}
		if want := []string{"pupwasm.global_0", "pupwasm.global_2"}; !slices.Equal(m.Globals, want) {
			t.Errorf("%s: globals that may change are %q, want %q", test.name, m.Globals, want)
		}
	}
}

// TestInstrument_changesNothing compares the examples of both compilers, as they are and metered, over several batches.
func TestInstrument_changesNothing(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for _, name := range []string{"fine_balance", "user_counter", "activity_log"} {
		for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
			t.Run(name+"/"+string(compiler), func(t *testing.T) {
				wasm := guestbuild.Example(t, compiler, name)
				bare, err := startBare(engine, wasm)
				if err != nil {
					t.Fatal(err)
				}
				defer bare.close()
				metered, err := startMetered(engine, wasm, plentyOfFuel)
				if err != nil {
					t.Fatal(err)
				}
				defer metered.close()
				for _, count := range []int{1, 1000, 0, 300} {
					batch, err := bare.batch(fines(count))
					if err != nil {
						t.Fatal(err)
					}
					if again, err := metered.batch(fines(count)); err != nil || !bytes.Equal(again, batch) {
						t.Fatalf("the metered module wants another batch, error %v", err)
					}
					want, errBare := bare.apply(batch)
					got, errMetered := metered.apply(batch)
					if errBare != nil || errMetered != nil || !bytes.Equal(got, want) {
						t.Errorf("%d events: replies of %d and %d bytes, errors %v and %v", count, len(want), len(got), errBare,
							errMetered)
					}
				}
				if a, b := bare.Memory().Size(), metered.Memory().Size(); a != b {
					t.Errorf("memories of %d and %d bytes", a, b)
				}
			})
		}
	}
}

// TestInstrument_severalResults has a function with two results that calls itself and returns from within blocks.
func TestInstrument_severalResults(t *testing.T) {
	t.Parallel()
	m := &Module{}
	m.Memory(Limits{Min: 1})
	self := m.NextFunc()
	m.Func(Signature{Params: []ValType{I32}, Results: []ValType{I32, I64}}, nil,
		LocalGet(0), I32Eqz, If(I32Const(7), I64Const(8), Return),
		LocalGet(0), I32Const(1), I32Sub, Call(self))
	m.Export("run", ExternFunc, self)
	g, err := startMetered(newEngine(t), m.Encode(), plentyOfFuel)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if results, err := g.call("run", 1000); err != nil || len(results) != 2 || results[0] != 7 || results[1] != 8 {
		t.Errorf("got %v, error %v", results, err)
	}
	if g.stackLeft() != meter.StackBytes {
		t.Errorf("%d bytes of stack are left", g.stackLeft())
	}
}
