package eventschema

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// replaceEnums takes the keywords enum and const from a schema and makes an extension of them: the validator's own
// compare a value with each of theirs, before any work is counted.
func (w *work) replaceEnums(s *jsonschema.Schema) {
	if s.Enum != nil {
		s.Extensions = append(s.Extensions, newEnumCheck(w, s.Enum.Values, false))
		s.Enum = nil
	}
	if s.Const != nil {
		s.Extensions = append(s.Extensions, newEnumCheck(w, []any{*s.Const}, true))
		s.Const = nil
	}
}

// enumCheck is one of these keywords.
type enumCheck struct {
	work    *work
	values  []any
	known   map[string]bool // by their canonical texts
	isConst bool
}

func newEnumCheck(w *work, values []any, isConst bool) enumCheck {
	c := enumCheck{work: w, values: values, known: map[string]bool{}, isConst: isConst}
	for _, value := range values {
		c.known[string(appendCanonical(nil, value))] = true
	}
	return c
}

// Validate looks a value up.
func (c enumCheck) Validate(ctx *jsonschema.ValidatorContext, v any) {
	if c.work.spend(sizeOf(v)) == nil && c.known[string(appendCanonical(nil, v))] {
		return
	}
	if c.isConst {
		ctx.AddError(&kind.Const{Got: v, Want: c.values[0]})
		return
	}
	ctx.AddError(&kind.Enum{Got: v, Want: c.values})
}

// sizeOf is the number of values within a value, itself included.
func sizeOf(v any) int {
	size := 1
	switch v := v.(type) {
	case string:
		size += len(v) / textPerUnit
	case json.Number:
		size += len(v) / textPerUnit
	case []any:
		for _, element := range v {
			size += sizeOf(element)
		}
	case map[string]any:
		for _, member := range v {
			size += sizeOf(member)
		}
	}
	return size
}

// appendCanonical appends a text that is the same for equal values and no others: numbers by their value, members in
// the order of their names.
func appendCanonical(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return strconv.AppendQuote(dst, v)
	case json.Number:
		number, is := new(big.Rat).SetString(string(v))
		if !is { // decodeValue has refused such numbers
			return append(dst, v...)
		}
		return append(dst, number.RatString()...)
	case []any:
		dst = append(dst, '[')
		for _, element := range v {
			dst = append(appendCanonical(dst, element), ',')
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = append(strconv.AppendQuote(dst, name), ':')
			dst = append(appendCanonical(dst, v[name]), ',')
		}
		return append(dst, '}')
	default:
		return append(dst, '?') // decodeValue makes no others
	}
}
