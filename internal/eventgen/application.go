package eventgen

import (
	"go/token"
	"path/filepath"
	"strings"
)

// applicationPackage is the name of the package in the folder of events.
func applicationPackage(folder string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(folder)))
	if !token.IsIdentifier(name) {
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
