package sqlite

import (
	"errors"
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// The functions that merge a stored value with a new one. NULL leaves the other, as in [store.Folder].
const (
	addFunction        = "pup_add"
	addNumericFunction = "pup_add_numeric"
	minNumericFunction = "pup_min_numeric"
	maxNumericFunction = "pup_max_numeric"
)

var (
	errOverflow   = errors.New("integer overflow")
	errNotInteger = errors.New(addFunction + " needs integers")
)

func registerFunctions(db *sqlite3.Conn) error {
	for name, function := range map[string]sqlite3.ScalarFunction{
		addFunction: addIntegers,
		addNumericFunction: mergeNumeric(func(stored, given []byte) ([]byte, error) {
			return store.AddNumeric(stored, given)
		}),
		minNumericFunction: mergeNumeric(func(stored, given []byte) ([]byte, error) {
			order, err := store.CompareNumeric(given, stored)
			if order < 0 {
				return given, err
			}
			return stored, err
		}),
		maxNumericFunction: mergeNumeric(func(stored, given []byte) ([]byte, error) {
			order, err := store.CompareNumeric(given, stored)
			if order > 0 {
				return given, err
			}
			return stored, err
		}),
	} {
		if err := db.CreateFunction(name, 2, sqlite3.DETERMINISTIC, function); err != nil {
			return err
		}
	}
	return nil
}

// addIntegers adds where SQLite's + would turn to floating point on overflow.
func addIntegers(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if mergeNull(ctx, arg) {
		return
	}
	if arg[0].Type() != sqlite3.INTEGER || arg[1].Type() != sqlite3.INTEGER {
		ctx.ResultError(errNotInteger)
		return
	}
	a, b := arg[0].Int64(), arg[1].Int64()
	if b >= 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		ctx.ResultError(errOverflow)
		return
	}
	ctx.ResultInt64(a + b)
}

func mergeNumeric(merge func(stored, given []byte) ([]byte, error)) sqlite3.ScalarFunction {
	return func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if mergeNull(ctx, arg) {
			return
		}
		// A copy, because reading the second value may move the first.
		stored, given := []byte(arg[0].Text()), []byte(arg[1].Text())
		merged, err := merge(stored, given)
		if err == nil && len(merged) > max(len(stored), len(given)) {
			// A sum may have more digits than can be read again.
			_, _, err = store.ParseNumeric(merged)
		}
		if err != nil {
			ctx.ResultError(err)
			return
		}
		ctx.ResultRawText(merged)
	}
}

// mergeNull sets the result when one of the two is NULL.
func mergeNull(ctx sqlite3.Context, arg []sqlite3.Value) bool {
	switch {
	case arg[1].Type() == sqlite3.NULL:
		ctx.ResultValue(arg[0])
	case arg[0].Type() == sqlite3.NULL:
		ctx.ResultValue(arg[1])
	default:
		return false
	}
	return true
}
