package meter

import (
	"bytes"
	"errors"
	"fmt"
)

// Section numbers of the binary format.
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
)

// sectionOrder is the order of the sections, by their number.
var sectionOrder = [...]int{
	sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5,
	sectionGlobal: 6, sectionExport: 7,
	sectionStart: 8, sectionElement: 9, sectionDataCount: 10, sectionCode: 11, sectionData: 12,
}

// The kinds of imports and exports.
const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
)

// module is what the pass needs to know of a module.
type module struct {
	sections   []section
	types      []Signature
	parameters int // and results, of all types
	// functions are the types of all functions, imported ones first.
	functions         []uint32
	functionsImported int
	globals           int      // imported and its own
	mutable           []uint32 // those of them that may change
	altersTables      bool     // or drops segments: an instance has more state than memory and globals
	memory            *Memory
	tableFunctions    []uint32 // functions that a table may hold
	imports           []Import
	exports           []Export
	start             int // function, or -1
	bodies            [][]byte
}

// section is one section as it is in the file.
type section struct {
	id      byte
	content []byte
}

// Memory is what a module says of its memory, in pages of 64 KiB.
type Memory struct {
	Min uint32
	Max uint32 // 65536 if it does not say
}

// parse reads a module. It finds out what would cost an engine too much, and every index that leads nowhere.
func parse(wasm []byte) (*module, error) {
	if err := checkHeader(wasm); err != nil {
		return nil, err
	}
	m := &module{start: -1}
	s := scanner{rest: wasm[8:]}
	last := 0
	for len(s.rest) > 0 && s.err == nil {
		id := s.byte()
		content := s.take(s.uint())
		if s.err != nil {
			break
		}
		if int(id) >= len(sectionOrder) {
			return nil, fmt.Errorf("has section %d, which is not of this version of WebAssembly", id)
		}
		if id != sectionCustom {
			if sectionOrder[id] <= last {
				return nil, fmt.Errorf("has section %d twice or out of order", id)
			}
			last = sectionOrder[id]
		}
		m.sections = append(m.sections, section{id, content})
		if err := m.read(id, content); err != nil {
			return nil, err
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	return m, m.complete()
}

// complete refuses a module that has nothing to run.
func (m *module) complete() error {
	switch own := len(m.functions) - m.functionsImported; {
	case m.memory == nil:
		return errors.New("defines no memory, one is needed")
	case own != len(m.bodies):
		return fmt.Errorf("declares %d functions and has code for %d", own, len(m.bodies))
	case own == 0:
		return errors.New("has no functions")
	case len(m.exports) == 0:
		return errors.New("exports nothing")
	}
	return nil
}

// read takes one section in.
func (m *module) read(id byte, content []byte) error {
	s := scanner{rest: content}
	switch id {
	case sectionCustom:
		if string(s.name()) == "name" {
			s.names()
		}
		return s.err
	case sectionMemory:
		m.readMemory(&s)
		return s.err
	case sectionStart:
		m.start = int(s.index("function", len(m.functions)))
		return s.err
	case sectionDataCount:
		return nil
	}
	count := s.count()
	if limit, is := entriesMax[id]; is && count > limit.max {
		return fmt.Errorf("has %d %s, the limit is %d", count, limit.what, limit.max)
	}
	imported := m.globals
	tables := uint64(0)
	for i := range count {
		switch id {
		case sectionType:
			m.readType(&s)
		case sectionImport:
			m.readImport(&s)
		case sectionFunction:
			m.functions = append(m.functions, s.index("type", len(m.types)))
		case sectionTable:
			s.byte() // the element type
			minimum, _, _ := s.limits()
			if tables += uint64(minimum); tables > tableElementsMax {
				s.fail(fmt.Errorf("asks for tables of %d elements, the limit is %d", tables, tableElementsMax))
			}
		case sectionGlobal:
			m.readGlobalType(&s, uint32(imported)+i)
			m.globals = imported + int(count)
			m.readConstant(&s)
		case sectionExport:
			m.readExport(&s)
		case sectionElement:
			m.readElements(&s)
		case sectionCode:
			m.readBody(&s)
		case sectionData:
			m.readData(&s)
		}
		if s.err != nil {
			return s.err
		}
	}
	if s.err == nil && len(s.rest) > 0 {
		return fmt.Errorf("has %d bytes too many in section %d", len(s.rest), id)
	}
	return s.err
}

func (m *module) readBody(s *scanner) {
	size := s.uint()
	if size > bodyBytesMax {
		s.fail(fmt.Errorf("has a function of %d bytes, the limit is %d", size, bodyBytesMax))
	}
	m.bodies = append(m.bodies, s.take(size))
}

func (m *module) readType(s *scanner) {
	if form := s.byte(); s.err == nil && form != formFunction {
		s.fail(fmt.Errorf("has a type of form %#x, only functions are known", form))
	}
	params := s.take(s.count())
	results := s.take(s.count())
	switch {
	case s.err != nil:
	case len(params) > parametersMax:
		s.fail(fmt.Errorf("has a function with %d parameters, the limit is %d", len(params), parametersMax))
	case len(results) > resultsMax:
		s.fail(fmt.Errorf("has a function or block with %d results, the limit is %d", len(results), resultsMax))
	}
	if m.parameters += len(params) + len(results); s.err == nil && m.parameters > parametersAll {
		s.fail(fmt.Errorf("has types with more than %d parameters and results in all", parametersAll))
	}
	m.types = append(m.types, Signature{params, results})
}

func (m *module) readImport(s *scanner) {
	i := Import{Module: string(s.name()), Name: string(s.name())}
	switch kind := s.byte(); kind {
	case kindFunction:
		m.functions = append(m.functions, s.index("type", len(m.types)))
		if s.err == nil {
			i.Function = m.typeOf(uint32(m.functionsImported))
		}
		m.functionsImported++
	case kindTable:
		s.byte()
		s.limits()
	case kindMemory:
		s.fail(errors.New("imports a memory: a guest defines and exports its own"))
	case kindGlobal:
		m.readGlobalType(s, uint32(m.globals))
		m.globals++
	default:
		s.fail(fmt.Errorf("has an import of kind %d", kind))
	}
	m.imports = append(m.imports, i)
}

// readGlobalType reads the type of the global of an index, and whether it may change.
func (m *module) readGlobalType(s *scanner, index uint32) {
	s.byte()
	if s.byte() != 0 {
		m.mutable = append(m.mutable, index)
	}
	if s.err == nil && len(m.mutable) > mutableMax {
		s.fail(fmt.Errorf("has more than %d globals that may change", mutableMax))
	}
}

func (m *module) readMemory(s *scanner) {
	count := s.count()
	if s.err == nil && count != 1 {
		s.fail(fmt.Errorf("defines %d memories, one is needed", count))
		return
	}
	if len(s.rest) > 0 && s.rest[0] > 1 {
		s.fail(errors.New("has a shared or 64-bit memory, which guests cannot have"))
		return
	}
	m.memory = &Memory{Max: pagesMax}
	minimum, maximum, hasMaximum := s.limits()
	m.memory.Min = minimum
	if hasMaximum {
		m.memory.Max = maximum
	}
	if s.err == nil && (m.memory.Min > m.memory.Max || m.memory.Max > pagesMax) {
		s.fail(fmt.Errorf("asks for a memory of %d to %d pages", m.memory.Min, m.memory.Max))
	}
}

func (m *module) readExport(s *scanner) {
	name := s.name()
	if s.err == nil && bytes.HasPrefix(name, []byte(exportPrefix)) {
		s.fail(fmt.Errorf("exports %q: names with %s are the host's", name, exportPrefix))
	}
	e := Export{Name: string(name), Kind: s.byte()}
	switch e.Kind {
	case kindFunction:
		e.Index = s.index("function", len(m.functions))
	case kindGlobal:
		e.Index = s.index("global", m.globals)
	default:
		e.Index = s.uint()
	}
	m.exports = append(m.exports, e)
}

// readElements reads one segment of table elements, in any of its forms that have an offset.
func (m *module) readElements(s *scanner) {
	const passive, explicit, expressions = 1, 2, 4
	flags := s.uint()
	if flags&passive != 0 {
		// Without reference types the engine takes every segment for one with an offset, and panics where
		// there is none.
		s.fail(errors.New("has a segment of table elements without an offset, which guests cannot use"))
		return
	}
	if flags&explicit != 0 {
		s.uint()
	}
	m.readConstant(s)
	if flags&explicit != 0 {
		s.byte() // the kind
	}
	for range s.count() {
		if flags&expressions != 0 {
			m.readConstant(s)
		} else {
			m.tableFunctions = append(m.tableFunctions, s.index("function", len(m.functions)))
		}
		if s.err != nil {
			return
		}
	}
}

func (m *module) readData(s *scanner) {
	const passive, explicit = 1, 2
	flags := s.uint()
	if flags&explicit != 0 {
		s.uint()
	}
	if flags&passive == 0 {
		m.readConstant(s)
	}
	s.take(s.uint())
}

// readConstant reads a constant expression. A function that it refers to may end in a table.
func (m *module) readConstant(s *scanner) {
	var i instruction
	for s.err == nil {
		s.instruction(m, &i)
		switch i.op {
		case opEnd:
			return
		case opRefFunc:
			m.tableFunctions = append(m.tableFunctions, i.index)
		}
	}
}

// names reads what the section "name" announces of functions (1) and their locals (2).
func (s *scanner) names() {
	for len(s.rest) > 0 && s.err == nil {
		id := s.byte()
		sub := scanner{rest: s.take(s.uint())}
		if s.err != nil {
			return
		}
		switch id {
		case 1:
			sub.nameMap()
		case 2:
			for range sub.count() {
				sub.uint()
				sub.nameMap()
				if sub.err != nil {
					break
				}
			}
		}
		s.err = sub.err
	}
}

func (s *scanner) nameMap() {
	for range s.count() {
		s.uint()
		s.name()
		if s.err != nil {
			return
		}
	}
}
