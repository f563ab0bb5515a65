package host

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/meter"
)

// DescriptionSection is the custom section of a module that has its description, so that it can be read without running
// the module: the version of the interface as 4 bytes, little-endian, and then the JSON that pup_describe returns.
const DescriptionSection = "pupwasm.description"

// embeddedVersionBytes is the size of the version in the section.
const embeddedVersionBytes = 4

// Embedded is what the file of a module says of it. A host that loads the module refuses it when it says something else
// as it runs; nobody has compared the two before.
type Embedded struct {
	Hash        [sha256.Size]byte // of the file
	Bytes       int               // the size of the file
	Imports     []string          // "module.function", in order; what it may ask of a host
	Description *Description
}

// ReadEmbedded reads the description in a module's section, and its imports, without running or compiling anything. It
// returns nil for a module without a section. file is the name for errors.
//
// # Errors
//
// [*LoadError] for bytes that are no module, and for a section that is there twice, too large, for another version of
// the interface, or no valid description.
func ReadEmbedded(file string, wasm []byte) (*Embedded, error) {
	refuse := func(err error) error { return &LoadError{File: file, Reason: shorten(err.Error()), cause: err} }
	contents, err := meter.Inspect(wasm)
	if err != nil {
		return nil, refuse(err)
	}
	text, has, err := embeddedText(wasm)
	if err != nil {
		return nil, refuse(err)
	}
	if !has {
		return nil, nil
	}
	e := &Embedded{Hash: sha256.Sum256(wasm), Bytes: len(wasm)}
	if e.Description, err = parseDescription(text); err != nil {
		return nil, refuse(err)
	}
	seen := map[string]bool{}
	for _, imported := range contents.Imports {
		if name := imported.Module + "." + imported.Name; !seen[name] {
			seen[name] = true
			e.Imports = append(e.Imports, name)
		}
	}
	return e, nil
}

// Embed returns the module that was loaded with its description in a section. wasm are the bytes that it was loaded
// from, which it returns as they are where they have the section.
//
// # Errors
//
// Other bytes than those that were loaded.
func (m *Module) Embed(wasm []byte) ([]byte, error) {
	if sha256.Sum256(wasm) != m.Hash {
		return nil, errors.New("these are not the bytes of the module")
	}
	if m.code.embedded != nil {
		return wasm, nil
	}
	content := binary.LittleEndian.AppendUint32(nil, abi.Version)
	return meter.AppendCustomSection(wasm, DescriptionSection, append(content, m.described...)), nil
}

// embeddedText returns the description in a module's section, and whether the module has one. It is a part of wasm.
func embeddedText(wasm []byte) (text []byte, has bool, err error) {
	content, has, err := meter.CustomSection(wasm, DescriptionSection)
	if err != nil || !has {
		return nil, false, err
	}
	if len(content) < embeddedVersionBytes {
		return nil, false, fmt.Errorf("has a section %s of %d bytes, which begins with a version of %d", DescriptionSection,
			len(content), embeddedVersionBytes)
	}
	if version := binary.LittleEndian.Uint32(content); version != abi.Version {
		return nil, false, fmt.Errorf("has a section %s for version %d of the ABI, this host speaks version %d",
			DescriptionSection, version, abi.Version)
	}
	text = content[embeddedVersionBytes:]
	if len(text) > descriptionBytesMax {
		return nil, false, fmt.Errorf("has a description of %d bytes in its section %s, the limit is %d", len(text),
			DescriptionSection, descriptionBytesMax)
	}
	return text, true, nil
}

// embeddedDigest is that of the description in a module's section, or nil for a module without one.
func embeddedDigest(wasm []byte) (*[sha256.Size]byte, error) {
	text, has, err := embeddedText(wasm)
	if err != nil || !has {
		return nil, err
	}
	digest := sha256.Sum256(text)
	return &digest, nil
}

// checkEmbedded refuses a module whose section says something else than the module itself: what reads the section,
// and decides by it, would be deceived.
func (m *Module) checkEmbedded() error {
	if m.code.embedded == nil || *m.code.embedded == sha256.Sum256(m.described) {
		return nil
	}
	return fmt.Errorf("has a description in its section %s which is not the one that it returns when it runs: "+
		"do not trust this file, and build the module from its source again", DescriptionSection)
}
