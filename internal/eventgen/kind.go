package eventgen

import (
	"fmt"
	"go/types"
	"slices"
)

// kind is what a value is in JSON.
type kind int

const (
	text kind = iota
	boolean
	integer
	unsigned
	float
	decimal    // an integer that is marked with //pup:decimals
	instant    // time.Time
	binary     // a text of base64
	number     // json.Number
	raw        // json.RawMessage
	ownJSON    // a type with UnmarshalJSON
	ownText    // a type with UnmarshalText
	pointer    // its value or null
	list       // a slice
	dictionary // a map whose keys are texts
	object     // a struct
)

// machineBits means the size of int and uint, which depends on the machine.
const machineBits = 0

// shape is the kind of a type and what it is made of.
type shape struct {
	kind     kind
	bits     int        // of integer, unsigned and float
	decimals int        // of decimal
	element  types.Type // of pointer, list and dictionary
	key      types.Type // of dictionary
	named    *types.Named
}

// shapeOf says what a type is in JSON, or why it has no form there.
func (s *source) shapeOf(t types.Type) (shape, error) {
	t = types.Unalias(t)
	named, _ := t.(*types.Named)
	if named != nil {
		own, is, err := s.ownShape(named)
		if is || err != nil {
			return own, err
		}
	}
	switch under := t.Underlying().(type) {
	case *types.Basic:
		found, err := basicShape(under)
		found.named = named
		return found, err
	case *types.Pointer:
		return shape{kind: pointer, element: under.Elem(), named: named}, nil
	case *types.Slice:
		return s.sliceShape(under.Elem(), named)
	case *types.Map:
		key, err := s.shapeOf(under.Key())
		if err != nil || key.kind != text {
			return shape{}, fmt.Errorf("is a map whose keys are not plain strings: use strings, or a type whose kind is string")
		}
		return shape{kind: dictionary, key: under.Key(), element: under.Elem(), named: named}, nil
	case *types.Struct:
		if named == nil {
			return shape{}, fmt.Errorf("is a struct without a name: declare a type for it")
		}
		return shape{kind: object, named: named}, nil
	case *types.Array:
		return shape{}, fmt.Errorf("is an array: use a slice, or a type with UnmarshalJSON or UnmarshalText")
	case *types.Interface:
		return shape{}, fmt.Errorf("is an interface, and nothing says what to read into it: use json.RawMessage")
	default:
		return shape{}, fmt.Errorf("is a %s, which JSON does not have", under)
	}
}

// sliceShape is that of a slice. Bytes are a text of base64, unless each of them says itself what it is.
func (s *source) sliceShape(element types.Type, named *types.Named) (shape, error) {
	element = types.Unalias(element)
	basic, is := element.Underlying().(*types.Basic)
	if !is || basic.Kind() != types.Uint8 {
		return shape{kind: list, element: element, named: named}, nil
	}
	if element == types.Type(basic) {
		return shape{kind: binary, named: named}, nil
	}
	inner, err := s.shapeOf(element)
	if err == nil && inner.kind != ownJSON && inner.kind != ownText {
		err = fmt.Errorf("is a slice of %s, which encoding/json writes as a text of base64: use []byte, or another kind than uint8",
			types.TypeString(element, func(p *types.Package) string { return p.Name() }))
	}
	return shape{kind: list, element: element, named: named}, err
}

// ownShape is that of a named type which has methods for its form in JSON.
func (s *source) ownShape(named *types.Named) (found shape, is bool, err error) {
	name := named.Obj()
	if named.TypeArgs().Len() > 0 {
		return shape{}, false, fmt.Errorf("is generic: declare a type without type parameters for it")
	}
	if !name.Exported() && name.Pkg() != nil {
		return shape{}, false, fmt.Errorf("has the type %s, which other packages cannot name: begin it with a capital letter",
			name.Name())
	}
	if err := s.checkPlace(name); err != nil {
		return shape{}, false, err
	}
	if decimals := s.markOf(name).decimals; decimals >= 0 {
		return shape{kind: decimal, decimals: decimals, named: named}, true, nil
	}
	if name.Pkg() != nil {
		switch name.Pkg().Path() + "." + name.Name() {
		case "time.Time":
			return shape{kind: instant, named: named}, true, nil
		case "encoding/json.RawMessage":
			return shape{kind: raw, named: named}, true, nil
		case "encoding/json.Number":
			return shape{kind: number, named: named}, true, nil
		}
	}
	for _, form := range []struct {
		name string
		kind kind
	}{{"JSON", ownJSON}, {"Text", ownText}} {
		reads, writes := hasMethod(named, "Unmarshal"+form.name, true), hasMethod(named, "Marshal"+form.name, false)
		switch {
		case reads && writes:
			return shape{kind: form.kind, named: named}, true, nil
		case reads || writes:
			have, lack := "Unmarshal", "Marshal"
			if writes {
				have, lack = lack, have
			}
			return shape{}, false, fmt.Errorf("has the type %s, which has the method %s%s and no %s%s: write both, or neither", name.Name(),
				have, form.name, lack, form.name)
		}
	}
	return shape{}, false, nil
}

// hasMethod tells whether a type, or a pointer to it, has the method of encoding.TextUnmarshaler (reads) and the like.
func hasMethod(named *types.Named, name string, reads bool) bool {
	selection := types.NewMethodSet(types.NewPointer(named)).Lookup(nil, name)
	if selection == nil {
		return false
	}
	const text, fails = "[]byte", "error"
	var parameters, results []string
	signature := selection.Type().(*types.Signature)
	for v := range signature.Params().Variables() {
		parameters = append(parameters, v.Type().String())
	}
	for v := range signature.Results().Variables() {
		results = append(results, v.Type().String())
	}
	if reads {
		return slices.Equal(parameters, []string{text}) && slices.Equal(results, []string{fails})
	}
	return len(parameters) == 0 && slices.Equal(results, []string{text, fails})
}

func basicShape(t *types.Basic) (shape, error) {
	switch t.Kind() {
	case types.String:
		return shape{kind: text}, nil
	case types.Bool:
		return shape{kind: boolean}, nil
	case types.Int:
		return shape{kind: integer, bits: machineBits}, nil
	case types.Int64:
		return shape{kind: integer, bits: 64}, nil
	case types.Int8:
		return shape{kind: integer, bits: 8}, nil
	case types.Int16:
		return shape{kind: integer, bits: 16}, nil
	case types.Int32:
		return shape{kind: integer, bits: 32}, nil
	case types.Uint:
		return shape{kind: unsigned, bits: machineBits}, nil
	case types.Uint64:
		return shape{kind: unsigned, bits: 64}, nil
	case types.Uint8:
		return shape{kind: unsigned, bits: 8}, nil
	case types.Uint16:
		return shape{kind: unsigned, bits: 16}, nil
	case types.Uint32:
		return shape{kind: unsigned, bits: 32}, nil
	case types.Float32:
		return shape{kind: float, bits: 32}, nil
	case types.Float64:
		return shape{kind: float, bits: 64}, nil
	default:
		return shape{}, fmt.Errorf("is a %s, which JSON does not have", t)
	}
}
