package puptest

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// mergeValue returns what an action of an upsert makes out of a value. NULL leaves what is there with all
// actions but set.
func mergeValue(action catalogue.Action, old, value any) (any, error) {
	switch {
	case action == catalogue.ActionSet || action == "":
		return value, nil
	case value == nil:
		return old, nil
	case old == nil:
		return value, nil
	case action == catalogue.ActionIfNull:
		return old, nil
	case action == catalogue.ActionAdd:
		return add(old, value)
	case action == catalogue.ActionMin && compare(value, old) < 0, action == catalogue.ActionMax &&
		compare(value, old) > 0:
		return value, nil
	}
	return old, nil
}

func add(a, b any) (any, error) {
	if x, ok := a.(int64); ok {
		sum := x + b.(int64)
		if (sum > x) != (b.(int64) > 0) {
			return nil, fmt.Errorf("the sum of %d and %d does not fit into 64 bits", a, b)
		}
		return sum, nil
	}
	x, y := a.(Numeric), b.(Numeric)
	sum := new(big.Rat).Add(rational(x), rational(y))
	return Numeric(sum.FloatString(max(decimals(x), decimals(y)))), nil
}

func compare(a, b any) int {
	switch x := a.(type) {
	case int64:
		switch y := b.(int64); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
	case Numeric:
		return rational(x).Cmp(rational(b.(Numeric)))
	case Timestamp:
		return time.Time(x).Compare(time.Time(b.(Timestamp)))
	}
	return 0
}

func rational(n Numeric) *big.Rat {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		panic("puptest: numeric " + string(n) + " was not checked")
	}
	return r
}

func decimals(n Numeric) int {
	point := strings.IndexByte(string(n), '.')
	if point < 0 {
		return 0
	}
	return len(n) - point - 1
}

// canonical returns the shortest text of the same number: "1.50" and "+1.5" are both "1.5".
func canonical(n Numeric) Numeric {
	text, err := catalogue.CanonicalNumeric([]byte(n))
	if err != nil {
		panic("puptest: numeric " + string(n) + " was not checked")
	}
	return Numeric(text)
}
