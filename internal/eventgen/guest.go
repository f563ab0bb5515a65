package eventgen

import (
	"fmt"
	"go/types"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// guestPackage is the package of the readers of projections.
const guestPackage = "pupevents"

const guestDoc = `// Package pupevents reads the payloads of events into their structs, in a projection. It does so without reflection and
// without allocating, under TinyGo too, and gives events of every version as the newest one.
`

const readerDoc = `// Reader reads events into values of its own: what a method returns is valid until the next one is called, and its texts
// point into the batch. The zero value is ready for use, and one Reader is enough for a projection.
`

// guest writes the package pupevents.
type guest struct {
	*code
	source  *source
	structs []*types.Named    // that have a function, in the order in which they were asked for
	pools   map[string]string // name of the field of Reader, by its type
	order   []string          // types of pools
	used    map[string]bool   // names of fields of Reader
	pup     string
	json    string
	typed   string
	depth   int // of loops, for names of variables
}

// guestFile returns the readers of all events.
func (s *source) guestFile(events []*event) ([]byte, error) {
	g := &guest{
		code: newCode("Reader", "Types", "Fields", "r", "j", "v", "e", "o", "a", "missing", "event"), source: s, pools: map[string]string{}, used: map[string]bool{},
	}
	g.pup, g.json, g.typed = g.use(guestSDK, "pup"), g.use(guestSDK+"/json", "json"), g.use(guestSDK+"/typed", "typed")
	groups := byStored(events)
	structures := g.part(func() {
		for _, e := range events {
			if found, err := s.shapeOf(e.name.Type()); err == nil && found.kind == object {
				g.function(found.named)
			}
		}
		for i := 0; i < len(g.structs); i++ { // it grows
			g.structure(g.structs[i])
		}
	})
	methods := g.part(func() {
		g.read(groups)
		for _, versions := range groups {
			g.event(versions)
		}
	})
	g.eventTypes(groups)
	g.reader(events)
	g.body.Write(methods)
	g.body.Write(structures)
	return g.file(guestDoc, guestPackage)
}

// part returns what write writes.
func (g *guest) part(write func()) []byte {
	outer := g.code
	g.code = &code{imports: outer.imports, names: outer.names}
	write()
	written := g.body.Bytes()
	g.code = outer
	return written
}

// byStored groups events by the type under which they are stored; versions ascend.
func byStored(events []*event) (groups [][]*event) {
	for _, e := range events {
		if last := len(groups) - 1; last >= 0 && groups[last][0].stored == e.stored {
			groups[last] = append(groups[last], e)
			continue
		}
		groups = append(groups, []*event{e})
	}
	return groups
}

// methodOf is the name of the method that reads events of a type: that of the struct of its last version.
func methodOf(versions []*event) string { return versions[len(versions)-1].name.Name() }

func (g *guest) eventTypes(groups [][]*event) {
	g.printf("// Types are the types of the events that a [Reader] knows, for the subscription of a projection.\n")
	g.printf("var Types = []string{")
	for _, versions := range groups {
		g.printf("%q,", versions[0].stored)
	}
	g.printf("}\n\n")
	g.printf("// Fields are what a projection reads by default, and the version of events, which a [Reader] needs: take them for the\n" +
		"// Fields of the projection.\n")
	g.printf("var Fields = []%[1]s.Field{%[1]s.AggregateID, %[1]s.EventType, %[1]s.EventVersion, %[1]s.Payload, "+
		"%[1]s.CreatedAt}\n\n", g.pup)
}

// reader writes the struct, when all that it holds is known.
func (g *guest) reader(events []*event) {
	g.printf("%stype Reader struct {\n", readerDoc)
	for _, e := range events {
		g.printf("%s %s\n", g.value(e), g.typeName(e.name.Type()))
	}
	if len(g.order) > 0 {
		g.printf("\n")
	}
	for _, pool := range g.order {
		g.printf("%s %s\n", g.pools[pool], pool)
	}
	g.printf("}\n\n")
	if len(g.order) == 0 {
		return
	}
	g.printf("// reset takes back the memory that the last event was read into.\nfunc (r *Reader) reset() {\n")
	for _, pool := range g.order {
		g.printf("r.%s.Reset()\n", g.pools[pool])
	}
	g.printf("}\n\n")
}

// value is the field of Reader for an event.
func (g *guest) value(e *event) string {
	first, size := utf8.DecodeRuneInString(e.name.Name())
	return fmt.Sprintf("%c%sV%d", unicode.ToLower(first), e.name.Name()[size:], e.version)
}

// read writes the method for events of any type.
func (g *guest) read(groups [][]*event) {
	g.printf("// Read reads an event as its newest version: ")
	results := map[string]bool{}
	var names []string
	for _, versions := range groups {
		if name := "*" + g.typeName(versions[0].newest().name.Type()); !results[name] {
			results[name] = true
			names = append(names, name)
		}
	}
	g.printf("%s.\n// It returns nil for events of other types.\n", strings.Join(names, ", "))
	g.printf("func (r *Reader) Read(e %s.Event) (any, error) {\nswitch e.Type() {\n", g.pup)
	for _, versions := range groups {
		g.printf("case %q:\nreturn %s.Any(r.%s(e))\n", versions[0].stored, g.typed, methodOf(versions))
	}
	g.printf("}\nreturn nil, nil\n}\n\n")
}

// event writes the method for the events of one type.
func (g *guest) event(versions []*event) {
	newest := versions[0].newest()
	method := methodOf(versions)
	g.printf("// %s reads an event of the type %s, of any version, as %s.\n", method, versions[0].stored,
		g.typeName(newest.name.Type()))
	g.printf("func (r *Reader) %s(e %s.Event) (*%s, error) {\n", method, g.pup, g.typeName(newest.name.Type()))
	if len(g.order) > 0 {
		g.printf("r.reset()\n")
	}
	g.printf("switch e.Version() {\n")
	for _, e := range versions {
		g.printf("case %d:\nr.%s = %s{}\n", e.version, g.value(e), g.typeName(e.name.Type()))
		g.printf("if len(e.Payload()) > 0 {\nj := e.JSON()\n")
		g.assign("r."+g.value(e), e.name.Type())
		g.printf("if err := %s.Done(e, j); err != nil {\nreturn nil, err\n}\n}\n", g.typed)
		for step := e; step.up != nil; step = step.up.to {
			g.printf("r.%s = %s.%s(r.%s)\n", g.value(step.up.to), g.use(step.up.function.Pkg().Path(), step.up.function.Pkg().Name()),
				step.up.function.Name(), g.value(step))
		}
	}
	numbers := make([]string, len(versions))
	for i, e := range versions {
		numbers[i] = fmt.Sprint(e.version)
	}
	g.printf("default:\nreturn nil, %s.UnknownVersion(e, %q)\n}\nreturn &r.%s, nil\n}\n\n", g.typed,
		strings.Join(numbers, ", "), g.value(newest))
}

// function is the function that reads a struct.
func (g *guest) function(t *types.Named) string {
	if !slices.Contains(g.structs, t) {
		g.structs = append(g.structs, t)
	}
	return "read" + identifier(g.typeName(t))
}

// structure writes the function that reads a struct. It leaves the object when all members were read, as one does by hand:
// what follows them costs nothing.
func (g *guest) structure(t *types.Named) {
	g.printf("func %s(r *Reader, j *%s.Reader, v *%s) {\nif j.Null() {\nreturn\n}\n", g.function(t), g.json, g.typeName(t))
	fields := g.source.fieldsOf(t)
	switch {
	case len(fields) == 0:
		g.printf("j.Object()\n}\n\n")
		return
	case len(fields) <= membersCounted:
		g.printf("missing := uint64(%#x)\nfor o := j.Object(); missing != 0 && o.Next(); {\n", uint64(math.MaxUint64)>>(64-len(fields)))
	default:
		g.printf("for o := j.Object(); o.Next(); {\n")
	}
	g.printf("switch o.Key() {\n")
	for i, f := range fields {
		g.printf("case %q:\n", f.name)
		if len(fields) <= membersCounted {
			g.printf("missing &^= %#x\n", uint64(1)<<i)
		}
		g.assign("v."+f.selector, f.typ)
	}
	g.printf("}\n}\n}\n\n")
}

// membersCounted is the number of members up to which a function knows which of them are missing.
const membersCounted = 64

// pool is the field of Reader that lends memory.
func (g *guest) pool(kind string, parameters ...types.Type) string {
	names := make([]string, len(parameters))
	for i, t := range parameters {
		names[i] = g.typeName(t)
	}
	whole := fmt.Sprintf("%s.%s[%s]", g.typed, kind, strings.Join(names, ", "))
	if known, is := g.pools[whole]; is {
		return "r." + known
	}
	base := strings.ToLower(kind[:1]) + kind[1:] + "Of" + identifier(strings.Join(names, " to "))
	free := base
	for n := 2; g.used[free]; n++ {
		free = fmt.Sprintf("%s%d", base, n)
	}
	g.pools[whole], g.used[free] = free, true
	g.order = append(g.order, whole)
	return "r." + free
}
