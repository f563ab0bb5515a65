package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// matches reports whether a value of a column is what a case says. The error says why what the case says cannot be a
// value of the column.
func matches(of store.Type, want *settings.Member, is store.Value) (bool, error) {
	switch {
	case want.Kind == settings.Empty:
		return is.IsNull() || is.Kind == store.KindJSON && sameJSON([]byte("null"), is.Bytes()), nil
	case of.Array:
		return matchesArray(of, want, is)
	case of.Kind == store.KindJSON:
		return is.Kind == store.KindJSON && sameJSON(appendJSON(nil, want), is.Bytes()), nil
	case want.Kind != settings.Scalar:
		return false, fmt.Errorf("must be a value of type %s, it is %s", of, want.Shown())
	case of.Kind == store.KindNull: // of a view
		return !is.IsNull() && (plainText(is) == want.Text || sameBool(want, is)), nil
	}
	value, err := rowtext.Parse(of, want.Text)
	if err != nil {
		return false, err
	}
	return Same(value, is), nil
}

func matchesArray(of store.Type, want *settings.Member, is store.Value) (bool, error) {
	if want.Kind != settings.List {
		return false, fmt.Errorf("must be a list, it is %s", want.Shown())
	}
	same := is.Array && len(is.Elements()) == len(want.List)
	for i := range want.List {
		element := store.Null()
		if same {
			element = is.Elements()[i]
		}
		matched, err := matches(store.Type{Kind: of.Kind}, &want.List[i], element)
		if err != nil {
			return false, err
		}
		same = same && matched
	}
	return same, nil
}

// plainText is a value without quotes.
func plainText(v store.Value) string {
	if v.Kind == store.KindText {
		return string(v.Bytes())
	}
	return rowtext.Of(v)
}

// sameFloat is how much floating-point numbers may differ, in proportion, that were added up in another order.
const sameFloat = 1e-9

// Same reports whether two values of a column are the same. Numbers are compared by their value, JSON by its content.
func Same(a, b store.Value) bool {
	if a.Kind != b.Kind || a.Array != b.Array {
		return false
	}
	if a.Array {
		x, y := a.Elements(), b.Elements()
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Same(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	switch a.Kind {
	case store.KindF64:
		x, y := a.Float(), b.Float()
		return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= sameFloat*math.Max(math.Abs(x), math.Abs(y))
	case store.KindNumeric:
		order, err := store.CompareNumeric(a.Bytes(), b.Bytes())
		return err == nil && order == 0
	case store.KindJSON:
		return sameJSON(a.Bytes(), b.Bytes())
	default:
		return a.Bits() == b.Bits() && bytes.Equal(a.Bytes(), b.Bytes())
	}
}

// sameBool reports whether a number that SQLite has for a truth value is the one of a case.
func sameBool(want *settings.Member, is store.Value) bool {
	return want.Plain && is.Kind == store.KindI64 && (want.Text == "true" && is.Int() == 1 || want.Text == "false" && is.Int() == 0)
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return decodeJSON(a, &x) == nil && decodeJSON(b, &y) == nil && sameContent(x, y)
}

func decodeJSON(text []byte, into *any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// sameContent compares values of JSON, numbers by their value.
func sameContent(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, is := b.(json.Number)
		if !is {
			return false
		}
		return x == y || sameNumber(x.String(), y.String())
	case []any:
		y, is := b.([]any)
		return is && slices.EqualFunc(x, y, sameContent)
	case map[string]any:
		y, is := b.(map[string]any)
		return is && maps.EqualFunc(x, y, sameContent)
	}
	return a == b
}

// sameNumber compares numbers of JSON: exactly, or as floating-point numbers when one has an exponent, which may be any.
func sameNumber(a, b string) bool {
	if strings.ContainsAny(a+b, "eE") {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		return errX == nil && errY == nil && x == y
	}
	order, err := store.CompareNumeric([]byte(a), []byte(b))
	return err == nil && order == 0
}
