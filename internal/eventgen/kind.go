package eventgen

import (
	"fmt"
	"go/types"
)

// kind is how a value stands in JSON.
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
	raw        // json.RawMessage
	ownJSON    // a type with UnmarshalJSON
	ownText    // a type with UnmarshalText
	pointer    // its value or null
	list       // a slice
	dictionary // a map whose keys are texts
	object     // a struct
)

// shape is the kind of a type and what it is made of.
type shape struct {
	kind     kind
	bits     int        // of integer, unsigned and float
	decimals int        // of decimal
	element  types.Type // of pointer, list and dictionary
	key      types.Type // of dictionary
	named    *types.Named
}

// shapeOf says how a type stands in JSON, or why it cannot.
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
		if basic, is := types.Unalias(under.Elem()).(*types.Basic); is && basic.Kind() == types.Byte {
			return shape{kind: binary, named: named}, nil
		}
		return shape{kind: list, element: under.Elem(), named: named}, nil
	case *types.Map:
		key, err := s.shapeOf(under.Key())
		if err != nil || key.kind != text {
			return shape{}, fmt.Errorf("is a map whose keys are not strings: JSON has texts as keys")
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

// ownShape is that of a named type which says itself how it stands in JSON.
func (s *source) ownShape(named *types.Named) (found shape, is bool, err error) {
	name := named.Obj()
	if named.TypeArgs().Len() > 0 {
		return shape{}, false, fmt.Errorf("is generic: declare a type without type parameters for it")
	}
	if !name.Exported() && name.Pkg() != nil {
		return shape{}, false, fmt.Errorf("has the type %s, which other packages cannot name: begin it with a capital letter",
			name.Name())
	}
	if decimals := s.markOf(name).decimals; decimals >= 0 {
		if basic, is := named.Underlying().(*types.Basic); !is || basic.Kind() != types.Int64 {
			return shape{}, false, fmt.Errorf("has the type %s, which is marked with //pup:decimals and is no int64", name.Name())
		}
		return shape{kind: decimal, decimals: decimals, named: named}, true, nil
	}
	if name.Pkg() != nil && name.Pkg().Path() == "time" && name.Name() == "Time" {
		return shape{kind: instant, named: named}, true, nil
	}
	if name.Pkg() != nil && name.Pkg().Path() == "encoding/json" && name.Name() == "RawMessage" {
		return shape{kind: raw, named: named}, true, nil
	}
	methods := types.NewMethodSet(types.NewPointer(named))
	for _, method := range []struct {
		name string
		kind kind
	}{{"UnmarshalJSON", ownJSON}, {"UnmarshalText", ownText}} {
		if methods.Lookup(nil, method.name) != nil {
			return shape{kind: method.kind, named: named}, true, nil
		}
	}
	return shape{}, false, nil
}

func basicShape(t *types.Basic) (shape, error) {
	switch t.Kind() {
	case types.String:
		return shape{kind: text}, nil
	case types.Bool:
		return shape{kind: boolean}, nil
	case types.Int, types.Int64:
		return shape{kind: integer, bits: 64}, nil
	case types.Int8:
		return shape{kind: integer, bits: 8}, nil
	case types.Int16:
		return shape{kind: integer, bits: 16}, nil
	case types.Int32:
		return shape{kind: integer, bits: 32}, nil
	case types.Uint, types.Uint64:
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
