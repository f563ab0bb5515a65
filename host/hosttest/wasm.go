package hosttest

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// ValType is the type of a parameter, result, local or global.
type ValType byte

// The value types, and the element type of tables.
const (
	I32     ValType = 0x7F
	I64     ValType = 0x7E
	F32     ValType = 0x7D
	F64     ValType = 0x7C
	FuncRef ValType = 0x70
)

// Extern is what an import or export is.
type Extern byte

// The kinds of imports and exports.
const (
	ExternFunc Extern = iota
	ExternTable
	ExternMemory
	ExternGlobal
)

// Section identifies a section of a module.
type Section byte

// The sections, in the order in which a module has them.
const (
	SectionCustom Section = iota
	SectionType
	SectionImport
	SectionFunction
	SectionTable
	SectionMemory
	SectionGlobal
	SectionExport
	SectionStart
	SectionElement
	SectionCode
	SectionData
)

// Limits are the size of a memory in pages of 64 KiB or of a table in elements.
type Limits struct {
	Min, Max uint32
	HasMax   bool
	Flags    byte // beyond the maximum's: 2 is shared, 4 is 64 bits
}

func (l Limits) encode() []byte {
	flags := l.Flags
	if l.HasMax {
		flags |= 1
	}
	out := appendU32([]byte{flags}, l.Min)
	if l.HasMax {
		out = appendU32(out, l.Max)
	}
	return out
}

// Signature is a function's type.
type Signature struct {
	Params, Results []ValType
}

// Module encodes a WebAssembly module section by section, without a toolchain and without checking it: wrong
// modules are what it is for. The zero value is an empty module. Imports come before functions, since they
// take the first indices.
type Module struct {
	sections  [SectionData + 1][][]byte // the entries of each
	start     []byte
	raw       map[Section][]byte
	custom    []byte
	functions uint32 // imported and defined
	globals   uint32
}

// Type adds a function type, or finds it, and returns its index.
func (m *Module) Type(s Signature) uint32 {
	entry := append([]byte{0x60}, valTypes(s.Params)...)
	entry = append(entry, valTypes(s.Results)...)
	for i, known := range m.sections[SectionType] {
		if slices.Equal(known, entry) {
			return uint32(i)
		}
	}
	return m.add(SectionType, entry)
}

// ImportFunc imports a function and returns its index.
func (m *Module) ImportFunc(module, name string, s Signature) uint32 {
	if len(m.sections[SectionFunction]) > 0 {
		panic(fmt.Sprintf("hosttest: import %s.%s comes after a function", module, name))
	}
	m.Import(module, name, ExternFunc, appendU32(nil, m.Type(s)))
	m.functions++
	return m.functions - 1
}

// Import imports anything; description is its type in the binary format, as [MemoryType], [TableType] and
// [GlobalType] give it.
func (m *Module) Import(module, name string, kind Extern, description []byte) {
	entry := append(appendName(appendName(nil, module), name), byte(kind))
	m.add(SectionImport, append(entry, description...))
}

// MemoryType is the description of a memory's import.
func MemoryType(l Limits) []byte { return l.encode() }

// TableType is the description of the import of a table of functions.
func TableType(l Limits) []byte { return append([]byte{byte(FuncRef)}, l.encode()...) }

// GlobalType is the description of a global's import.
func GlobalType(t ValType, mutable bool) []byte {
	if mutable {
		return []byte{byte(t), 1}
	}
	return []byte{byte(t), 0}
}

// Locals is a run of local variables of one type.
type Locals struct {
	Count uint32
	Type  ValType
}

// Func defines a function and returns its index. The body is code without its last end.
func (m *Module) Func(s Signature, locals []Locals, body ...[]byte) uint32 {
	m.add(SectionFunction, appendU32(nil, m.Type(s)))
	code := appendU32(nil, uint32(len(locals)))
	for _, l := range locals {
		code = append(appendU32(code, l.Count), byte(l.Type))
	}
	code = append(append(code, Code(body...)...), opEnd)
	m.add(SectionCode, append(appendU32(nil, uint32(len(code))), code...))
	m.functions++
	return m.functions - 1
}

// NextFunc is the index that the next function will have, for code that calls itself.
func (m *Module) NextFunc() uint32 { return m.functions }

// Memory defines a memory.
func (m *Module) Memory(l Limits) { m.add(SectionMemory, l.encode()) }

// Table defines a table of functions.
func (m *Module) Table(l Limits) { m.add(SectionTable, TableType(l)) }

// Global defines a variable with a constant expression and returns its index. Imported globals are not counted.
func (m *Module) Global(t ValType, mutable bool, initial []byte) uint32 {
	m.add(SectionGlobal, append(append(GlobalType(t, mutable), initial...), opEnd))
	m.globals++
	return m.globals - 1
}

// Export exports what has an index of its kind.
func (m *Module) Export(name string, kind Extern, index uint32) {
	m.add(SectionExport, appendU32(append(appendName(nil, name), byte(kind)), index))
}

// Start names the function that runs when the module is instantiated.
func (m *Module) Start(function uint32) { m.start = appendU32(nil, function) }

// Elements puts functions into table 0 when the module is instantiated.
func (m *Module) Elements(offset uint32, functions ...uint32) {
	entry := append(append([]byte{0}, I32Const(int32(offset))...), opEnd)
	entry = appendU32(entry, uint32(len(functions)))
	for _, f := range functions {
		entry = appendU32(entry, f)
	}
	m.add(SectionElement, entry)
}

// Data puts bytes into the memory when the module is instantiated.
func (m *Module) Data(offset uint32, data []byte) {
	entry := append(append([]byte{0}, I32Const(int32(offset))...), opEnd)
	m.add(SectionData, append(appendU32(entry, uint32(len(data))), data...))
}

// Custom adds a custom section behind all others.
func (m *Module) Custom(name string, content []byte) {
	m.custom = append(m.custom, section(SectionCustom, append(appendName(nil, name), content...))...)
}

// Raw puts content in place of what was added to a section: for counts that lie.
func (m *Module) Raw(id Section, content []byte) {
	if m.raw == nil {
		m.raw = map[Section][]byte{}
	}
	m.raw[id] = content
}

// Encode returns the module.
func (m *Module) Encode() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for id := SectionType; id <= SectionData; id++ {
		content, raw := m.raw[id]
		switch {
		case raw:
		case id == SectionStart:
			content = m.start
		case len(m.sections[id]) > 0:
			content = vector(m.sections[id])
		}
		if raw || len(content) > 0 {
			out = append(out, section(id, content)...)
		}
	}
	return append(out, m.custom...)
}

func (m *Module) add(id Section, entry []byte) uint32 {
	m.sections[id] = append(m.sections[id], entry)
	return uint32(len(m.sections[id]) - 1)
}

func section(id Section, content []byte) []byte {
	return append(appendU32([]byte{byte(id)}, uint32(len(content))), content...)
}

func vector(entries [][]byte) []byte {
	out := appendU32(nil, uint32(len(entries)))
	for _, entry := range entries {
		out = append(out, entry...)
	}
	return out
}

func valTypes(types []ValType) []byte {
	out := appendU32(nil, uint32(len(types)))
	for _, t := range types {
		out = append(out, byte(t))
	}
	return out
}

func appendName(dst []byte, name string) []byte {
	return append(appendU32(dst, uint32(len(name))), name...)
}

// appendU32 appends unsigned LEB128.
func appendU32(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }
