package eventgen

import (
	"cmp"
	"fmt"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pupwasm/pupwasm/internal/build"
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
			holder := parts[object]
			if !isEvent(object, m, holder != nil) {
				switch {
				case m.event:
					s.mistake(object.Pos(), "%s is marked with //pup:event and is no exported struct", name)
				case holder != nil && !m.part && s.hadSchema(name, v.number):
					s.mistake(object.Pos(), "%s was an event, and %s holds it now: mark it with //pup:event if it still is one, or "+
						"with //pup:part", name, holder.Name())
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
	if len(found) == 0 && len(s.mistakes) == 0 {
		s.mistakes = append(s.mistakes, build.Mistake{File: s.versions[0].path, Text: "has no events: an event is an exported struct " +
			"that no other struct holds"})
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

// hadSchema tells whether there is a generated schema of an event with this name.
func (s *source) hadSchema(name string, version int) bool {
	return isGeneratedSchema(filepath.Join(s.folder, schemaFolder, fmt.Sprintf("%s.v%d.json", name, version)))
}

// partsOfOthers are the structs that a member of another struct of their package holds, and one that does.
func (s *source) partsOfOthers() map[*types.TypeName]*types.TypeName {
	parts := map[*types.TypeName]*types.TypeName{}
	for _, v := range s.versions {
		scope := v.pkg.Types.Scope()
		for _, name := range scope.Names() {
			outer, is := scope.Lookup(name).(*types.TypeName)
			if !is || outer.IsAlias() || !outer.Exported() {
				continue
			}
			structure, is := outer.Type().Underlying().(*types.Struct)
			if !is {
				continue
			}
			for i := range structure.NumFields() {
				member := structure.Field(i)
				hidden := !member.Exported() && !member.Embedded() || reflect.StructTag(structure.Tag(i)).Get("json") == "-"
				inner := heldType(member.Type())
				if !hidden && inner != nil && inner != outer && inner.Pkg() == outer.Pkg() {
					parts[inner] = outer
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
