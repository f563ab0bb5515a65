package eventgen

import (
	"fmt"
	"go/token"
	"go/types"
	"reflect"
	"strings"
	"unicode"
)

// field is a member of a struct as encoding/json sees it.
type field struct {
	name     string // in JSON
	selector string // in Go, also where an embedded struct has it
	typ      types.Type
	shape    shape
	optional bool // may be left out: omitempty, omitzero, or null is a value of its own
	at       token.Pos
}

// fieldsOf returns the members of a struct, those of embedded structs too, in the order of their declaration.
func (s *source) fieldsOf(named *types.Named) []field {
	if found, is := s.fields[named]; is {
		return found
	}
	s.fields[named] = nil // a struct may hold itself
	all := map[string]int{}
	var found []field
	var depths []int
	var walk func(t *types.Struct, depth int, seen map[*types.Named]bool)
	walk = func(t *types.Struct, depth int, seen map[*types.Named]bool) {
		for i := range t.NumFields() {
			member := t.Field(i)
			tag := reflect.StructTag(t.Tag(i)).Get("json")
			if tag == "-" {
				continue
			}
			name, options, _ := strings.Cut(tag, ",")
			if inner, is := embedded(member, name); is {
				if !seen[inner] {
					seen[inner] = true
					walk(inner.Underlying().(*types.Struct), depth+1, seen)
				}
				continue
			}
			if !member.Exported() {
				continue
			}
			f, err := s.field(member, name, options)
			if err != nil {
				s.mistake(member.Pos(), "%s.%s %v", named.Obj().Name(), member.Name(), err)
				continue
			}
			other, twice := all[f.name]
			switch {
			case !twice:
				all[f.name] = len(found)
				found, depths = append(found, f), append(depths, depth)
			case depths[other] == depth:
				s.mistake(member.Pos(), "%s.%s has the name %q in JSON, which another field has", named.Obj().Name(), member.Name(),
					f.name)
			case depths[other] > depth:
				found[other], depths[other] = f, depth
			}
		}
	}
	walk(named.Underlying().(*types.Struct), 0, map[*types.Named]bool{named: true})
	s.fields[named] = found
	return found
}

// embedded tells whether a field is an embedded struct whose members count as those of the outer one.
func embedded(member *types.Var, name string) (*types.Named, bool) {
	if !member.Embedded() || name != "" {
		return nil, false
	}
	inner, is := types.Unalias(member.Type()).(*types.Named)
	if !is {
		return nil, false
	}
	_, is = inner.Underlying().(*types.Struct)
	return inner, is && types.NewMethodSet(types.NewPointer(inner)).Lookup(nil, "UnmarshalJSON") == nil
}

func (s *source) field(member *types.Var, name, options string) (field, error) {
	f := field{name: name, selector: member.Name(), typ: member.Type(), at: member.Pos()}
	if name == "" {
		f.name = member.Name()
	} else if !validName(name) {
		return f, fmt.Errorf("has the name %q, which encoding/json does not take: use letters, digits, - and _", name)
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			f.optional = true
		case "":
		case "string":
			return f, fmt.Errorf("is a number in a text (the option string): make it a string, or leave the option out")
		default:
			return f, fmt.Errorf("has the option %q, which is unknown", option)
		}
	}
	if _, is := types.Unalias(member.Type()).(*types.Pointer); is && member.Embedded() {
		return f, fmt.Errorf("is an embedded pointer: embed the struct, or give the field a name")
	}
	var err error
	f.shape, err = s.deepShape(member.Type())
	switch f.shape.kind {
	case pointer, list, dictionary, binary:
		f.optional = true
	}
	return f, err
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
