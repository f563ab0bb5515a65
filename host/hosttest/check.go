package hosttest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Bounds on what a module may declare, the same as those of the host in package host/meter; a compiler's output stays far below all of
// them.
const (
	parametersMax = 1000
	resultsMax    = 16   // of a function or a block
	variablesMax  = 2000 // of a function, its parameters included
	targetsMax    = 100_000
	tableMax      = 100_000
	// An engine's time grows with the square of the depth, with loops even faster. Go's compiler nests a block for every point
	// of a function where it can be resumed: some 550 in the modules of this project, and one loop.
	depthMax     = 5000
	loopDepthMax = 500
)

// Check says what of the specification a module breaks that can be seen without running it: its structure, with counts that
// fit their sections; what code declares; imports, exports and memory. It does not replace an engine's validation, and is
// safe with any bytes.
func Check(wasm []byte) error {
	s := &shape{}
	if err := s.read(wasm); err != nil {
		return err
	}
	if err := s.checkImports(); err != nil {
		return err
	}
	if s.importedMemories > 0 || len(s.memories) != 1 {
		return fmt.Errorf("it defines %d memories and imports %d, one of its own is needed", len(s.memories), s.importedMemories)
	}
	if flags := s.memories[0].Flags; flags > 0 {
		return errors.New("its memory is shared or has 64 bits")
	}
	return s.checkExports()
}

// shape is what a module's sections say.
type shape struct {
	types            []Signature
	imports          []Import // of functions
	importedOthers   []string
	importedMemories int
	functions        []uint32 // types of imported and defined functions
	tableElements    uint64
	memories         []Limits
	exports          []Export
}

// read takes the sections apart.
func (s *shape) read(wasm []byte) error {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return errors.New("it is not a WebAssembly module: the magic number is missing")
	}
	if string(wasm[4:8]) != "\x01\x00\x00\x00" {
		return fmt.Errorf("it has version %x of WebAssembly, a core module of version 1 is needed", wasm[4:8])
	}
	r := &reader{rest: wasm[8:]}
	last := SectionCustom
	for len(r.rest) > 0 && r.err == nil {
		id := Section(r.byte())
		content := &reader{rest: r.take(r.u32())}
		if r.err != nil {
			break
		}
		switch order := sectionOrder(id); {
		case id == SectionCustom:
		case order < 0:
			return fmt.Errorf("section %d is unknown", id)
		case order <= sectionOrder(last):
			return fmt.Errorf("section %d is out of order", id)
		default:
			last = id
		}
		if err := s.readSection(id, content); err != nil {
			return fmt.Errorf("section %d: %w", id, err)
		}
	}
	return r.err
}

// sectionDataCount stands between elements and code.
const sectionDataCount Section = 12

// sectionOrder is the place of a section, or -1.
func sectionOrder(id Section) int {
	return slices.Index([]Section{
		SectionCustom, SectionType, SectionImport, SectionFunction, SectionTable, SectionMemory, SectionGlobal, SectionExport,
		SectionStart, SectionElement, sectionDataCount, SectionCode, SectionData,
	}, id)
}

func (s *shape) readSection(id Section, r *reader) error {
	switch id {
	case SectionCustom:
		return s.readCustom(r)
	case SectionType:
		r.vector(3, s.readType)
	case SectionImport:
		r.vector(4, s.readImport)
	case SectionFunction:
		r.vector(1, func(r *reader) { s.functions = append(s.functions, r.u32()) })
	case SectionTable:
		r.vector(3, s.readTable)
	case SectionMemory:
		r.vector(2, func(r *reader) { s.memories = append(s.memories, r.limits()) })
	case SectionGlobal:
		r.vector(4, func(r *reader) { r.take(2); r.expression() })
	case SectionExport:
		r.vector(3, func(r *reader) {
			s.exports = append(s.exports, Export{Name: r.name(), Kind: Extern(r.byte()), Index: r.u32()})
		})
	case SectionStart:
		if at := r.u32(); r.err == nil && !s.hasType(at, Signature{}) {
			return errors.New("the start function is missing or has a signature")
		}
	case SectionElement:
		r.vector(3, (*reader).element)
	case sectionDataCount:
		r.u32()
	case SectionCode:
		number := len(s.imports)
		r.vector(3, func(r *reader) {
			checkFunction(r, s.parameters(number))
			number++
		})
	case SectionData:
		r.vector(2, (*reader).data)
	}
	if r.err == nil && len(r.rest) > 0 {
		return errors.New("it goes on after its entries")
	}
	return r.err
}

