package worst

import (
	"encoding/binary"
	"slices"

	wasm "github.com/pupwasm/pupwasm/host/hosttest"
)

// Instructions that nothing else needs.
var (
	i64DivS     = []byte{0x7F}
	i64Mul      = []byte{0x7E}
	i64ShrU     = []byte{0x88}
	f64Nearest  = []byte{0x9E}
	f64Sqrt     = []byte{0x9F}
	f64Add      = []byte{0xA0}
	f64Mul      = []byte{0xA2}
	f64Div      = []byte{0xA3}
	f64Min      = []byte{0xA4}
	f32Demote   = []byte{0xB6}
	f64FromI64U = []byte{0xBA}
	f64Promote  = []byte{0xBB}
	i64FromF64U = []byte{0xFC, 7}
)

func i64Load(offset uint32) []byte  { return binary.AppendUvarint([]byte{0x29, 0}, uint64(offset)) }
func f64Load(offset uint32) []byte  { return binary.AppendUvarint([]byte{0x2B, 0}, uint64(offset)) }
func i64Store(offset uint32) []byte { return binary.AppendUvarint([]byte{0x37, 0}, uint64(offset)) }
func f64Store(offset uint32) []byte { return binary.AppendUvarint([]byte{0x39, 0}, uint64(offset)) }

// code is that of building blocks in a row. It leaves the operand stack as it was.
func (b *builder) code(blocks []Block) []byte {
	var out []byte
	for i := range blocks {
		out = append(out, b.block(&blocks[i])...)
	}
	return out
}

func (b *builder) block(block *Block) []byte {
	switch block.Op {
	case Loop:
		return b.loop(block)
	case Never:
		return wasm.Code(wasm.GlobalGet(globalZero), wasm.If(b.code(block.Body)))
	case Skip:
		return wasm.Block(wasm.GlobalGet(globalZero), wasm.BrIf(0), b.code(block.Body))
	case Permute, Assign, Use, Sum, Carry:
		return b.values(block)
	case Chase, Load, Store, Fill, Copy, Grow:
		return b.memory(block)
	case Float, Divide, Global:
		return b.numbers(block)
	}
	return b.calls(block)
}

func (b *builder) loop(block *Block) []byte {
	counter := b.own(b.loops)
	b.loops++
	body := b.code(block.Body)
	b.loops--
	return wasm.Code(wasm.I32Const(max(block.Count, 1)), wasm.LocalSet(counter), wasm.Loop(
		body, wasm.LocalGet(counter), wasm.I32Const(1), wasm.I32Sub, wasm.LocalTee(counter), wasm.BrIf(0)))
}

// each joins what is made for every number below count.
func each(count int, part func(n int) []byte) []byte {
	var out []byte
	for n := range count {
		out = append(out, part(n)...)
	}
	return out
}

// values is code that is about variables.
func (b *builder) values(block *Block) []byte {
	count := max(min(block.Count, b.f.Params+b.f.Locals), 1)
	switch block.Op {
	case Permute:
		return wasm.Code(
			each(count, func(n int) []byte { return wasm.LocalGet(b.value(n)) }),
			each(count, func(n int) []byte { return wasm.LocalSet(b.value((count - n) % count)) }))
	case Assign:
		return each(count, func(n int) []byte { return wasm.Code(wasm.I64Const(int64(n)), wasm.LocalSet(b.value(n))) })
	case Use:
		return each(count, func(n int) []byte {
			return wasm.Code(wasm.I32Const(scratchAt), wasm.LocalGet(b.value(n)), i64Store(uint32(n)*8))
		})
	case Sum:
		return each(count, func(n int) []byte {
			return wasm.Code(wasm.LocalGet(b.value(n)), wasm.LocalGet(b.value(n+1)), wasm.I64Add,
				wasm.LocalSet(b.value(n)))
		})
	}
	results := min(max(block.Count, 1), resultsMax)
	kind := b.m.Type(wasm.Signature{Results: slices.Repeat([]wasm.ValType{wasm.I64}, results)})
	return wasm.Code(binary.AppendUvarint([]byte{0x02}, uint64(kind)),
		each(results, func(n int) []byte { return wasm.LocalGet(b.value(n)) }),
		wasm.GlobalGet(globalZero), wasm.BrIf(0), wasm.Repeat(results, wasm.Drop),
		each(results, func(n int) []byte { return wasm.LocalGet(b.value(n + 1)) }),
		[]byte{0x0B},
		each(results, func(n int) []byte { return wasm.LocalSet(b.value(n)) }))
}

