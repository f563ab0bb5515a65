package hosttest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/meter"
)

// descriptionSection is the custom section of a module that has its description.
const descriptionSection = "pupwasm.description"

// CheckEmbedded says what is wrong with the description in a module's section, when the module returns another one. A
// module need not have the section.
func CheckEmbedded(wasm, description []byte) error {
	content, has, err := meter.CustomSection(wasm, descriptionSection)
	switch {
	case err != nil:
		return fmt.Errorf("it %w", err)
	case !has:
		return nil
	case len(content) < 4:
		return fmt.Errorf("its section %s has no version", descriptionSection)
	}
	if version := binary.LittleEndian.Uint32(content); version != abi.Version {
		return fmt.Errorf("its section %s has version %d", descriptionSection, version)
	}
	if !bytes.Equal(content[4:], description) {
		return errors.New("the description in its section is not the one that it returns")
	}
	return nil
}

// embedded is a plain guest with sections for its description, each of a version and a text.
func embedded(version uint32, texts ...string) []byte {
	m := (&Guest{}).Module()
	for _, text := range texts {
		m.Custom(descriptionSection, append(binary.LittleEndian.AppendUint32(nil, version), text...))
	}
	return m.Encode()
}

// hostileEmbedded have a section that deceives those who read it instead of asking the module.
func hostileEmbedded() []HostileGuest {
	short := (&Guest{}).Module()
	short.Custom(descriptionSection, []byte{abi.Version, 0, 0})
	return []HostileGuest{
		refused(StageLoad, "embedded_description_lies", embedded(abi.Version, `{"name":"harmless","version":1}`), "section"),
		refused(StageLoad, "embedded_description_goes_on", embedded(abi.Version, Describe+" "), "section"),
		refused(StageLoad, "embedded_description_empty", embedded(abi.Version, ""), "section"),
		refused(StageLoad, "embedded_description_twice", embedded(abi.Version, Describe, Describe), "twice"),
		refused(StageLoad, "embedded_description_of_a_later_abi", embedded(abi.Version+1, Describe), "version"),
		refused(StageLoad, "embedded_description_without_a_version", short.Encode(), "version"),
	}
}