func (s *shape) readType(r *reader) {
	form := r.byte()
	types := func() []ValType {
		var list []ValType
		r.vector(1, func(r *reader) { list = append(list, ValType(r.byte())) })
		return list
	}
	signature := Signature{Params: types(), Results: types()}
	switch {
	case r.err != nil:
	case form != 0x60:
		r.err = fmt.Errorf("type form %#x is unknown", form)
	case len(signature.Params) > parametersMax:
		r.err = fmt.Errorf("a function has %d parameters, the limit is %d", len(signature.Params), parametersMax)
	case len(signature.Results) > resultsMax:
		r.err = fmt.Errorf("a function or block has %d results, the limit is %d", len(signature.Results), resultsMax)
	}
	s.types = append(s.types, signature)
}

// parameters is how many a function has, as far as that is known.
func (s *shape) parameters(function int) int {
	if function >= len(s.functions) || uint64(s.functions[function]) >= uint64(len(s.types)) {
		return 0
	}
	return len(s.types[s.functions[function]].Params)
}

func (s *shape) readImport(r *reader) {
	module, name, kind := r.name(), r.name(), Extern(r.byte())
	switch kind {
	case ExternFunc:
		at := r.u32()
		if r.err == nil && int64(at) >= int64(len(s.types)) {
			r.err = fmt.Errorf("import %s.%s has no type", module, name)
		}
		if r.err == nil {
			s.imports = append(s.imports, Import{module, name, s.types[at]})
			s.functions = append(s.functions, at)
		}
		return
	case ExternTable:
		r.byte()
		r.limits()
	case ExternMemory:
		r.limits()
		s.importedMemories++
	case ExternGlobal:
		r.take(2)
	default:
		r.err = cmp.Or(r.err, fmt.Errorf("import %s.%s is of unknown kind %d", module, name, kind))
	}
	s.importedOthers = append(s.importedOthers, module+"."+name)
}

func (s *shape) readTable(r *reader) {
	r.byte()
	s.tableElements += uint64(r.limits().Min)
	if s.tableElements > tableMax {
		r.err = cmp.Or(r.err, fmt.Errorf("its tables have %d elements, the limit is %d", s.tableElements, tableMax))
	}
}

// readCustom looks into the names, which engines read.
func (s *shape) readCustom(r *reader) error {
	if name := r.name(); r.err != nil || name != "name" {
		return r.err
	}
	named := func(r *reader) { r.u32(); r.name() }
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		names := &reader{rest: r.take(r.u32())}
		switch id {
		case 1:
			names.vector(2, named)
		case 2:
			names.vector(2, func(r *reader) { r.u32(); r.vector(2, named) })
		}
		r.err = cmp.Or(r.err, names.err)
	}
	return r.err
}

func (s *shape) hasType(function uint32, want Signature) bool {
	if uint64(function) >= uint64(len(s.functions)) || uint64(s.functions[function]) >= uint64(len(s.types)) {
		return false
	}
	return sameSignature(s.types[s.functions[function]], want)
}

func sameSignature(a, b Signature) bool {
	return slices.Equal(a.Params, b.Params) && slices.Equal(a.Results, b.Results)
}

func (s *shape) checkImports() error {
	allowed := AllowedImports()
	for _, i := range s.imports {
		at := slices.IndexFunc(allowed, func(a Import) bool { return a.Module == i.Module && a.Name == i.Name })
		switch {
		case at < 0:
			return fmt.Errorf("it imports %s.%s, which guests may not use", i.Module, i.Name)
		case !sameSignature(allowed[at].Signature, i.Signature):
			return fmt.Errorf("it imports %s.%s with another signature than the host's", i.Module, i.Name)
		}
	}
	if len(s.importedOthers) > 0 {
		return fmt.Errorf("it imports %s, which is not a function (a memory, table or global)", s.importedOthers[0])
	}
	return nil
}

func (s *shape) checkExports() error {
	required := []struct {
		name      string
		signature Signature
		optional  bool
	}{
		{"pup_abi_1", signatureVersion, false},
		{"pup_describe", signatureDescribe, false},
		{"pup_reserve", signatureReserve, false},
		{"pup_apply", signatureApply, false},
		{"_initialize", signatureNone, true},
	}
	for _, want := range required {
		at := slices.IndexFunc(s.exports, func(e Export) bool { return e.Name == want.name })
		switch {
		case at < 0 && want.optional:
		case at < 0:
			return fmt.Errorf("it exports no %s", want.name)
		case s.exports[at].Kind != ExternFunc || !s.hasType(s.exports[at].Index, want.signature):
			return fmt.Errorf("it exports %s with another signature than the ABI's", want.name)
		}
	}
	if !slices.Contains(s.exports, Export{"memory", ExternMemory, 0}) {
		return errors.New(`it exports no memory called "memory"`)
	}
	return nil
}
