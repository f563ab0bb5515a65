package meter

import (
	"fmt"
	"slices"
)

// The names of what the pass exports, for the host to set before a call and to read after it.
const (
	exportPrefix = "pupwasm."
	// SliceLeft is the fuel that is left until the next exit to the host, an i64. It begins with 0.
	SliceLeft = exportPrefix + "slice_left"
	// FuelLeft is the fuel that is left besides, an i64. It begins with 0 and is negative when fuel ran out.
	FuelLeft = exportPrefix + "fuel_left"
	// SliceSize is the fuel from one exit to the host to the next, an i64 above 0. It begins with
	// [SliceUnits], and may be set at every exit: what a guest takes, and where its fuel runs out, does not
	// depend on it.
	SliceSize = exportPrefix + "slice_size"
	// StackLeft is the stack that is left, in bytes as the pass counts them, an i64. It begins with 0 and is
	// negative when the stack ran out.
	StackLeft = exportPrefix + "stack_left"
	// Start is the start function of the original, if it has one. It must be called once, before all others.
	Start = exportPrefix + "start"
)

const (
	// SliceUnits is the most fuel from one exit to the host to the next: mostly less than a tenth of a
	// millisecond, and 20 at the worst.
	SliceUnits = 1_000_000
	// ExitPages is how much an exit asks memory to grow by, in pages of 64 KiB: 2 GiB at once. The host refuses that.
	ExitPages = 32_768

	pagesMax  = 65_536 // of a memory, by its addresses
	bulkShift = 4      // 16 bytes or elements that are moved take a unit
	shortBulk = unitsBulk << bulkShift
	// a page takes so many units as a power of two: 8 bytes that are made, and copied several times later on,
	// take a unit
	growShift = 13
)

// Module is an instrumented module.
type Module struct {
	Code []byte
	// Memory is what the original says of its memory. In Code it has no maximum.
	Memory Memory
	// HasStart tells that the original has a start function.
	HasStart bool
	// Globals are the names under which Code exports the original's globals that may change.
	Globals []string
	// StateIsPlain tells that all of an instance that may change is its memory, [Module.Globals], and what
	// the pass has added: no code changes a table or drops a segment.
	StateIsPlain bool
}

// Instrument returns a module that does the same and counts its work. What the module refers to is checked,
// and what would cost an engine too much to compile is refused; the engine validates the rest, of the result.
func Instrument(wasm []byte) (*Module, error) {
	m, err := parse(wasm)
	if err != nil {
		return nil, err
	}
	functions, err := m.analyse()
	if err != nil {
		return nil, err
	}
	p := &pass{
		module: m, functions: functions,
		sliceLeft: uint32(m.globals), fuelLeft: uint32(m.globals + 1), stackLeft: uint32(m.globals + 2),
		sliceSize: uint32(m.globals + 3),
		refill:    uint32(len(m.functions)), takeBulk: uint32(len(m.functions) + 1), take: uint32(len(m.functions) + 2),
		grow:      uint32(len(m.functions) + 3),
		typeCount: len(m.types), resultTypes: map[string]uint32{},
	}
	code, err := p.code()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(wasm[:8])
	globals := false
	for _, s := range m.sections {
		if rank := sectionOrder[s.id]; !globals && rank >= sectionOrder[sectionGlobal] {
			globals = true
			if s.id != sectionGlobal {
				out = appendSection(out, sectionGlobal, p.extended(nil, p.globals()))
			}
		}
		switch s.id {
		case sectionType:
			s.content = p.extended(s.content, p.addedTypes)
		case sectionFunction:
			s.content = p.extended(s.content, p.functionTypes())
		case sectionMemory:
			s.content = appendUint(appendUint([]byte{1, 1}, m.memory.Min), pagesMax)
		case sectionGlobal:
			s.content = p.extended(s.content, p.globals())
		case sectionExport:
			s.content = p.extended(s.content, p.exports())
		case sectionStart:
			continue
		case sectionCode:
			s.content = code
		}
		out = appendSection(out, s.id, s.content)
	}
	result := &Module{Code: out, Memory: *m.memory, HasStart: m.start >= 0, StateIsPlain: !m.altersTables}
	for _, index := range m.mutable {
		result.Globals = append(result.Globals, globalName(index))
	}
	return result, nil
}

// pass is one module that is being instrumented.
type pass struct {
	*module
	functions []function

	// The indices of what is added.
	sliceLeft, fuelLeft, stackLeft, sliceSize uint32 // globals
	refill, take, takeBulk, grow              uint32 // functions

	refillType, takeType, takeBulkType, growType uint32

	addedTypes  [][]byte
	typeCount   int               // with those added
	resultTypes map[string]uint32 // of blocks with several results

	steps    []step
	regions  []region
	frames   []frame
	assigned assignments
}

// addType adds a function type and returns its index.
func (p *pass) addType(params, results []byte) uint32 {
	entry := append(appendUint([]byte{formFunction}, uint32(len(params))), params...)
	entry = append(appendUint(entry, uint32(len(results))), results...)
	p.addedTypes = append(p.addedTypes, entry)
	p.typeCount++
	return uint32(p.typeCount - 1)
}

// extended returns the content of a section with entries behind its own.
func (p *pass) extended(content []byte, entries [][]byte) []byte {
	s := scanner{rest: content}
	count := uint32(0)
	if len(content) > 0 {
		count = s.uint()
	}
	out := append(appendUint(nil, count+uint32(len(entries))), s.rest...)
	for _, entry := range entries {
		out = append(out, entry...)
	}
	return out
}

