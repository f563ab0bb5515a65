package hosttest

import (
	"encoding/binary"
	"slices"
)

const (
	opBlock = 0x02
	opLoop  = 0x03
	opIf    = 0x04
	opEnd   = 0x0B

	voidBlock = 0x40 // the type of a block without parameters and results
	opPrefix  = 0xFC // of bulk memory and table instructions
)

// Instructions without operands of their own.
var (
	Unreachable   = []byte{0x00}
	Nop           = []byte{0x01}
	Return        = []byte{0x0F}
	Drop          = []byte{0x1A}
	I32Eqz        = []byte{0x45}
	I32Eq         = []byte{0x46}
	I32Ne         = []byte{0x47}
	I32LtU        = []byte{0x49}
	I32GtS        = []byte{0x4A}
	I32GtU        = []byte{0x4B}
	I32GeU        = []byte{0x4F}
	I64Eq         = []byte{0x51}
	I32Add        = []byte{0x6A}
	I32Sub        = []byte{0x6B}
	I32Mul        = []byte{0x6C}
	I32DivS       = []byte{0x6D}
	I32RemS       = []byte{0x6F}
	I32And        = []byte{0x71}
	I32ShrU       = []byte{0x76}
	I32WrapI64    = []byte{0xA7}
	I32TruncF32S  = []byte{0xA8}
	I64ExtendI32U = []byte{0xAD}
	I64Add        = []byte{0x7C}
	I64Or         = []byte{0x84}
	I64Shl        = []byte{0x86}
	MemorySize    = []byte{0x3F, 0}
	MemoryGrow    = []byte{0x40, 0}
	MemoryFill    = []byte{opPrefix, 11, 0}
	MemoryCopy    = []byte{opPrefix, 10, 0, 0}
	RefNull       = []byte{0xD0, byte(FuncRef)}
	TableGrow     = []byte{opPrefix, 15, 0}
)

// Code joins instructions.
func Code(parts ...[]byte) []byte { return slices.Concat(parts...) }

// Repeat joins instructions with themselves.
func Repeat(count int, parts ...[]byte) []byte { return slices.Repeat(Code(parts...), count) }

// I32Const pushes a number, which may stand for an address.
func I32Const[T int32 | uint32 | int](v T) []byte { return appendSigned([]byte{0x41}, int64(int32(v))) }

// I64Const pushes a number.
func I64Const(v int64) []byte { return appendSigned([]byte{0x42}, v) }

// F32Const pushes a number by its bits.
func F32Const(bits uint32) []byte { return binary.LittleEndian.AppendUint32([]byte{0x43}, bits) }

// LocalGet pushes a parameter or local variable.
func LocalGet(index uint32) []byte { return appendU32([]byte{0x20}, index) }

// LocalSet pops into a local variable.
func LocalSet(index uint32) []byte { return appendU32([]byte{0x21}, index) }

// LocalTee stores into a local variable and leaves the value.
func LocalTee(index uint32) []byte { return appendU32([]byte{0x22}, index) }

// GlobalGet pushes a global variable.
func GlobalGet(index uint32) []byte { return appendU32([]byte{0x23}, index) }

// GlobalSet pops into a global variable.
func GlobalSet(index uint32) []byte { return appendU32([]byte{0x24}, index) }

// Call calls a function.
func Call(function uint32) []byte { return appendU32([]byte{0x10}, function) }

// CallIndirect calls a function of table 0, which must have the type.
func CallIndirect(typ uint32) []byte { return append(appendU32([]byte{0x11}, typ), 0) }

// Block runs code that a branch leaves.
func Block(body ...[]byte) []byte { return nested(opBlock, body) }

// Loop runs code that a branch repeats.
func Loop(body ...[]byte) []byte { return nested(opLoop, body) }

// If runs code when the popped i32 is not 0.
func If(body ...[]byte) []byte { return nested(opIf, body) }

// Br branches to the block that is depth levels out.
func Br(depth uint32) []byte { return appendU32([]byte{0x0C}, depth) }

// BrIf branches when the popped i32 is not 0.
func BrIf(depth uint32) []byte { return appendU32([]byte{0x0D}, depth) }

// BrTable branches to one of several blocks by the popped index.
func BrTable(depths []uint32, otherwise uint32) []byte {
	out := appendU32([]byte{0x0E}, uint32(len(depths)))
	for _, depth := range append(depths, otherwise) {
		out = appendU32(out, depth)
	}
	return out
}

// I32Load loads from the popped address plus offset.
func I32Load(offset uint32) []byte { return appendU32([]byte{0x28, 0}, offset) }

// I32Load16U loads an unsigned number of 16 bits from the popped address plus offset.
func I32Load16U(offset uint32) []byte { return appendU32([]byte{0x2F, 0}, offset) }

// I32Store stores the popped value at the address below it plus offset.
func I32Store(offset uint32) []byte { return appendU32([]byte{0x36, 0}, offset) }

// nested is a block without parameters and results.
func nested(op byte, body [][]byte) []byte {
	return append(append([]byte{op, voidBlock}, Code(body...)...), opEnd)
}

// appendSigned appends signed LEB128.
func appendSigned(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7F)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}
