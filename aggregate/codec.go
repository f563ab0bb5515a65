package aggregate

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// errLossy says that bytes do not decode to the state that they were made of.
var errLossy = errors.New("encoding/json does not keep the state as it is, such as text that is not UTF-8: set Encode " +
	"and Decode")

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
	again, err := json.Marshal(&back)
	if err == nil && !bytes.Equal(data, again) {
		err = errLossy
	}
	return data, err
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

// lostInJSON names the first field of a type that JSON leaves out or brings back as another type, or "". seen has the
// types that are being looked at.
func lostInJSON(of reflect.Type, seen map[reflect.Type]bool) string {
	if seen[of] {
		return ""
	}
	seen[of] = true
	for _, pair := range selfCoded {
		if to := reflect.PointerTo(of); to.Implements(pair[0]) && to.Implements(pair[1]) {
			return ""
		}
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
