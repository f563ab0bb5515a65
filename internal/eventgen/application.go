package eventgen

import (
	"go/token"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/pupwasm/pupwasm/internal/build"
)

// registryFile is the file of the registry, in the folder of events.
const registryFile = "registry_gen.go"

// applicationPackage is the name of the package in the folder of events: that of the files that are there, or else of the
// folder.
func (s *source) applicationPackage() string {
	name := packageName(s.folder, registryFile)
	if name == "main" && name != filepath.Base(s.folder) {
		s.mistakes = append(s.mistakes, build.Mistake{File: s.folder, Text: "is package main, which no other package can import: " +
			"put the folders v1, v2 … into a folder of their own"})
	}
	name = strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name)
	if !token.IsIdentifier(name) || name == "main" || name == "_" {
		return "events"
	}
	return name
}

// applicationFile returns the registry of all events.
func (s *source) applicationFile(events []*event, name string) ([]byte, error) {
	c := newCode("Registry")
	eventmap := c.use(program+"/eventmap", "eventmap")
	c.printf("// Registry knows every event and version of this folder: it writes events for the store, and reads them as their\n" +
		"// newest version.\nvar Registry = ")
	c.printf("%s.MustNew(\n", eventmap)
	for _, e := range events {
		c.printf("%s.Type[%s](%q, %d", eventmap, c.typeName(e.name.Type()), e.stored, e.version)
		if e.up != nil {
			function := e.up.function
			c.printf(", %s.Up(%s.%s)", eventmap, c.use(function.Pkg().Path(), function.Pkg().Name()), function.Name())
		}
		c.printf("),\n")
	}
	c.printf(")\n")
	return c.file("// Package "+name+" maps the events of an application to those of the store.\n", name)
}
