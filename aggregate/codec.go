package aggregate

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// errLossy says that bytes do not decode to the state that they were made of.
var errLossy = errors.New("encoding/json does not bring the state back as it is (text that is not UTF-8, a time in a zone of " +
	"its own, omitempty of an empty map, two pointers to one value …): set Encode and Decode, or change the state")

// encodeJSON makes JSON of a state, and looks whether it is the same when it comes back.
func encodeJSON[S any](state *S) ([]byte, error) {
	data, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	var back S
	if err := json.Unmarshal(data, &back); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(state, &back) || sharesMemory(reflect.ValueOf(state).Elem(), map[shared]bool{}) {
		return nil, errLossy
	}
	return data, nil
}

// shared is memory that a value points to.
type shared struct {
	of reflect.Type
	at uintptr
}

// sharesMemory tells whether two parts of a state point to the same value, of which JSON makes two: a change by one of
// them would be seen by the other only until the next load.
func sharesMemory(v reflect.Value, seen map[shared]bool) bool {
	if selfCodes(v.Type()) {
		return false
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() || v.Kind() == reflect.Slice && v.Len() == 0 || v.Kind() == reflect.Pointer && v.Type().Elem().Size() == 0 {
			return false
		}
		memory := shared{v.Type(), v.Pointer()}
		if seen[memory] {
			return true
		}
		seen[memory] = true
	}
	switch v.Kind() {
	case reflect.Pointer:
		return sharesMemory(v.Elem(), seen)
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if sharesMemory(entries.Value(), seen) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if !pointsSomewhere(v.Type().Elem()) {
			return false
		}
		for i := range v.Len() {
			if sharesMemory(v.Index(i), seen) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if sharesMemory(v.Field(i), seen) {
				return true
			}
		}
	}
	return false
}

// pointsSomewhere tells whether values of a type may point to others.
func pointsSomewhere(of reflect.Type) bool {
	switch of.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Array, reflect.Struct:
		return !selfCodes(of)
	}
	return false
}

func decodeJSON[S any](data []byte, state *S) error { return json.Unmarshal(data, state) }

// checkJSON refuses a type of state that has what JSON leaves out without an error.
func checkJSON[S any]() error {
	of := reflect.TypeFor[S]()
	if path := lostInJSON(of, map[reflect.Type]bool{}); path != "" {
		return fmt.Errorf("the state %s: %s would be lost in a snapshot of encoding/json: export it, or set the "+
			"options Encode and Decode, or SnapshotEvery to -1", of, path)
	}
	return nil
}

// selfCoded are the interfaces of types that know their own form.
var selfCoded = [...][2]reflect.Type{
	{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler]()},
	{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
}

// selfCodes tells whether a type knows its own form.
func selfCodes(of reflect.Type) bool {
	to := reflect.PointerTo(of)
	for _, pair := range selfCoded {
		if to.Implements(pair[0]) && to.Implements(pair[1]) {
			return true
		}
	}
	return false
}

// lostInJSON names the first field of a type that JSON leaves out or brings back as another type, or "". seen has the
// types that are being looked at.
func lostInJSON(of reflect.Type, seen map[reflect.Type]bool) string {
	if seen[of] {
		return ""
	}
	seen[of] = true
	if selfCodes(of) {
		return ""
	}
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return lostInJSON(of.Elem(), seen)
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return "a value of type " + of.String()
	case reflect.Struct:
		for i := range of.NumField() {
			field := of.Field(i)
			if field.Name == "_" {
				continue
			}
			if embedded := field.Anonymous && field.Type.Kind() == reflect.Struct; !field.IsExported() && !embedded ||
				field.Tag.Get("json") == "-" {
				return "field " + field.Name
			}
			if lost := lostInJSON(field.Type, seen); lost != "" {
				return "field " + field.Name + ": " + lost
			}
		}
	}
	return ""
}
