package meter

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// CustomSection returns the content of the custom section of a name, without the name, and whether the module has one.
// It reads where sections begin and end, and nothing in them but the names of custom ones. The content is a part of
// wasm.
//
// # Errors
//
// Bytes that are no core module of version 1, or are cut off; and a section that is there twice. Each is one line that
// goes on from the module's name.
func CustomSection(wasm []byte, name string) (content []byte, has bool, err error) {
	if err := checkHeader(wasm); err != nil {
		return nil, false, err
	}
	s := scanner{rest: wasm[8:]}
	for len(s.rest) > 0 {
		id := s.byte()
		section := scanner{rest: s.take(s.uint())}
		if s.err != nil {
			return nil, false, s.err
		}
		if id != sectionCustom {
			continue
		}
		is := string(section.name()) == name
		if section.err != nil {
			return nil, false, section.err
		}
		if is && has {
			return nil, false, fmt.Errorf("has a custom section %q twice", name)
		}
		if is {
			content, has = section.rest, true
		}
	}
	return content, has, nil
}

// AppendCustomSection returns a module with one more section behind its others.
func AppendCustomSection(wasm []byte, name string, content []byte) []byte {
	named := append(appendUint(nil, uint32(len(name))), name...)
	return appendSection(slices.Clone(wasm), sectionCustom, append(named, content...))
}

// checkHeader refuses what does not begin as a core module does.
func checkHeader(wasm []byte) error {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return errNotWasm
	}
	if version := binary.LittleEndian.Uint32(wasm[4:]); version != 1 {
		return fmt.Errorf("has WebAssembly version %d (a component?), a core module of version 1 is needed", version)
	}
	return nil
}
