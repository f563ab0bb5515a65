package eventgen

import (
	"cmp"
	"go/types"
	"slices"
)

// event is an event of one version.
type event struct {
	stored  string // the type under which it is stored
	version int
	name    *types.TypeName
	up      *upcaster // nil for the newest
}

// upcaster is a function that makes an event of a later version from one of an earlier.
type upcaster struct {
	function *types.Func
	to       *event
}

// newest is what the upcasters make of the event in the end.
func (e *event) newest() *event {
	for e.up != nil {
		e = e.up.to
	}
	return e
}

// findEvents finds the structs that are events, by type and version.
func (s *source) findEvents() []*event {
	parts := s.partsOfOthers()
	var found []*event
	at := map[string]map[int]*event{}
	for _, v := range s.versions {
		scope := v.pkg.Types.Scope()
		for _, name := range scope.Names() {
			object, is := scope.Lookup(name).(*types.TypeName)
			if !is || object.IsAlias() {
				continue
			}
			m := s.markOf(object)
			if !isEvent(object, m, parts[object]) {
				if m.event {
					s.mistake(object.Pos(), "%s is marked with //pup:event and is no exported struct", name)
				}
				continue
			}
			e := &event{stored: cmp.Or(m.stored, name), version: v.number, name: object}
			if other := at[e.stored][e.version]; other != nil {
				s.mistake(object.Pos(), "%s is stored as %s version %d, as %s is: give one of them another name with //pup:event",
					name, e.stored, e.version, other.name.Name())
				continue
			}
			if at[e.stored] == nil {
				at[e.stored] = map[int]*event{}
			}
			at[e.stored][e.version] = e
			s.fieldsOf(object.Type().(*types.Named))
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *event) int {
		return cmp.Or(cmp.Compare(a.stored, b.stored), cmp.Compare(a.version, b.version))
	})
	return found
}

func isEvent(object *types.TypeName, m mark, part bool) bool {
	named, is := object.Type().(*types.Named)
	if !is || !object.Exported() || named.TypeParams().Len() > 0 {
		return false
	}
	_, is = named.Underlying().(*types.Struct)
	return is && !m.part && (m.event || !part)
}

// partsOfOthers are the structs that a field of another struct holds.
func (s *source) partsOfOthers() map[*types.TypeName]bool {
	parts := map[*types.TypeName]bool{}
	for _, v := range s.versions {
		scope := v.pkg.Types.Scope()
		for _, name := range scope.Names() {
			outer, is := scope.Lookup(name).(*types.TypeName)
			if !is {
				continue
			}
			structure, is := outer.Type().Underlying().(*types.Struct)
			if !is {
				continue
			}
			for i := range structure.NumFields() {
				if inner := heldType(structure.Field(i).Type()); inner != nil && inner != outer {
					parts[inner] = true
				}
			}
		}
	}
	return parts
}

// heldType is the named type that a field holds, be it in a slice, a map or behind a pointer.
func heldType(t types.Type) *types.TypeName {
	for range nestingMax {
		switch held := types.Unalias(t).(type) {
		case *types.Named:
			if _, is := held.Underlying().(*types.Struct); is {
				return held.Obj()
			}
			t = held.Underlying()
		case interface{ Elem() types.Type }:
			t = held.Elem()
		default:
			return nil
		}
	}
	return nil
}

// nestingMax is how deep slices, maps and pointers within each other are followed. A type that holds only itself has no
// end.
const nestingMax = 64
