package worst

import (
	"slices"

	wasm "github.com/pupwasm/pupwasm/host/hosttest"
)

// The addresses that programs use. Below them are the numbers of Float.
const (
	denormalAt = 16
	factorAt   = 24
	scratchAt  = 64
	arenaAt    = 1 << 20 // to half of the memory: places for Chase, Load and Store; behind it: what Fill and Copy move
	placeBytes = 64
)

// The globals.
const (
	globalZero  = 0 // is 0, which nobody knows but we
	globalPlace = 1 // where Chase is
	globalSum   = 2
)

// The variables of a function that are not for values, behind its parameters.
const (
	counters   = depthMax // of loops
	localFloat = counters
	localOther = counters + 1
	localRest  = counters + 2
	localsOwn  = counters + 3
)

// builder makes a module.
type builder struct {
	program *Program
	m       wasm.Module
	first   uint32 // index of the first function of the program
	tiny    uint32 // index of the first tiny function
	random  uint64
	f       *Function
	number  int // of the function
	loops   int // that are open
}

// Build returns the module of a program that is valid. Its export "run" takes the number of rounds.
func (p *Program) Build() []byte {
	b := &builder{program: p, random: 1}
	host := b.m.ImportFunc("host", "nothing", wasm.Signature{})
	b.tiny = host + 1
	b.first = b.tiny + uint32(p.Tiny)
	b.m.Memory(wasm.Limits{Min: uint32(p.MemoryMiB) * 16})
	b.m.Global(wasm.I32, true, wasm.I32Const(0))
	b.m.Global(wasm.I32, true, wasm.I32Const(arenaAt))
	b.m.Global(wasm.I64, true, wasm.I64Const(0))
	for range p.Tiny {
		b.m.Func(wasm.Signature{}, nil)
	}
	var table []uint32
	for i := range p.Functions {
		b.f, b.number = &p.Functions[i], i
		table = append(table, b.first+uint32(i))
		b.m.Func(signature(b.f), []wasm.Locals{
			{Count: counters, Type: wasm.I32}, {Count: 2, Type: wasm.F64}, {Count: 1, Type: wasm.I64}, {Count: uint32(b.f.Locals), Type: wasm.I64},
		}, b.code(b.f.Body), wasm.Repeat(b.f.Results, wasm.I64Const(1)))
	}
	b.m.Table(wasm.Limits{Min: uint32(len(table))})
	b.m.Elements(0, table...)
	main := &p.Functions[0]
	b.m.Export("memory", wasm.ExternMemory, 0)
	b.m.Export("run", wasm.ExternFunc, b.m.Func(wasm.Signature{Params: []wasm.ValType{wasm.I32}}, nil, wasm.Loop(
		wasm.Repeat(main.Params, wasm.I64Const(1)), wasm.Call(b.first), wasm.Repeat(main.Results, wasm.Drop),
		wasm.LocalGet(0), wasm.I32Const(1), wasm.I32Sub, wasm.LocalTee(0), wasm.BrIf(0))))
	return b.m.Encode()
}

func signature(f *Function) wasm.Signature {
	return wasm.Signature{
		Params:  slices.Repeat([]wasm.ValType{wasm.I64}, f.Params),
		Results: slices.Repeat([]wasm.ValType{wasm.I64}, f.Results),
	}
}

// next is a number that looks random, the same for the same program.
func (b *builder) next(n int) int {
	b.random = b.random*6364136223846793005 + 1442695040888963407
	return int(b.random>>33) % n
}

// place is the address of one of the places.
func (b *builder) place() uint32 {
	return uint32(arenaAt + placeBytes*b.next(places(b.program.MemoryMiB)))
}

// places is how many there are.
func places(mib int) int { return (mib<<19 - arenaAt) / placeBytes }

// own is the index of a variable that is not for values.
func (b *builder) own(n int) uint32 { return uint32(b.f.Params + n) }

// value is the index of a variable for values. A function without any has one nevertheless.
func (b *builder) value(n int) uint32 {
	all := b.f.Params + b.f.Locals
	if all == 0 {
		return b.own(localRest)
	}
	if n %= all; n < b.f.Params {
		return uint32(n)
	}
	return uint32(n + localsOwn)
}
