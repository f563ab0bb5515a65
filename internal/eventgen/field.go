package eventgen

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a member of a struct as encoding/json sees it.
type field struct {
	name     string // in JSON
	selector string // in Go, with the embedded structs on the way
	typ      types.Type
	optional bool // may be left out: omitempty, omitzero, or null is a value of its own
	at       token.Pos

	tagged bool // the tag has its name, which prevails
	depth  int  // of embedded structs
}

// fieldsOf returns the members of a struct, those of embedded structs too, in the order of their declaration.
func (s *source) fieldsOf(named *types.Named) []field {
	if found, is := s.fields[named]; is {
		return found
	}
	s.fields[named] = nil // a struct may hold itself
	s.fields[named] = s.prevailing(named, s.allFields(named))
	return s.fields[named]
}

// level is a struct that is embedded in the one whose members are looked for, or that one itself.
type level struct {
	of   *types.Named
	path string
}

// allFields returns the members of a struct and of what it embeds, also those that others hide.
func (s *source) allFields(named *types.Named) (all []field) {
	seen := map[*types.Named]bool{}
	depth := 0
	for current := []level{{of: named}}; len(current) > 0; depth++ {
		var next []level
		for _, outer := range current {
			if seen[outer.of] {
				continue // it is less deep, or embeds itself
			}
			structure := outer.of.Underlying().(*types.Struct)
			for i := range structure.NumFields() {
				member := structure.Field(i)
				f, inner, err := s.member(member, reflect.StructTag(structure.Tag(i)).Get("json"))
				switch {
				case err != nil:
					s.mistake(member.Pos(), "%s.%s %v", outer.of.Obj().Name(), member.Name(), err)
				case inner != nil:
					next = append(next, level{of: inner, path: outer.path + member.Name() + "."})
				case f != nil:
					f.selector, f.depth = outer.path+member.Name(), depth
					if f.selector, err = reachable(named, f.selector, member); err != nil {
						s.mistake(member.Pos(), "%s.%s %v", outer.of.Obj().Name(), member.Name(), err)
						continue
					}
					all = append(all, *f)
				}
			}
		}
		for _, outer := range current {
			seen[outer.of] = true // a struct that is embedded twice at one depth has its members twice
		}
		current = next
	}
	return all
}

// reachable returns the selector by which another package reaches a member: without the embedded structs that it cannot
// name, whose members are those of the outer one unless that has fields of the same names.
func reachable(named *types.Named, selector string, member *types.Var) (string, error) {
	steps := slices.DeleteFunc(strings.Split(selector, "."), func(step string) bool { return !token.IsExported(step) })
	at, found := types.Type(named), types.Object(nil)
	for _, step := range steps {
		if found, _, _ = types.LookupFieldOrMethod(at, true, nil, step); found == nil {
			break
		}
		at = found.Type()
	}
	if found != member {
		return "", fmt.Errorf("is hidden by another field, and embedded by a type that other packages cannot name: begin the name of " +
			"the type with a capital letter")
	}
	return strings.Join(steps, "."), nil
}

// prevailing are the members that encoding/json takes where several have one name: the least deep, and of these the one
// whose tag has the name. Where that does not decide it takes none, which is a mistake.
func (s *source) prevailing(named *types.Named, all []field) (found []field) {
	for i, f := range all {
		best := true
		for j, other := range all {
			if i == j || other.name != f.name || other.depth > f.depth {
				continue
			}
			if other.depth == f.depth && other.tagged == f.tagged && j > i {
				s.mistake(other.at, "%s.%s has the name %q in JSON, which %s has too", named.Obj().Name(), other.selector, f.name,
					f.selector)
			}
			if other.depth < f.depth || other.tagged && !f.tagged || other.tagged == f.tagged && j < i {
				best = false
			}
		}
		if best {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b field) int { return cmp.Compare(a.depth, b.depth) })
	return found
}

// member is a field as a member in JSON, or the struct whose members stand in its place. It is neither for one that JSON
// does not have.
func (s *source) member(member *types.Var, tag string) (f *field, embedded *types.Named, err error) {
	if tag == "-" {
		return nil, nil, nil
	}
	name, options, _ := strings.Cut(tag, ",")
	named, isStruct := structOf(member.Type())
	if member.Embedded() && isStruct && name == "" {
		if _, is := types.Unalias(member.Type()).(*types.Pointer); is {
			return nil, nil, fmt.Errorf("is an embedded pointer: embed the struct itself")
		}
		return nil, named, nil
	}
	if !member.Exported() {
		if member.Embedded() && isStruct {
			return nil, nil, fmt.Errorf("has a name in JSON and is embedded by a type that other packages cannot name: begin it with " +
				"a capital letter")
		}
		return nil, nil, nil
	}
	found := field{name: cmp.Or(name, member.Name()), tagged: name != "", typ: member.Type(), at: member.Pos()}
	if !validName(name) {
		return nil, nil, fmt.Errorf("has the name %q, which encoding/json does not take: use letters, digits, - and _", name)
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			found.optional = true
		case "":
		case "string":
			return nil, nil, fmt.Errorf("is a number in a text (the option string): make it a string, or leave the option out")
		default:
			return nil, nil, fmt.Errorf("has the option %q, which is unknown", option)
		}
	}
	kind, err := s.deepShape(member.Type())
	switch kind.kind {
	case pointer, list, dictionary, binary:
		found.optional = true
	}
	return &found, nil, err
}

// structOf is the named struct that a type is, or points to.
func structOf(t types.Type) (*types.Named, bool) {
	t = types.Unalias(t)
	if pointer, is := t.(*types.Pointer); is {
		t = types.Unalias(pointer.Elem())
	}
	named, is := t.(*types.Named)
	if !is {
		return nil, false
	}
	_, is = named.Underlying().(*types.Struct)
	return named, is
}

// deepShape is the shape of a type whose elements have shapes too.
func (s *source) deepShape(t types.Type) (shape, error) {
	found, err := s.shapeOf(t)
	seen := map[*types.Named]bool{}
	for inner := found; err == nil; {
		switch inner.kind {
		case pointer, list, dictionary:
			if inner.named != nil && seen[inner.named] {
				return found, fmt.Errorf("has the type %s, which holds nothing but itself", inner.named.Obj().Name())
			}
			seen[inner.named] = true
			inner, err = s.shapeOf(inner.element)
			continue
		case object:
			s.fieldsOf(inner.named)
		}
		break
	}
	return found, err
}

// validName tells whether encoding/json takes a name of a tag.
func validName(name string) bool {
	for _, c := range name {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) {
			return false
		}
	}
	return true
}
