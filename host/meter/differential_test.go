package meter_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
)

// program makes modules out of bytes: every input is a valid module that ends or traps, in all possible ways.
type program struct {
	choices []byte
	m       Module
	helpers []uint32 // functions that may be called
	triple  uint32   // the function with three results
	blocks  []bool   // the blocks that are open; true for a loop, to which nothing branches by chance
	budget  int      // of instructions, so that a module stays small
	loops   int      // that are open, which have a variable each
}

const (
	loopsMax = 2
	counter  = 2 // the first variable that counts a loop; 0 and 1 are parameters
	scratch  = counter + loopsMax
	variable = scratch + 3 // number of parameters and variables
)

var (
	binary   = Signature{Params: []ValType{I32, I32}, Results: []ValType{I32}}
	unary    = [][]byte{I32Eqz, {0x67}, {0x69}, {0xC0}} // eqz, clz, popcnt, extend8_s
	binaries = [][]byte{I32Add, I32Sub, I32Mul, I32And, I32ShrU, I32LtU, I32Eq, {0x72}, {0x73}, {0x77}, I32DivS, I32RemS}
)

func (p *program) next(n int) int {
	if len(p.choices) == 0 {
		return 0
	}
	b := int(p.choices[0])
	p.choices = p.choices[1:]
	return b % n
}

func (p *program) local() uint32 { return []uint32{0, 1, scratch, scratch + 1, scratch + 2}[p.next(5)] }

func (p *program) address() []byte { return Code(p.value(0), I32Const(0x1FFF8), I32And) }

// value is code that pushes an i32.
func (p *program) value(depth int) []byte {
	if p.budget--; depth <= 0 || p.budget < 0 {
		if p.next(2) == 0 {
			return LocalGet(p.local())
		}
		return I32Const(p.next(256) - 100)
	}
	switch p.next(13) {
	case 0, 1, 2:
		return Code(p.value(depth-1), p.value(depth-1), binaries[p.next(len(binaries))])
	case 3:
		return Code(p.value(depth-1), unary[p.next(len(unary))])
	case 4:
		return Code(p.address(), I32Load(uint32(p.next(64))))
	case 5:
		return GlobalGet(uint32(p.next(2)))
	case 6:
		if len(p.helpers) > 0 {
			return Code(p.value(depth-1), p.value(depth-1), Call(p.helpers[p.next(len(p.helpers))]))
		}
		return MemorySize
	case 7: // through the table, whose last entries are empty
		if len(p.helpers) > 0 {
			return Code(p.value(depth-1), p.value(depth-1), I32Const(p.next(len(p.helpers)+1)), CallIndirect(p.m.Type(binary)))
		}
		return MemorySize
	case 8: // if … else … end with a result
		condition := p.value(depth - 1)
		p.blocks = append(p.blocks, true)
		then, otherwise := p.value(depth-1), p.value(depth-1)
		p.blocks = p.blocks[:len(p.blocks)-1]
		return Code(condition, []byte{0x04, byte(I32)}, then, []byte{0x05}, otherwise, []byte{0x0B})
	case 9: // a block with two results, which a branch may carry
		return Code(p.typed(0x02, pair), p.value(depth-1), p.value(depth-1), p.value(depth-1), BrIf(0),
			p.value(depth-1), I32Add, LocalTee(p.local()), end, binaries[p.next(len(binaries))])
	case 10: // a loop with a parameter, which the branch back carries
		if p.loops < loopsMax {
			return p.carrying(depth)
		}
	case 11: // a function with three results
		return Code(p.value(depth-1), Call(p.triple), I32Sub, I32Add)
	}
	return Code(I32Const(p.next(3)), MemoryGrow)
}

// pair is the type of a block with two results, carried that of a loop with a parameter and a result.
var (
	pair    = Signature{Results: []ValType{I32, I32}}
	carried = Signature{Params: []ValType{I32}, Results: []ValType{I32}}
	triple  = Signature{Params: []ValType{I32}, Results: []ValType{I32, I32, I32}}
	end     = []byte{0x0B}
)

