package store

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"strconv"
)

// numericDigitsMax bounds what a guest can make the host compute with.
const numericDigitsMax = 1000

var errNumeric = errors.New("a numeric is an optional sign, digits and an optional fraction, without exponent, " +
	"1000 digits at most")

// ParseNumeric checks decimal text such as "-12.50" and returns its digits as an integer and the number of decimals.
func ParseNumeric(text []byte) (unscaled *big.Int, decimals int, err error) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > numericDigitsMax {
		return nil, 0, errNumeric
	}
	point := -1
	for i, c := range digits {
		switch {
		case c == '.' && point < 0 && i > 0 && i < len(digits)-1:
			point = i
		case c < '0' || c > '9':
			return nil, 0, errNumeric
		}
	}
	if point >= 0 {
		decimals = len(digits) - point - 1
		digits = bytes.Join([][]byte{digits[:point], digits[point+1:]}, nil)
	}
	unscaled, ok := new(big.Int).SetString(string(digits), 10)
	if !ok {
		return nil, 0, errNumeric
	}
	if text[0] == '-' {
		unscaled.Neg(unscaled)
	}
	return unscaled, decimals, nil
}

// AddNumeric returns the exact sum of two decimal texts, with as many decimals as the longer one.
func AddNumeric(a, b []byte) ([]byte, error) {
	x, y, decimals, err := align(a, b)
	if err != nil {
		return nil, err
	}
	return formatNumeric(x.Add(x, y), decimals), nil
}

// smallDigits is how many digits an int64 holds whatever they are.
const smallDigits = 18

// parseSmall is ParseNumeric for numbers of few digits, which most are.
func parseSmall(text []byte) (unscaled int64, decimals int, ok bool) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > smallDigits {
		return 0, 0, false
	}
	for i, c := range digits {
		if c == '.' {
			decimals = len(digits) - i - 1
			continue
		}
		unscaled = unscaled*10 + int64(c-'0')
	}
	if text[0] == '-' {
		unscaled = -unscaled
	}
	return unscaled, decimals, true
}

// appendSmallSum appends what AddNumeric returns for two numbers that were checked before, or reports false when
// they have too many digits for that.
func appendSmallSum(dst, a, b []byte) ([]byte, bool) {
	x, xDecimals, xSmall := parseSmall(a)
	y, yDecimals, ySmall := parseSmall(b)
	if !xSmall || !ySmall || len(a)+len(b) > smallDigits { // so that neither grows too long when decimals are added
		return dst, false
	}
	decimals := max(xDecimals, yDecimals)
	for ; xDecimals < decimals; xDecimals++ {
		x *= 10
	}
	for ; yDecimals < decimals; yDecimals++ {
		y *= 10
	}
	sum := x + y
	if sum < 0 {
		dst = append(dst, '-')
		sum = -sum
	}
	start := len(dst)
	dst = strconv.AppendInt(dst, sum, 10)
	if decimals == 0 {
		return dst, true
	}
	for len(dst)-start <= decimals {
		dst = slices.Insert(dst, start, '0')
	}
	return slices.Insert(dst, len(dst)-decimals, '.'), true
}

// CompareNumeric returns -1, 0 or 1 as a is below, equal to or above b.
func CompareNumeric(a, b []byte) (int, error) {
	x, y, _, err := align(a, b)
	if err != nil {
		return 0, err
	}
	return x.Cmp(y), nil
}

// CanonicalNumeric returns the shortest text of the same number: "1.50" and "+1.5" are both "1.5".
func CanonicalNumeric(text []byte) ([]byte, error) {
	unscaled, decimals, err := ParseNumeric(text)
	if err != nil {
		return nil, err
	}
	canonical := formatNumeric(unscaled, decimals)
	if decimals > 0 {
		canonical = bytes.TrimRight(canonical, "0")
		canonical = bytes.TrimSuffix(canonical, []byte("."))
	}
	return canonical, nil
}

func align(a, b []byte) (x, y *big.Int, decimals int, err error) {
	x, xDecimals, err := ParseNumeric(a)
	if err != nil {
		return nil, nil, 0, err
	}
	y, yDecimals, err := ParseNumeric(b)
	if err != nil {
		return nil, nil, 0, err
	}
	decimals = max(xDecimals, yDecimals)
	return scale(x, decimals-xDecimals), scale(y, decimals-yDecimals), decimals, nil
}

func scale(x *big.Int, decimals int) *big.Int {
	if decimals == 0 {
		return x
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	return x.Mul(x, power)
}

func formatNumeric(unscaled *big.Int, decimals int) []byte {
	sign := ""
	if unscaled.Sign() < 0 {
		sign = "-"
	}
	digits := new(big.Int).Abs(unscaled).Append(nil, 10)
	if pad := decimals + 1 - len(digits); pad > 0 {
		digits = append(bytes.Repeat([]byte{'0'}, pad), digits...)
	}
	out := append([]byte(sign), digits[:len(digits)-decimals]...)
	if decimals > 0 {
		out = append(out, '.')
		out = append(out, digits[len(digits)-decimals:]...)
	}
	return out
}