func (p *pass) functionTypes() [][]byte {
	return [][]byte{
		appendUint(nil, p.refillType), appendUint(nil, p.takeBulkType), appendUint(nil, p.takeType),
		appendUint(nil, p.growType),
	}
}

func (p *pass) globals() [][]byte {
	const mutable = 1
	entries := slices.Repeat([][]byte{{typeI64, mutable, opI64Const, 0, opEnd}}, 3)
	size := &code{typeI64, mutable}
	return append(entries, *size.i64(SliceUnits).op(opEnd))
}

// globalName is the export of a global that may change.
func globalName(index uint32) string { return fmt.Sprintf("%sglobal_%d", exportPrefix, index) }

func (p *pass) exports() [][]byte {
	export := func(name string, kind byte, index uint32) []byte {
		entry := append(appendUint(nil, uint32(len(name))), name...)
		return appendUint(append(entry, kind), index)
	}
	entries := [][]byte{
		export(SliceLeft, kindGlobal, p.sliceLeft), export(FuelLeft, kindGlobal, p.fuelLeft),
		export(StackLeft, kindGlobal, p.stackLeft),
		export(SliceSize, kindGlobal, p.sliceSize),
	}
	for _, index := range p.mutable {
		entries = append(entries, export(globalName(index), kindGlobal, index))
	}
	if p.start >= 0 {
		entries = append(entries, export(Start, kindFunction, uint32(p.start)))
	}
	return entries
}

// code returns the section of code: every function rewritten, and the four that are added.
func (p *pass) code() ([]byte, error) {
	p.refillType = p.addType(nil, nil)
	p.takeBulkType = p.addType([]byte{typeI32}, nil)
	p.growType = p.addType([]byte{typeI32}, []byte{typeI32})
	p.takeType = p.addType([]byte{typeI64}, nil)
	out := appendUint(nil, uint32(len(p.bodies)+4))
	var body []byte
	for i := range p.bodies {
		var err error
		if body, err = p.rewrite(body[:0], i); err != nil {
			return nil, err
		}
		out = append(appendUint(out, uint32(len(body))), body...)
	}
	for _, body := range [][]byte{p.refillBody(), p.takeBulkBody(), p.takeBody(), p.growBody()} {
		out = append(appendUint(out, uint32(len(body))), body...)
	}
	return out, nil
}

// refillBody is the function that a check calls when the slice or the stack is spent.
func (p *pass) refillBody() []byte {
	c := &code{0} // no locals
	c.globalGet(p.stackLeft).i64(0).op(opI64LtS, opIf, blockVoid, opUnreachable, opEnd)
	// What the slice was exceeded by comes off the rest.
	c.globalGet(p.fuelLeft).globalGet(p.sliceLeft).op(opI64Add).globalSet(p.fuelLeft)
	c.i64(0).globalSet(p.sliceLeft)
	c.globalGet(p.fuelLeft).i64(0).op(opI64LtS, opIf, blockVoid, opUnreachable, opEnd)
	// The next slice is all that is left, or its size.
	c.globalGet(p.fuelLeft).globalSet(p.sliceLeft)
	c.globalGet(p.sliceSize).globalGet(p.sliceLeft).op(opI64LtS, opIf,
		blockVoid).globalGet(p.sliceSize).globalSet(p.sliceLeft).op(opEnd)
	c.globalGet(p.fuelLeft).globalGet(p.sliceLeft).op(opI64Sub).globalSet(p.fuelLeft)
	c.op(opI32Const).signed(ExitPages).op(opMemoryGrow, 0, opDrop)
	return *c.op(opEnd)
}

// takeBulkBody is the function that charges for a number of bytes or elements.
func (p *pass) takeBulkBody() []byte {
	c := &code{0}
	c.globalGet(p.sliceLeft)
	c.op(opLocalGet, 0, opI64ExtendU).i64(bulkShift).op(opI64ShrU, opI64Sub).globalSet(p.sliceLeft)
	p.check(c, false)
	return *c.op(opEnd)
}

// growBody is the function that replaces memory.grow. It charges for the added pages.
func (p *pass) growBody() []byte {
	c := &code{1, 1, typeI32}
	c.op(opLocalGet, 0, opMemoryGrow, 0, opLocalTee, 1, opI32Const).signed(-1).op(opI32Ne, opIf, blockVoid)
	c.globalGet(p.sliceLeft).op(opLocalGet, 0, opI64ExtendU).i64(growShift).op(opI64Shl,
		opI64Sub).globalSet(p.sliceLeft)
	p.check(c, false)
	return *c.op(opEnd, opLocalGet, 1, opEnd)
}

// takeBody is the function that takes fuel from the slice.
func (p *pass) takeBody() []byte {
	c := &code{0}
	c.globalGet(p.sliceLeft).op(opLocalGet, 0, opI64Sub).globalSet(p.sliceLeft)
	p.check(c, false)
	return *c.op(opEnd)
}

// check calls refill when the slice is spent, or the stack.
func (p *pass) check(c *code, stack bool) {
	c.globalGet(p.sliceLeft)
	if stack {
		c.globalGet(p.stackLeft).op(opI64Or)
	}
	c.i64(0).op(opI64LtS, opIf, blockVoid, opCall).unsigned(p.refill).op(opEnd)
}