// typed begins a block of a type that has several parameters or results.
func (p *program) typed(op byte, s Signature) []byte { return []byte{op, byte(p.m.Type(s))} }

// carrying is a loop whose value goes round with it.
func (p *program) carrying(depth int) []byte {
	n := uint32(counter + p.loops)
	p.loops++
	defer func() { p.loops-- }()
	initial, times := p.value(depth-1), 1+p.next(40)
	return p.within(true, func() []byte {
		return Code(initial, I32Const(times), LocalSet(n), p.typed(0x03, carried), p.value(depth-1),
			binaries[p.next(len(binaries))],
			LocalTee(p.local()), LocalGet(n), I32Const(1), I32Sub, LocalTee(n), BrIf(0), end)
	})
}

// label is a block to branch to, if there is one.
func (p *program) label() (uint32, bool) {
	depth := p.next(len(p.blocks) + 1)
	if depth >= len(p.blocks) || p.blocks[len(p.blocks)-1-depth] {
		return 0, false
	}
	return uint32(depth), true
}

func (p *program) within(loop bool, body func() []byte) []byte {
	p.blocks = append(p.blocks, loop)
	code := body()
	p.blocks = p.blocks[:len(p.blocks)-1]
	return code
}

// statement is code that leaves the operand stack as it was.
func (p *program) statement(depth int) []byte {
	if p.budget--; p.budget < 0 {
		return Nop
	}
	several := func() []byte {
		var code []byte
		for range 1 + p.next(3) {
			code = append(code, p.statement(depth-1)...)
		}
		return code
	}
	kind := p.next(15)
	if depth <= 0 {
		kind %= 5
	}
	switch kind {
	case 0, 1:
		return Code(p.value(3), LocalSet(p.local()))
	case 2:
		return Code(p.address(), p.value(2), I32Store(uint32(p.next(64))))
	case 3:
		return Code(p.value(2), GlobalSet(uint32(p.next(2))))
	case 4:
		if label, ok := p.label(); ok {
			return Code(p.value(1), BrIf(label))
		}
		return Code(p.value(2), Drop)
	case 5:
		return Code(p.value(2), p.within(false, func() []byte { return If(several()) }))
	case 6:
		condition := p.value(2)
		return p.within(false, func() []byte {
			return Code(condition, []byte{0x04, 0x40}, several(), []byte{0x05}, several(), []byte{0x0B})
		})
	case 7, 8:
		return p.within(false, func() []byte { return Block(several()) })
	case 9, 10:
		return p.loop(several)
	case 11:
		if label, ok := p.label(); ok {
			return p.within(true, func() []byte { return Code(p.value(1), If(Br(label+1))) })
		}
		return Code(p.value(1), p.within(true, func() []byte { return If(p.value(1), Return, several()) }))
	case 12:
		if label, ok := p.label(); ok {
			return p.within(false, func() []byte { return Block(p.value(1), BrTable([]uint32{0, label + 1}, 0), several()) })
		}
		return Code(p.value(1), p.within(true, func() []byte { return If(Unreachable, several()) }))
	case 13:
		return Code(p.address(), p.value(1), p.length(), MemoryFill)
	}
	return Code(p.address(), p.address(), p.length(), MemoryCopy)
}

// length is of what is moved: mostly less than what is charged as an instruction.
func (p *program) length() []byte {
	return Code(p.value(1), I32Const([]int{255, 4095, 65535}[p.next(3)]), I32And)
}

// loop runs a few times.
func (p *program) loop(body func() []byte) []byte {
	if p.loops == loopsMax {
		return Nop
	}
	n := uint32(counter + p.loops)
	p.loops++
	defer func() { p.loops-- }()
	times := 1 + p.next(40)
	return Code(I32Const(times), LocalSet(n), p.within(true, func() []byte {
		return Loop(body(), LocalGet(n), I32Const(1), I32Sub, LocalTee(n), BrIf(0))
	}))
}