// memory is code that is about memory.
func (b *builder) memory(block *Block) []byte {
	half := b.program.MemoryMiB << 19
	switch block.Op {
	case Chase:
		return wasm.Code(wasm.GlobalGet(globalPlace), wasm.Repeat(block.Count, wasm.I32Load(0)),
			wasm.GlobalSet(globalPlace))
	case Load:
		return wasm.Code(wasm.GlobalGet(globalSum),
			each(block.Count, func(int) []byte { return wasm.Code(wasm.I32Const(b.place()), i64Load(0), wasm.I64Add) }),
			wasm.GlobalSet(globalSum))
	case Store:
		return each(block.Count, func(n int) []byte {
			return wasm.Code(wasm.I32Const(b.place()), wasm.I64Const(int64(n)), i64Store(8))
		})
	case Fill:
		return wasm.Code(wasm.I32Const(half), wasm.I32Const(1), wasm.I32Const(min(block.Size, half)), wasm.MemoryFill)
	case Copy:
		return wasm.Code(wasm.I32Const(half+1), wasm.I32Const(half), wasm.I32Const(min(block.Size, half-1)),
			wasm.MemoryCopy)
	}
	return wasm.Code(wasm.I32Const(block.Size), wasm.MemoryGrow, wasm.Drop)
}

// numbers is code that computes.
func (b *builder) numbers(block *Block) []byte {
	switch block.Op {
	case Divide:
		return wasm.Code(wasm.GlobalGet(globalSum),
			each(block.Count, func(n int) []byte {
				return wasm.Code(wasm.LocalSet(b.own(localRest)), wasm.I64Const(0x7FFF_FFFF_FFFF_FFF1-int64(n)),
					wasm.LocalGet(b.own(localRest)), wasm.I64Const(3), wasm.I64Or, i64DivS)
			}), wasm.GlobalSet(globalSum))
	case Global:
		return wasm.Repeat(block.Count, wasm.GlobalGet(globalSum), wasm.I64Const(1), wasm.I64Add,
			wasm.GlobalSet(globalSum))
	}
	other := wasm.LocalGet(b.own(localOther))
	operation := map[string][]byte{
		"mul": wasm.Code(other, f64Mul), "div": wasm.Code(other, f64Div), "add": wasm.Code(other, f64Add), "min": wasm.Code(other, f64Min),
		"sqrt": f64Sqrt, "nearest": f64Nearest, "demote": wasm.Code(f32Demote, f64Promote), "trunc": wasm.Code(i64FromF64U, f64FromI64U),
	}[block.Kind]
	return wasm.Code(
		wasm.I32Const(0), f64Load(factorAt), wasm.LocalSet(b.own(localOther)),
		wasm.I32Const(scratchAt), wasm.I32Const(0), f64Load(denormalAt), wasm.Repeat(block.Count, operation),
		f64Store(0))
}

// calls is code that goes elsewhere.
func (b *builder) calls(block *Block) []byte {
	switch block.Op {
	case Host:
		return wasm.Repeat(block.Count, wasm.Call(0))
	case Far:
		if b.program.Tiny == 0 {
			return nil
		}
		return each(block.Count, func(int) []byte { return wasm.Call(b.tiny + uint32(b.next(b.program.Tiny))) })
	case Switch:
		return b.branches(min(max(block.Count, 1), switchMax))
	}
	// A function calls those behind it, so that every program ends.
	behind := len(b.program.Functions) - b.number - 1
	if behind == 0 {
		return nil
	}
	number := b.number + 1 + block.Size%behind
	callee := &b.program.Functions[number]
	call := wasm.Call(b.first + uint32(number))
	if block.Op == Indirect {
		call = wasm.Code(wasm.I32Const(number), wasm.CallIndirect(b.m.Type(signature(callee))))
	}
	return wasm.Repeat(min(max(block.Count, 1), countMax/(1+callee.Params+callee.Results)+1),
		each(callee.Params, func(n int) []byte { return wasm.LocalGet(b.value(n)) }), call,
		wasm.Repeat(callee.Results, wasm.Drop))
}

// branches goes to one of several labels, another one every time.
func (b *builder) branches(count int) []byte {
	labels := make([]uint32, count)
	for i := range labels {
		labels[i] = uint32(i)
	}
	code := wasm.Code(
		wasm.GlobalGet(globalSum), wasm.I64Const(6364136223846793005), i64Mul, wasm.I64Const(1442695040888963407),
		wasm.I64Add,
		wasm.GlobalSet(globalSum), wasm.GlobalGet(globalSum), wasm.I64Const(33), i64ShrU, wasm.I32WrapI64,
		wasm.I32Const(count), []byte{0x70},
		wasm.BrTable(labels, uint32(count-1)))
	for range count {
		code = wasm.Block(code)
	}
	return code
}
