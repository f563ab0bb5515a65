package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
)

// SQLite's own functions of this name compare each place of a text with another text, in one step that nothing
// interrupts: with texts of some megabytes it takes days. These give the same and take time by the length of their
// arguments.
func registerTextFunctions(db *sqlite3.Conn) error {
	const flags = sqlite3.DETERMINISTIC | sqlite3.INNOCUOUS
	for name, function := range map[string]sqlite3.ScalarFunction{
		"trim": trim(true, true), "ltrim": trim(true, false),
		"rtrim": trim(false, true),
	} {
		for arguments := 1; arguments <= 2; arguments++ {
			if err := db.CreateFunction(name, arguments, flags, function); err != nil {
				return err
			}
		}
	}
	if err := db.CreateFunction("unhex", 2, flags, func(ctx sqlite3.Context,
		_ ...sqlite3.Value,
	) {
		ctx.ResultError(errUnhex)
	}); err != nil {
		return err
	}
	if err := registerPatterns(db); err != nil {
		return err
	}
	if err := db.CreateFunction("instr", 2, flags, instr); err != nil {
		return err
	}
	if err := db.CreateFunction("decimal_mul", 2, flags, decimalMul); err != nil {
		return err
	}
	return db.CreateFunction("replace", 3, flags, replace)
}

// hasNull makes the result NULL where an argument is.
func hasNull(ctx sqlite3.Context, arg []sqlite3.Value) bool {
	for _, a := range arg {
		if a.Type() == sqlite3.NULL {
			ctx.ResultNull()
			return true
		}
	}
	return false
}

// instr is the place of a text in another one, from 1, in characters; in bytes where both are blobs.
func instr(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if hasNull(ctx, arg) {
		return
	}
	blobs := arg[0].Type() == sqlite3.BLOB && arg[1].Type() == sqlite3.BLOB
	within, of := textOf(arg[0]), textOf(arg[1])
	at := bytes.Index(within, of)
	switch {
	case at < 0:
		ctx.ResultInt(0)
	case blobs:
		ctx.ResultInt(at + 1)
	default:
		ctx.ResultInt(utf8.RuneCount(within[:at]) + 1)
	}
}

func replace(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if hasNull(ctx, arg[:2]) {
		return
	}
	within, of := textOf(arg[0]), textOf(arg[1])
	if len(of) == 0 {
		ctx.ResultRawText(within)
		return
	}
	if hasNull(ctx, arg[2:]) {
		return
	}
	by := textOf(arg[2])
	if size := len(within) + bytes.Count(within, of)*(len(by)-len(of)); size > valueBytesMax {
		ctx.ResultError(sqlite3.TOOBIG)
		return
	}
	ctx.ResultRawText(bytes.ReplaceAll(within, of, by))
}

// trim takes the characters of the second argument, or spaces, off the ends of the first.
func trim(left, right bool) sqlite3.ScalarFunction {
	return func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if hasNull(ctx, arg) {
			return
		}
		text, set := string(textOf(arg[0])), map[rune]bool{' ': true}
		if len(arg) == 2 {
			clear(set)
			for _, r := range string(textOf(arg[1])) {
				set[r] = true
			}
		}
		has := func(r rune) bool { return set[r] }
		if left {
			text = strings.TrimLeftFunc(text, has)
		}
		if right {
			text = strings.TrimRightFunc(text, has)
		}
		ctx.ResultText(text)
	}
}

// textOf copies a value as text: reading the next argument may move it.
func textOf(v sqlite3.Value) []byte { return bytes.Clone(v.RawText()) }

// decimalBytesMax bounds a number that is multiplied, of which the numerics of package store have a thousand
// digits at most.
const decimalBytesMax = 10_000

// decimalMul multiplies as SQLite's decimal_mul does, but that it has no -0, and refuses numbers that it would
// take minutes for.
func decimalMul(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if hasNull(ctx, arg) {
		return
	}
	product, decimals, fewest := big.NewInt(1), 0, 0
	for n, a := range arg {
		text := string(textOf(a))
		unscaled, fraction, ok := parseDecimal(text)
		if !ok {
			ctx.ResultError(errDecimal)
			return
		}
		product.Mul(product, unscaled)
		if decimals += fraction; n == 0 || fraction < fewest {
			fewest = fraction
		}
	}
	negative := product.Sign() < 0
	digits := product.Abs(product).String()
	if short := decimals + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	for ; decimals > fewest && strings.HasSuffix(digits, "0"); decimals-- {
		digits = digits[:len(digits)-1]
	}
	if decimals > 0 {
		digits = digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:]
	}
	if negative {
		digits = "-" + digits
	}
	ctx.ResultText(digits)
}

// errUnhex refuses what takes a time that is the product of its two lengths.
var errUnhex = errors.New("unhex takes one argument here: leave out what it is to ignore with replace")

var errDecimal = fmt.Errorf("decimal_mul needs numbers of %d bytes at most", decimalBytesMax)

// parseDecimal reads a number such as "-12.50" or "1e3" as an integer and the number of its decimals.
func parseDecimal(text string) (unscaled *big.Int, decimals int, ok bool) {
	text, power, has := strings.Cut(strings.ToLower(strings.TrimSpace(text)), "e")
	exponent := 0
	if has {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil || exponent < -decimalBytesMax ||
			exponent > decimalBytesMax {
			return nil, 0, false
		}
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole + fraction
	if len(digits) > decimalBytesMax || strings.ContainsAny(fraction, "+-") || strings.Contains(digits, "_") {
		return nil, 0, false
	}
	if decimals = len(fraction) - exponent; decimals < 0 {
		digits, decimals = digits+strings.Repeat("0", -decimals), 0
	}
	unscaled, ok = new(big.Int).SetString(digits, 10)
	return unscaled, decimals, ok
}
