package hosttest

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

func hostileBinaries() []HostileGuest {
	good := (&Guest{}).Wasm()
	module := func(edit func(m *Module)) []byte {
		m := (&Guest{}).Module()
		edit(m)
		return m.Encode()
	}
	component := slices.Clone(good)
	copy(component[4:], "\x0d\x00\x01\x00")
	twice := (&Guest{}).Module()
	twice.Export("pup_apply", ExternFunc, 0)
	disordered := append(bytes.Clone(good[:8]), section(SectionMemory, []byte{1, 0, 1})...)
	disordered = append(disordered, good[8:]...)
	return []HostileGuest{
		refused(StageLoad, "file_empty", nil, "not a", "magic", "wasm"),
		refused(StageLoad, "file_is_a_script", []byte("#!/bin/sh\nrm -rf /\n"), "not a", "magic"),
		refused(StageLoad, "file_is_a_component", component, "version"),
		refused(StageLoad, "file_is_cut_off", good[:len(good)/2], "cut off", "EOF", "truncated", "compile"),
		refused(StageLoad, "file_goes_on", append(bytes.Clone(good), "garbage"...), "cut off", "compile", "section"),
		refused(StageLoad, "file_too_large", module(func(m *Module) {
			m.Custom("padding", make([]byte, ModuleBytesMax))
		}), "limit", "large"),
		refused(StageLoad, "module_empty", good[:8], "memor", "export"),
		refused(StageLoad, "sections_in_disorder", disordered, "memories", "memory", "section", "compile"),
		refused(StageLoad, "section_unknown", append(bytes.Clone(good), 63, 0), "section", "compile"),
		refused(StageLoad, "section_size_lies", append(bytes.Clone(good), 0, 0x7F, 'x'), "cut off", "EOF"),
		refused(StageLoad, "code_without_a_body", module(func(m *Module) { m.Raw(SectionCode, []byte{0}) }), "code",
			"compile", "function"),
		refused(StageLoad, "code_leaves_the_stack_empty", (&Guest{Apply: Nop}).Wasm(), "compile", "invalid", "stack"),
		refused(StageLoad, "code_is_no_instruction", (&Guest{Apply: []byte{0xFF}}).Wasm(), "compile", "invalid",
			"instruction"),
		refused(StageLoad, "code_calls_beyond_the_functions", (&Guest{Apply: Call(1000)}).Wasm(), "compile",
			"invalid", "function"),
		refused(StageLoad, "export_twice", twice.Encode(), "compile", "twice", "already"),
		refused(StageLoad, "start_function_with_parameters", module(func(m *Module) {
			m.Start(m.Func(Signature{Params: []ValType{I32}}, nil))
		}), "start", "compile", "signature"),
	}
}

// hostileCounts are files of some 30 bytes that announce billions of entries. wazero v1.12 allocates for what
// is announced before it looks whether it is there.
func hostileCounts() []HostileGuest {
	want := []string{"cut off", "fit", "entries", "count", "EOF", "limit", "large", "compile", "memories"}
	count := appendU32(nil, math.MaxUint32)
	raw := func(name string, id Section, content []byte) HostileGuest {
		m := &Module{}
		m.Table(Limits{Min: 1})
		m.Memory(Limits{Min: 1})
		m.Func(Signature{}, nil)
		m.Raw(id, content)
		return refused(StageLoad, name, m.Encode(), want...)
	}
	names := func(name string, content []byte) HostileGuest {
		m := (&Guest{}).Module()
		m.Custom("name", content)
		return refused(StageLoad, name, m.Encode(), want...)
	}
	at0 := []byte{1, 0, 0x41, 0, opEnd} // one segment at address 0
	list := []HostileGuest{
		raw("count_of_parameters_lies", SectionType, Code([]byte{1, 0x60}, count)),
		raw("count_of_table_elements_lies", SectionElement, Code(at0, count)),
		raw("size_of_data_lies", SectionData, Code(at0, count)),
		raw("size_of_code_lies", SectionCode, Code([]byte{1}, count)),
		raw("size_of_a_name_lies", SectionImport, Code([]byte{1}, count)),
		names("count_of_function_names_lies", Code([]byte{1, 5}, count)),
		names("count_of_local_names_lies", Code([]byte{2, 7, 1, 0}, count)),
	}
	for name, id := range map[string]Section{
		"types": SectionType, "imports": SectionImport, "functions": SectionFunction, "tables": SectionTable, "memories": SectionMemory,
		"globals": SectionGlobal, "exports": SectionExport, "elements": SectionElement, "code": SectionCode, "data": SectionData,
	} {
		list = append(list, raw("count_of_"+name+"_lies", id, count))
	}
	slices.SortFunc(list, func(a, b HostileGuest) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// hostileCode is valid code that takes a compiler minutes or gigabytes: its time grows with the square of
// what is nested, its memory with what is declared.
func hostileCode() []HostileGuest {
	code := func(name string, g *Guest) HostileGuest {
		return refused(StageLoad, "code_with_"+name, g.Wasm(), "limit", "large", "many", "deep", "nest", "complex",
			"deadline")
	}
	return []HostileGuest{
		code("4_billion_locals", withLocals(Locals{math.MaxUint32, I64})),
		code("100_million_locals", withLocals(Locals{100_000_000, I64})),
		code("more_locals_than_an_engine_moves", withLocals(Locals{2001, I64})),
		code("17_results", withResults(17)),
		code("locals_that_overflow", withLocals(slices.Repeat([]Locals{{math.MaxUint32, I64}}, 3)...)),
		code("100000_parameters", withParameters(100_000)),
		code("loops_10000_deep", nestedLoops(10_000)),
		code("branches_10000_deep", nestedBranches(10_000)),
		code("a_million_targets", manyTargets(1_000_000)),
	}
}

// withCode is a guest that has a function more, which is never called.
func withCode(s Signature, locals []Locals, body ...[]byte) *Guest {
	return &Guest{Edit: func(m *Module) { m.Func(s, locals, body...) }}
}

func withLocals(locals ...Locals) *Guest { return withCode(Signature{}, locals) }

func withParameters(count int) *Guest {
	return withCode(Signature{Params: slices.Repeat([]ValType{I32}, count)}, nil)
}

func withResults(count int) *Guest {
	return withCode(Signature{Results: slices.Repeat([]ValType{I32}, count)}, nil, Repeat(count, I32Const(0)))
}

func nestedLoops(depth int) *Guest {
	body := Code(I32Const(0), BrIf(0), []byte{opEnd})
	return withCode(Signature{}, nil, Repeat(depth, []byte{opLoop, voidBlock}), Repeat(depth, body))
}

func nestedBranches(depth int) *Guest {
	return withCode(Signature{}, nil, Repeat(depth, I32Const(0), []byte{opIf, voidBlock}), Repeat(depth, []byte{opEnd}))
}

func manyTargets(count int) *Guest {
	return withCode(Signature{}, nil, Block(I32Const(0), BrTable(make([]uint32, count), 0)))
}