// build is a module with up to four functions, of which each may call those before it; the last is "run".
func build(choices []byte) []byte {
	p := &program{choices: choices}
	p.m.Memory(Limits{Min: 1, Max: 8, HasMax: true})
	p.m.Global(I32, true, I32Const(1))
	p.m.Global(I32, true, I32Const(2))
	p.m.Table(Limits{Min: 8})
	p.m.Type(binary)
	p.triple = p.m.Func(triple, nil, LocalGet(0), LocalGet(0), I32Eqz, GlobalGet(1))
	functions := 1 + p.next(4)
	var last uint32
	for range functions {
		p.budget = 150
		var body []byte
		for range 1 + p.next(6) {
			body = append(body, p.statement(4)...)
		}
		body = append(body, p.value(3)...)
		last = p.m.Func(binary, []Locals{{Count: variable - 2, Type: I32}}, body)
		p.helpers = append(p.helpers, last)
	}
	// Only functions that call nothing through the table stand in it, so that every program ends.
	p.m.Elements(0, p.helpers[0])
	p.m.Export("memory", ExternMemory, 0)
	p.m.Export("global", ExternGlobal, 0)
	p.m.Export("other", ExternGlobal, 1)
	p.m.Export("run", ExternFunc, last)
	return p.m.Encode()
}

// FuzzInstrument runs made-up programs as they are and metered: results, traps, memory and variables must be the same.
func FuzzInstrument(f *testing.F) {
	engine := newEngine(f)
	seed := uint32(1)
	for size := range 60 {
		choices := make([]byte, 40+10*size)
		for i := range choices {
			seed = seed*1664525 + 1013904223
			choices[i] = byte(seed >> 24)
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		const fuel = 20_000_000
		wasm := build(choices)
		bare, err := startBare(engine, wasm)
		if err != nil {
			t.Fatalf("the original is not valid: %v", err)
		}
		defer bare.close()
		metered, err := startMetered(engine, wasm, fuel)
		if err != nil {
			t.Fatalf("the metered module: %v", err)
		}
		defer metered.close()
		sliced, err := startMetered(engine, wasm, fuel)
		if err != nil {
			t.Fatalf("the metered module again: %v", err)
		}
		defer sliced.close()
		sliced.global(meter.SliceSize).Set(777)
		for _, argument := range []uint64{0, 3, 0xFFFFFFFF} {
			metered.fill(fuel)
			got, errMetered := metered.call("run", argument, 5)
			sliced.fill(fuel)
			again, errSliced := sliced.call("run", argument, 5)
			if sliced.fuelLeft() != metered.fuelLeft() || fmt.Sprint(errSliced) != fmt.Sprint(errMetered) ||
				!slices.Equal(again, got) {
				t.Fatalf("in small slices %v, error %v, with %d units left; in large ones %v, error %v, with %d",
					again, errSliced, sliced.fuelLeft(), got, errMetered, metered.fuelLeft())
			}
			if metered.fuelLeft() < 0 || metered.stackLeft() < 0 {
				t.Skip("takes too long")
			}
			want, errBare := bare.call("run", argument, 5)
			if fmt.Sprint(errMetered) != fmt.Sprint(errBare) || !slices.Equal(got, want) {
				t.Fatalf("got %v, error %v; without metering %v, error %v", got, errMetered, want, errBare)
			}
			a, _ := bare.Memory().Read(0, bare.Memory().Size())
			b, _ := metered.Memory().Read(0, metered.Memory().Size())
			if !bytes.Equal(a, b) {
				t.Fatalf("memories of %d and %d bytes differ", len(a), len(b))
			}
			for _, name := range []string{"global", "other"} {
				if a, b := bare.global(name).Get(), metered.global(name).Get(); a != b {
					t.Fatalf("%s is %d, without metering %d", name, b, a)
				}
			}
			if errBare != nil {
				return
			}
		}
	})
}
