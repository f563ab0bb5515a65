package meter

import "fmt"

// The instructions that the pass distinguishes. Those with a prefix are above 0xFC00.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0B
	opBr           = 0x0C
	opBrIf         = 0x0D
	opBrTable      = 0x0E
	opReturn       = 0x0F
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1A
	opSelectTyped  = 0x1C
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoadFirst    = 0x28
	opLoadLast     = 0x35
	opStoreLast    = 0x3E
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opI32Ne        = 0x47
	opI32GtU       = 0x4B
	opI64LtS       = 0x53
	opI64GtS       = 0x55
	opI64Add       = 0x7C
	opI64Sub       = 0x7D
	opI64Or        = 0x84
	opI64Shl       = 0x86
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xAD
	opRefNull      = 0xD0
	opRefIsNull    = 0xD1
	opRefFunc      = 0xD2
	opPrefix       = 0xFC
	opMemoryInit   = 0xFC08
	opDataDrop     = 0xFC09
	opMemoryCopy   = 0xFC0A
	opMemoryFill   = 0xFC0B
	opTableInit    = 0xFC0C
	opElemDrop     = 0xFC0D
	opTableCopy    = 0xFC0E

	formFunction = 0x60
	typeI32      = 0x7F
	typeI64      = 0x7E
	blockVoid    = 0x40
)

// instruction is one instruction of a function's code.
type instruction struct {
	op uint16
	// index is the function of a call, the label of a branch, or the variable that is assigned.
	index uint32
	// type is that of a block or of what is called.
	signature Signature
	// targets are the labels of a br_table, the last is for all others.
	targets []uint32
	size    int
}

// instruction reads one instruction. Whatever it refers to, the module must have.
func (s *scanner) instruction(m *module, i *instruction) {
	before := len(s.rest)
	op := uint16(s.byte())
	i.index, i.signature, i.targets = 0, Signature{}, i.targets[:0]
	switch {
	case op <= opNop, op == opElse, op == opEnd, op == opReturn, op == opDrop, op == 0x1B, op >= 0x45 && op <= 0xC4,
		op == opRefIsNull:
		// nothing follows
	case op >= opBlock && op <= opIf:
		i.signature = s.blockSignature(m)
	case op == opBr, op == opBrIf:
		i.index = s.uint()
	case op == opBrTable:
		count := s.count()
		if count > targetsMax {
			s.fail(fmt.Errorf("has a branch with %d targets, the limit is %d", count, targetsMax))
			return
		}
		for range count + 1 {
			i.targets = append(i.targets, s.uint())
		}
	case op == opCall, op == opRefFunc:
		if i.index = s.index("function", len(m.functions)); s.err == nil {
			i.signature = m.types[m.functions[i.index]]
		}
	case op == opCallIndirect:
		if index := s.index("type", len(m.types)); s.err == nil {
			i.signature = m.types[index]
		}
		s.uint()
	case op == opSelectTyped:
		s.take(s.count())
	case op == opGlobalGet, op == opGlobalSet:
		s.index("global", m.globals)
	case op >= opLocalGet && op <= opLocalTee:
		i.index = s.index("variable", s.variables)
	case op == opTableGet, op == opTableSet:
		s.uint()
	case op >= opLoadFirst && op <= opStoreLast: // alignment and offset
		s.uint()
		s.uint()
	case op == 0x3F, op == opMemoryGrow, op == opRefNull:
		s.byte()
	case op == opI32Const, op == opI64Const:
		s.skipLEB()
	case op == 0x43:
		s.take(4)
	case op == 0x44:
		s.take(8)
	case op == opPrefix:
		op = s.prefixed()
	default:
		s.unknown(op)
	}
	i.op, i.size = op, before-len(s.rest)
}

// prefixed reads an instruction of saturating conversion, bulk memory or tables.
func (s *scanner) prefixed() uint16 {
	number := s.uint()
	op := uint16(opPrefix<<8 | number&0xFF)
	switch {
	case number > 0xFF:
		s.unknown(op)
	case op < opMemoryInit:
	case op == opDataDrop, op == opMemoryFill, op == opElemDrop:
		s.uint()
	case op == opMemoryInit, op == opMemoryCopy, op == opTableInit, op == opTableCopy:
		s.uint()
		s.uint()
	default: // table.grow, table.size and table.fill are of reference types
		s.unknown(op)
	}
	return op
}

func (s *scanner) unknown(op uint16) {
	s.fail(fmt.Errorf("has instruction %#x, which is invalid or of a feature (tables, threads, vectors, "+
		"exceptions) that guests cannot use", op))
}

// blockSignature reads the type of a block.
func (s *scanner) blockSignature(m *module) Signature {
	switch index := s.blockType(); {
	case s.err != nil:
	case index >= int64(len(m.types)):
		s.fail(fmt.Errorf("refers to type %d, it has %d", index, len(m.types)))
	case index >= 0:
		return m.types[index]
	case byte(index&0x7F) != blockVoid:
		return Signature{Results: []byte{byte(index & 0x7F)}}
	}
	return Signature{}
}

// fuel is what an instruction takes, in what most of them take. Labels and what only names a value are
// nothing in machine code. Memory is charged as if no cache had it, and so is code that is called.
func (i *instruction) fuel(m *module) quarters {
	switch op := i.op; {
	case op == opNop, op >= opBlock && op <= opLoop, op == opElse, op == opEnd, op == opDrop:
		return 0
	case op == opCall && int(i.index) < m.functionsImported:
		return unitsHostCall*unit + i.signature.moved()
	case op == opCall:
		return unitsCall*unit + i.signature.moved()
	case op == opCallIndirect:
		return unitsCallIndirect*unit + i.signature.moved()
	case op == opBrTable:
		return unitsBranchTable * unit
	case op >= opLoadFirst && op <= opLoadLast:
		return unitsLoad * unit
	case op > opLoadLast && op <= opStoreLast:
		return unitsStore * unit
	case op == opMemoryGrow:
		return unitsMemoryGrow * unit
	case op >= opMemoryInit && op <= opTableCopy:
		return unitsBulk * unit
	// division, square root
	case op >= 0x6D && op <= 0x70, op >= 0x7F && op <= 0x82, op == 0x91, op == 0x9F, op == 0x95, op == 0xA3:
		return unitsDivision * unit
	case op >= 0x8D && op <= 0x97, op >= 0x9B && op <= 0xA5, op >= 0xA8 && op <= 0xBB && op != 0xAC && op != 0xAD,
		op >= 0xFC00 && op < opMemoryInit:
		return unitsFloat * unit
	}
	return unit
}

// moved is what a call takes for its parameters and results.
func (s *Signature) moved() quarters { return quarters(len(s.Params) + len(s.Results)) }

const (
	unitsCall         = 8
	unitsCallIndirect = 8 + unitsSmallFunction // the function may be one that is charged where it is called
	unitsHostCall     = 100
	unitsBranchTable  = 4
	unitsLoad         = 16
	unitsStore        = 4
	unitsMemoryGrow   = 200 // and by the pages
	unitsBulk         = 64  // and by the length, if it is above shortBulk
	unitsDivision     = 8
	unitsFloat        = 4 // arithmetic and conversions, which take long for numbers that are very small
)
