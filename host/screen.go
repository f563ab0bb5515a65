package host

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What a module may have. The engine allocates for what is announced before it looks whether it is there, and its compiler's
// time grows with the square of what is nested: some 30 bytes can ask for hundreds of gigabytes. The limits are far above
// what the compilers emit.
const (
	tableElementsMax = 100_000 // whose memory the engine's limit does not cover; one a function is usual
	parametersMax    = 1_000   // of a function
	localsMax        = 50_000  // of a function
	nestingMax       = 5_000   // blocks within blocks; Go nests one for every point where a function can resume
	loopNestingMax   = 500     // loops within loops, which cost the compiler most
	targetsMax       = 100_000 // of one br_table
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
)

var (
	errNotWasm   = errors.New("is not a WebAssembly module")
	errTruncated = errors.New("is cut off, or announces more than it has")
)

// screen looks at a module before the engine does, for what would cost too much to find out otherwise. The engine
// validates all the rest.
func screen(wasm []byte) error {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return errNotWasm
	}
	if version := binary.LittleEndian.Uint32(wasm[4:]); version != 1 {
		return fmt.Errorf("has WebAssembly version %d (a component?), a core module of version 1 is needed", version)
	}
	s := scanner{rest: wasm[8:]}
	for len(s.rest) > 0 && s.err == nil {
		id := s.byte()
		section := scanner{rest: s.take(s.uint())}
		if s.err == nil {
			s.err = section.screen(id)
		}
	}
	return s.err
}

// screen checks one section.
func (s *scanner) screen(id byte) error {
	switch id {
	case sectionCustom:
		if string(s.name()) == "name" {
			s.names()
		}
		return s.err
	case sectionTable:
		return s.tables()
	case sectionMemory:
		return s.memories()
	case sectionStart:
		return nil
	}
	if id > sectionData {
		return nil // the number of data segments, or not of this version of WebAssembly
	}
	count := s.count()
	for range count {
		switch id {
		case sectionType:
			s.functionType()
		case sectionImport:
			s.importEntry()
		case sectionElement:
			s.elements()
		case sectionCode:
			body := scanner{rest: s.take(s.uint())}
			if s.err == nil {
				s.err = body.functionBody()
			}
		case sectionData:
			s.data()
		default:
			return s.err // functions, globals and exports: only their number can lie
		}
		if s.err != nil {
			return s.err
		}
	}
	return s.err
}

func (s *scanner) functionType() {
	s.byte()
	params := s.count()
	s.take(params)
	results := s.count()
	s.take(results)
	if s.err == nil && params+results > parametersMax {
		s.err = fmt.Errorf("has a function with %d parameters and results, the limit is %d", params+results, parametersMax)
	}
}

func (s *scanner) importEntry() {
	s.name()
	s.name()
	switch s.byte() {
	case 0: // a function
		s.uint()
	case 1: // a table
		s.byte()
		s.limits()
	case 2: // a memory
		s.limits()
	case 3: // a global
		s.take(2)
	}
}

func (s *scanner) tables() error {
	total := uint64(0)
	for range s.count() {
		s.byte() // the element type
		total += uint64(s.limits())
		if s.err == nil && total > tableElementsMax {
			s.err = fmt.Errorf("asks for tables of %d elements, the limit is %d", total, tableElementsMax)
		}
		if s.err != nil {
			break
		}
	}
	return s.err
}

func (s *scanner) memories() error {
	count := s.count()
	if s.err != nil {
		return s.err
	}
	if count != 1 {
		return fmt.Errorf("defines %d memories, one is needed", count)
	}
	if flags := s.byte(); flags > 1 {
		return errors.New("has a shared or 64-bit memory, which guests cannot have")
	}
	return s.err
}

// elements reads one segment of table elements, in any of its eight forms.
func (s *scanner) elements() {
	const passive, explicit, expressions = 1, 2, 4
	flags := s.uint()
	if flags&passive == 0 {
		if flags&explicit != 0 {
			s.uint()
		}
		s.expression()
	}
	if flags&(passive|explicit) != 0 {
		s.byte() // the kind
	}
	for range s.count() {
		if flags&expressions != 0 {
			s.expression()
		} else {
			s.uint()
		}
		if s.err != nil {
			return
		}
	}
}

func (s *scanner) data() {
	const passive, explicit = 1, 2
	flags := s.uint()
	if flags&explicit != 0 {
		s.uint()
	}
	if flags&passive == 0 {
		s.expression()
	}
	s.take(s.uint())
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
